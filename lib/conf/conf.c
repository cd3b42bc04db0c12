/* The file is read into a tree with lines (model/node.h), then walked: a mapping whose path is the
 * beginning of a key ("docker" of "docker.socket") is descended into, a path that is a key is
 * parsed by the key's type, anything else is an unknown key. Defaults and bounds are written in the
 * table as they would stand in the file and go through the same parser. */
#include "conf/conf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/node.h"

enum { FILE_SIZE_MAX = 256 * 1024, SECRET_SIZE_MAX = 4096 };

struct table {
    const struct conf_key *keys;
    size_t count;
    const char *file;
    char *config;
};

static bool parse_bool(const char *text, int64_t *value)
{
    *value = strcmp(text, "true") == 0;
    return *value || strcmp(text, "false") == 0;
}

struct conf_kind {
    const char *name, *example;
    bool (*parse)(const char *text, int64_t *value); /* NULL: a text */
    bool is_quotable;                                /* "8080" in quotes is no number */
};

static const struct conf_kind kinds[] = {
    [CONF_TEXT] = { "text", "a text", NULL, true },
    [CONF_INT] = { "int", "a whole number", text_int, false },
    [CONF_BOOL] = { "bool", "true or false", parse_bool, false },
    [CONF_DURATION] = { "duration", "a duration like 500ms, 30s, 15m, 1h or 7d", text_duration_ms,
                        true },
    [CONF_SIZE] = { "size", "a size like 512, 64Ki, 256Mi or 1Gi", text_size, true },
};

static void store_text(const struct conf_key *key, char *config, const char *text)
{
    char **member = (char **)(void *)(config + key->offset);

    free(*member);
    *member = xstrdup(text);
}

static void store_number(const struct conf_key *key, char *config, int64_t value)
{
    if (key->type == CONF_BOOL)
        *(bool *)(void *)(config + key->offset) = value;
    else
        *(int64_t *)(void *)(config + key->offset) = value;
}

/* A bound or default of the table; it is the program's own, so it is right. */
static int64_t number_of(const struct conf_key *key, const char *text)
{
    int64_t value = 0;

    if (!kinds[key->type].parse(text, &value))
        abort();
    return value;
}

static int set_number(const struct table *table, const struct conf_key *key,
                      const struct node *node, struct err *err)
{
    const struct conf_kind *kind = &kinds[key->type];
    int64_t value;

    if ((node->kind == NODE_TEXT && !kind->is_quotable) || !kind->parse(node->text, &value))
        return node_err(err, table->file, node, key->name, NULL, "`%s` must be %s", key->name,
                        kind->example);
    if (key->min && value < number_of(key, key->min))
        return node_err(err, table->file, node, key->name, NULL, "`%s` must be at least %s",
                        key->name, key->min);
    if (key->max && value > number_of(key, key->max))
        return node_err(err, table->file, node, key->name, NULL, "`%s` must be at most %s",
                        key->name, key->max);
    store_number(key, table->config, value);
    return 0;
}

static int set_key(const struct table *table, const struct conf_key *key, const struct node *node,
                   struct err *err)
{
    if (node->kind == NODE_EMPTY)
        return node_err(err, table->file, node, key->name, "leave the line out for the default",
                        "`%s` has no value", key->name);
    if (node->kind != NODE_PLAIN && node->kind != NODE_TEXT)
        return node_err(err, table->file, node, key->name, NULL, "`%s` must be %s, not %s",
                        key->name, kinds[key->type].example, node_kind_name(node));
    if (kinds[key->type].parse)
        return set_number(table, key, node, err);
    store_text(key, table->config, node->text);
    return 0;
}

static const struct conf_key *find_key(const struct table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->keys[i].name, path) == 0)
            return &table->keys[i];
    return NULL;
}

/* `path` with its dot at the end is the beginning of some key. */
static bool is_group(const struct table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++)
        if (text_starts(table->keys[i].name, path) && table->keys[i].name[strlen(path)] == '.')
            return true;
    return false;
}

static int unknown_key(const struct table *table, const struct node *node, const char *path,
                       struct err *err)
{
    auto_free const char **words = xcalloc(table->count + 1, sizeof *words);
    auto_free char *hint = NULL;

