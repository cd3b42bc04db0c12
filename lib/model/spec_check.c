/* A document is read into a tree of nodes (node.h), then checked against the table (member.h) from
 * the root down, building the sparse form on the way. YAML and JSON go through the same walk; they
 * differ in that a file has lines and no `null`, and that a bare integer may be a duration only in
 * JSON (milliseconds), because in a file `timeout: 30` is meant as seconds more often than not. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "model/member.h"
#include "model/node.h"
#include "model/spec.h"

struct walk {
    const char *file; /* NULL: a document from the API */
    bool keeps_null;  /* `null` means "unset": in objects from the API */
    struct err *err;
};

/* "`processes.web.port` must be a whole number, from 1 to 65535" */
static json_t *refuse(const struct walk *walk, const struct member *member, const struct node *node,
                      const char *path)
{
    auto_free char *example = member_example(member);
    bool is_scalar = node->kind == NODE_PLAIN || node->kind == NODE_TEXT;
    const char *nearest =
        is_scalar && member->words ? text_nearest(node->text, member->words) : NULL;
    auto_free char *hint = nearest ? xasprintf("did you mean `%s`?", nearest) : NULL;

    node_err(walk->err, walk->file, node, path, hint, "%s%s%s must be %s%s%s", *path ? "`" : "",
             *path ? path : "the document", *path ? "`" : "", example, is_scalar ? "" : ", not ",
             is_scalar ? "" : node_kind_name(node));
    return NULL;
}

/* The error of a check, with the place in front. */
static json_t *at_line(const struct walk *walk, const struct node *node)
{
    if (node->line)
        err_prefix(walk->err, "%s:%zu", walk->file, node->line);
    return NULL;
}

static json_t *walk_text(const struct walk *walk, const struct member *member,
                         const struct node *node, const char *path)
{
    size_t len = strlen(node->text);

    if (len < (size_t)member->min)
        node_err(walk->err, walk->file, node, path, NULL, "`%s` is empty", path);
    else if (len > (size_t)member->max)
        node_err(walk->err, walk->file, node, path, NULL, "`%s` is longer than %" PRId64 " bytes",
                 path, member->max);
    else {
        auto_free char *value = xstrdup(node->text);
        if (member->check && member->check(value, path, walk->err))
            return at_line(walk, node);
        json_t *text = json_string(value);
        if (text)
            return text;
        node_err(walk->err, walk->file, node, path, NULL, "`%s` is not valid UTF-8", path);
    }
    return NULL;
}

/* Numbers and booleans in quotes are texts; a duration, size or processors may be in quotes. */
static bool is_quotable(enum member_type type)
{
    return type != MEMBER_INT && type != MEMBER_BOOL;
}

static json_t *walk_scalar(const struct walk *walk, const struct member *member,
                           const struct node *node, const char *path)
{
    auto_free char *milliseconds = NULL;
    const char *text = node->text;
    int64_t number;

    if (member->type == MEMBER_TEXT)
        return walk_text(walk, member, node, path);
    if (node->kind == NODE_TEXT && !is_quotable(member->type))
        return refuse(walk, member, node, path);
    if (member->type == MEMBER_DURATION && !walk->file && node->kind == NODE_PLAIN &&
        text_int(text, &number))
        text = milliseconds = xasprintf("%sms", node->text);
    json_t *value = member_parse(member, text);
    return value ? value : refuse(walk, member, node, path);
}

static json_t *walk_value(const struct walk *walk, const struct member *member,
                          const struct node *node, const char *path);

static json_t *refuse_unknown(const struct walk *walk, const struct member *member,
                              const struct node *node, const char *parent, const char *path)
{
    const char *words[64] = { NULL };
    size_t count = 0;

    for (const struct member *m = member->members; m->name && count + 1 < countof(words); m++)
        words[count++] = m->name;
    const char *nearest = text_nearest(node->key, words);
    auto_free char *hint = nearest ? xasprintf("did you mean `%s`?", nearest) : NULL;
    node_err(walk->err, walk->file, node, path, hint, "unknown key `%s`%s%s%s", node->key,
             *parent ? " in `" : "", parent, *parent ? "`" : "");
    return NULL;
}

static json_t *walk_object(const struct walk *walk, const struct member *member,
                           const struct node *node, const char *parent)
{
    json_auto_t *object = json_object();

    for (size_t i = 0; i < node->count; i++) {
        const struct node *item = &node->items[i];
        const struct member *known = member_find(member->members, item->key);
        auto_free char *path = xasprintf("%s%s%s", parent, *parent ? "." : "", item->key);
        if (!known)
            return refuse_unknown(walk, member, item, parent, path);
        json_t *value = walk_value(walk, known, item, path);
        if (!value)
            return NULL;
        if (known->type == MEMBER_ONLY)
            json_decref(value);
        else
            json_object_set_new(object, item->key, value);
    }
    return take(&object);
}

static json_t *walk_map(const struct walk *walk, const struct member *member,
                        const struct node *node, const char *parent)
{
    json_auto_t *map = json_object();

    for (size_t i = 0; i < node->count; i++) {
        const struct node *item = &node->items[i];
        auto_free char *path = xasprintf("%s.%s", parent, item->key);
        if (member->check && member->check(item->key, path, walk->err)) {
            snprintf(walk->err->field, sizeof walk->err->field, "%s", path);
            return at_line(walk, item);
        }
        json_t *value = walk_value(walk, member->item, item, path);
        if (!value)
            return NULL;
        json_object_set_new(map, item->key, value);
    }
    return take(&map);
}

static json_t *walk_list(const struct walk *walk, const struct member *member,
                         const struct node *node, const char *parent)
{
    /* A list is replaced as a whole, so there is nothing that a null in it could unset. */
    const struct walk inside = { .file = walk->file, .err = walk->err };
    json_auto_t *list = json_array();

    for (size_t i = 0; i < node->count; i++) {
        const struct node *item = &node->items[i];
        auto_free char *path = xasprintf("%s[%zu]", parent, i);
        json_t *value = item->kind == NODE_EMPTY ? refuse(walk, member->item, item, path)
                                                 : walk_value(&inside, member->item, item, path);
        if (!value)
            return NULL;
        json_array_append_new(list, value);
    }
    return take(&list);
}

static json_t *walk_later(const struct walk *walk, const struct member *member,
                          const struct node *node, const char *path)
{
    bool has_text = node->kind == NODE_PLAIN || node->kind == NODE_TEXT;

    if (member->type == MEMBER_ONLY && has_text && strcmp(node->text, member->fallback) == 0)
        return json_null();
    node_err(walk->err, walk->file, node, path,
             member->type == MEMBER_ONLY ? "leave it out" : "remove it",
             "`%s` is not supported yet%s%s", path, member->fallback ? ", other than " : "",
             member->fallback ? member->fallback : "");
    return NULL;
}

static json_t *walk_empty(const struct walk *walk, const struct member *member,
                          const struct node *node, const char *path)
{
    if (walk->keeps_null && *path)
        return json_null();
    /* `env:` with all its lines commented out is an empty mapping. */
    if (walk->file && (member->type == MEMBER_OBJECT || member->type == MEMBER_MAP))
        return json_object();
    if (!walk->file)
        return refuse(walk, member, node, path);
    node_err(walk->err, walk->file, node, path,
             member->type == MEMBER_TEXT   ? "write \"\" for an empty text, or leave the line out"
             : member->type == MEMBER_LIST ? "write [] for none, or leave the line out"
                                           : "leave the line out for the default",
             "`%s` has no value", path);
    return NULL;
}

/* env values that refer to something: {secret: NAME}, {addon: NAME, key: url}. */
static json_t *refuse_reference(const struct walk *walk, const struct node *node, const char *path)
{
    node_err(walk->err, walk->file, node, path, NULL,
             "`%s` refers to a secret or an addon, which is not supported yet", path);
    return NULL;
}