    for (size_t i = 0; i < table->count; i++)
        words[i] = table->keys[i].name;
    const char *nearest = text_nearest(path, words);
    if (nearest)
        hint = xasprintf("did you mean `%s`?", nearest);
    return node_err(err, table->file, node, path, hint, "unknown key `%s`", path);
}

static int read_map(const struct table *table, const struct node *map, const char *parent,
                    struct err *err)
{
    if (map->kind != NODE_MAP)
        return node_err(err, table->file, map, parent, NULL, "%s%s%smust be a mapping, not %s",
                        *parent ? "`" : "", *parent ? parent : "the file ", *parent ? "` " : "",
                        node_kind_name(map));
    for (size_t i = 0; i < map->count; i++) {
        const struct node *node = &map->items[i];
        auto_free char *path = xasprintf("%s%s%s", parent, *parent ? "." : "", node->key);
        const struct conf_key *key = find_key(table, path);
        int result = key                        ? set_key(table, key, node, err)
                     : !is_group(table, path)   ? unknown_key(table, node, path, err)
                     : node->kind == NODE_EMPTY ? 0
                                                : read_map(table, node, path, err);
        if (result)
            return -1;
    }
    return 0;
}

static void set_defaults(const struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_key *key = &table->keys[i];
        if (!key->fallback)
            continue;
        if (key->type == CONF_TEXT)
            store_text(key, table->config, key->fallback);
        else
            store_number(key, table->config, number_of(key, key->fallback));
    }
}

static bool has_path(const struct node *node, const char *path)
{
    size_t len = strcspn(path, ".");

    for (size_t i = 0; node && i < node->count; i++)
        if (strncmp(node->items[i].key, path, len) == 0 && !node->items[i].key[len])
            return !path[len] || has_path(&node->items[i], path + len + 1);
    return false;
}

static int check_required(const struct table *table, const struct node *root, struct err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_key *key = &table->keys[i];
        if (!key->fallback && !has_path(root, key->name))
            return err_field(err, key->name, key->help, "%s%s`%s` is required",
                             table->file ? table->file : "", table->file ? ": " : "", key->name);
    }
    return 0;
}

static int read_file(const struct table *table, struct node **root, struct err *err)
{
    auto_free char *text = NULL;
    size_t len;

    if (fs_read(table->file, FILE_SIZE_MAX, &text, &len, err) ||
        node_read_yaml(text, len, table->file, root, err))
        return -1;
    return read_map(table, *root, "", err);
}

int conf_read(const char *path, const struct conf_key *keys, size_t count, void *config,
              struct err *err)
{
    struct table table = { keys, count, path, config };
    auto_node *root = NULL;

    set_defaults(&table);
    if ((path && read_file(&table, &root, err)) || check_required(&table, root, err)) {
        conf_done(keys, count, config);
        return -1;
    }
    return 0;
}

void conf_done(const struct conf_key *keys, size_t count, void *config)
{
    for (size_t i = 0; i < count; i++) {
        char **text = (char **)(void *)((char *)config + keys[i].offset);
        if (keys[i].type == CONF_TEXT)
            free(take(text));
    }
}

int conf_read_secret(const char *path, char **secret, struct err *err)
{
    *secret = NULL;
    if (*path == '\0')
        return 0;
    if (fs_read(path, SECRET_SIZE_MAX, secret, NULL, err))
        return err_prefix(err, "reading the secret in %s", path);
    (*secret)[strcspn(*secret, "\r\n")] = '\0';
    return 0;
}

void conf_print(FILE *out, const struct conf_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct conf_key *key = &keys[i];
        fprintf(out, "%s (%s", key->name, kinds[key->type].name);
        if (!key->fallback)
            fputs(", required", out);
        else
            fprintf(out, ", default %s", *key->fallback ? key->fallback : "\"\"");
        if (key->min)
            fprintf(out, ", at least %s", key->min);
        if (key->max)
            fprintf(out, ", at most %s", key->max);
        fprintf(out, ")\n    %s\n", key->help);
    }
}