static json_t *walk_value(const struct walk *walk, const struct member *member,
                          const struct node *node, const char *path)
{
    bool is_scalar = node->kind == NODE_PLAIN || node->kind == NODE_TEXT;
    bool is_map = member->type == MEMBER_OBJECT || member->type == MEMBER_MAP;

    if (member->type >= MEMBER_ONLY)
        return walk_later(walk, member, node, path);
    if (node->kind == NODE_EMPTY)
        return walk_empty(walk, member, node, path);
    if (is_scalar && member->type <= MEMBER_CPUS)
        return walk_scalar(walk, member, node, path);
    if (node->kind == NODE_MAP && text_starts(path, "env."))
        return refuse_reference(walk, node, path);
    if (node->kind != (is_map ? NODE_MAP : NODE_LIST) || member->type <= MEMBER_CPUS)
        return refuse(walk, member, node, path);
    if (member->type != MEMBER_OBJECT && node->count > (size_t)member->max) {
        node_err(walk->err, walk->file, node, path, NULL, "`%s` has more than %" PRId64 " items",
                 path, member->max);
        return NULL;
    }
    return member->type == MEMBER_OBJECT ? walk_object(walk, member, node, path)
           : is_map                      ? walk_map(walk, member, node, path)
                                         : walk_list(walk, member, node, path);
}

static int walk_root(const char *file, const struct node *root, json_t **sparse, struct err *err)
{
    struct walk walk = { .file = file, .keeps_null = !file, .err = err };
    json_t *value = walk_value(&walk, &spec_root, root, "");

    if (!value)
        return -1;
    *sparse = value;
    return 0;
}

int spec_parse_yaml(const char *text, size_t len, const char *file, json_t **sparse,
                    struct err *err)
{
    auto_node *root = NULL;

    if (len > SPEC_SIZE_MAX)
        return err_set(err, ERR_INVALID, "%s: larger than %d KiB", file, SPEC_SIZE_MAX / 1024);
    if (node_read_yaml(text, len, file, &root, err))
        return -1;
    return walk_root(file, root, sparse, err);
}

int spec_check(const json_t *document, json_t **sparse, struct err *err)
{
    auto_node *root = NULL;

    if (json_dumpb(document, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > SPEC_SIZE_MAX)
        return err_set(err, ERR_INVALID, "the document is larger than %d KiB",
                       SPEC_SIZE_MAX / 1024);
    if (node_read_json(document, &root, err))
        return -1;
    return walk_root(NULL, root, sparse, err);
}

/* ---- Procfile ---- */

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static void trim_end(char *text)
{
    size_t len = strlen(text);

    while (len && strchr(" \t\r", text[len - 1]))
        text[--len] = '\0';
}

/* "web: node server.js" */
static int add_process(const char *line, json_t *processes, struct err *err)
{
    size_t len = strcspn(line, ": \t");
    const char *colon = skip_blanks(line + len);
    auto_free char *name = xstrndup(line, len);

    if (*colon != ':')
        return err_field(err, "processes", NULL, "a line must read `name: command`");
    if (strcmp(name, "release") == 0)
        return err_field(err, "release", "remove it", "`release` is not supported yet");
    if (spec_check_name(name, "processes", 20, err))
        return -1;
    if (json_object_get(processes, name))
        return err_field(err, "processes", NULL, "`%s` stands here a second time", name);
    auto_free char *command = xstrdup(skip_blanks(colon + 1));
    if (!*command)
        return err_field(err, "processes", NULL, "`%s` has no command", name);
    json_object_set_new(processes, name, json_pack("{ss}", "command", command));
    return 0;
}

int spec_parse_procfile(const char *text, size_t len, json_t **sparse, struct err *err)
{
    json_auto_t *document = json_pack("{s{}}", "processes");
    size_t number = 0;

    if (len > SPEC_SIZE_MAX)
        return err_set(err, ERR_INVALID, "Procfile: larger than %d KiB", SPEC_SIZE_MAX / 1024);
    if (node_check_bytes(text, len, "Procfile", err))
        return -1;
    for (size_t at = 0; at < len; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - (text + at)) : len - at;
        auto_free char *line = xstrndup(text + at, line_len);
        const char *start = skip_blanks(line);
        trim_end(line);
        if (*start && *start != '#' &&
            add_process(start, json_object_get(document, "processes"), err))
            return err_prefix(err, "Procfile:%zu", number + 1);
        at += line_len + 1;
    }
    return spec_check(document, sparse, err) ? err_prefix(err, "Procfile") : 0;
}
