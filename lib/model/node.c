#include "model/node.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/text.h"

/* ---- nodes ---- */

static void node_done(struct node *node)
{
    for (size_t i = 0; i < node->count; i++)
        node_done(&node->items[i]);
    free(node->items);
    free(node->key);
    free(node->text);
}

void node_free(struct node *root)
{
    if (!root)
        return;
    node_done(root);
    free(root);
}

const char *node_kind_name(const struct node *node)
{
    static const char *const names[] = {
        [NODE_EMPTY] = "nothing", [NODE_PLAIN] = "a single value", [NODE_TEXT] = "a text",
        [NODE_LIST] = "a list",   [NODE_MAP] = "a mapping",
    };
    return names[node->kind];
}

int node_err(struct err *err, const char *file, const struct node *node, const char *field,
             const char *hint, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!node->line)
        return err_field(err, field, hint, "%s", text);
    return err_field(err, field, hint, "%s:%zu: %s", file, node->line, text);
}

/* Adds a zeroed item; the pointer holds until the next one is added. */
static struct node *add_item(struct node *parent)
{
    parent->items = xreallocarray(parent->items, parent->count + 1, sizeof *parent->items);
    parent->items[parent->count] = (struct node){ 0 };
    return &parent->items[parent->count++];
}

/* ---- YAML ---- */

struct reader {
    yaml_parser_t parser;
    const char *file;
    struct err *err;
};

__attribute__((format(printf, 3, 4))) static int fail(struct reader *reader, size_t line,
                                                      const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(reader->err, ERR_INVALID, "%s:%zu: %s", reader->file, line, text);
}

static inline void event_done(yaml_event_t *event)
{
    yaml_event_delete(event);
}
#define auto_event __attribute__((__cleanup__(event_done))) yaml_event_t

static size_t event_line(const yaml_event_t *event)
{
    return event->start_mark.line + 1;
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
    yaml_parser_t *parser = &reader->parser;

    if (yaml_parser_parse(parser, event))
        return 0;
    return fail(reader, parser->problem_mark.line + 1, "not YAML: %s",
                parser->problem ? parser->problem : "unreadable");
}

/* Refuses what lets one document mean something else than it shows. */
static int check_properties(struct reader *reader, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return fail(reader, event_line(event), "aliases (*name) are not supported");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return fail(reader, event_line(event), "anchors (&name) are not supported");
    if (tag)
        return fail(reader, event_line(event), "tags (!name) are not supported");
    return 0;
}

static bool is_null_word(const char *text)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };

    for (size_t i = 0; i < countof(words); i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

static int read_scalar(struct reader *reader, const yaml_event_t *event, struct node *node)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;

    if (memchr(text, 0, len))
        return fail(reader, event_line(event), "a NUL character is not allowed");
    node->kind = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? NODE_PLAIN : NODE_TEXT;
    if (node->kind == NODE_PLAIN && is_null_word(text))
        node->kind = NODE_EMPTY;
    node->text = xstrndup(text, len);
    return 0;
}

/* Keys are quoted in messages. */
static const char *key_fault(const char *key)
{
    if (!*key)
        return "a key is empty";
    if (strlen(key) > NODE_KEY_MAX)
        return "a key is longer than 256 bytes";
    for (const char *c = key; *c; c++)
        if (iscntrl((unsigned char)*c))
            return "a key contains a control character";
    return NULL;
}

/* The key of the next item, checked against its siblings. */
static int read_key(struct reader *reader, const yaml_event_t *event, const struct node *map,
                    struct node *item)
{
    struct node key = { 0 };

    if (check_properties(reader, event))
        return -1;
    if (event->type != YAML_SCALAR_EVENT)
        return fail(reader, event_line(event), "a key must be a single word");
    if (read_scalar(reader, event, &key))
        return -1;
    item->key = key.text;
    item->line = event_line(event);
    if (key_fault(item->key))
        return fail(reader, item->line, "%s", key_fault(item->key));
    for (size_t i = 0; i + 1 < map->count; i++)
        if (strcmp(map->items[i].key, item->key) == 0)
            return fail(reader, item->line, "`%.100s` stands here a second time, first in line %zu",
                        item->key, map->items[i].line);
    return 0;
}

static int read_value(struct reader *reader, const yaml_event_t *event, size_t depth,
                      struct node *node);

/* The items up to the end event. */
static int read_items(struct reader *reader, size_t depth, struct node *parent)
{
    bool is_map = parent->kind == NODE_MAP;

    for (;;) {
        auto_event event = { 0 }, value = { 0 };
        if (next_event(reader, &event))
            return -1;
        if (event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (parent->count == NODE_ITEMS_MAX)
            return fail(reader, event_line(&event), "more than %d items in %s", NODE_ITEMS_MAX,
                        node_kind_name(parent));
        struct node *item = add_item(parent);
        if (is_map && (read_key(reader, &event, parent, item) || next_event(reader, &value)))
            return -1;
        if (read_value(reader, is_map ? &value : &event, depth, item))
            return -1;
    }
}

static int read_value(struct reader *reader, const yaml_event_t *event, size_t depth,
                      struct node *node)
{
    if (check_properties(reader, event))
        return -1;
    if (!node->line)
        node->line = event_line(event);
    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(reader, event, node);
    if (depth == NODE_DEPTH_MAX)
        return fail(reader, event_line(event), "nested deeper than %d levels", NODE_DEPTH_MAX);
    node->kind = event->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_LIST;
    return read_items(reader, depth + 1, node);
}

static int read_document_start(struct reader *reader, const yaml_event_t *event)
{
    if (event->data.document_start.version_directive ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
        return fail(reader, event_line(event), "directives (%%) are not supported");
    return 0;
}

static int read_stream(struct reader *reader, struct node *root)
{
    auto_event stream = { 0 }, document = { 0 }, value = { 0 }, end = { 0 }, more = { 0 };

    if (next_event(reader, &stream) || next_event(reader, &document))
        return -1;
    root->kind = NODE_MAP;
    if (document.type == YAML_STREAM_END_EVENT)
        return 0;
    if (read_document_start(reader, &document) || next_event(reader, &value) ||
        read_value(reader, &value, 0, root))
        return -1;
    if (next_event(reader, &end) || next_event(reader, &more))
        return -1;
    if (more.type != YAML_STREAM_END_EVENT)
        return fail(reader, event_line(&more), "a second document is not supported");
    if (root->kind == NODE_EMPTY)
        root->kind = NODE_MAP;
    return 0;
}

/* libyaml would take UTF-16 and some bytes that are no UTF-8; refused before, with the line. */
int node_check_bytes(const char *text, size_t len, const char *file, struct err *err)
{
    auto_free char *valid = text_utf8(text, len);
    size_t valid_len = strlen(valid), at = 0, line = 1;

    while (at < len && at < valid_len && text[at] == valid[at])
        line += text[at++] == '\n';
    if (at == len)
        return 0;
    return err_set(err, ERR_INVALID, "%s:%zu: %s", file, line,
                   text[at] ? "not valid UTF-8" : "a NUL character is not allowed");
}

int node_read_yaml(const char *text, size_t len, const char *file, struct node **root,
                   struct err *err)
{
    struct reader reader = { .file = file, .err = err };
    auto_node *node = xcalloc(1, sizeof *node);

    if (node_check_bytes(text, len, file, err))
        return -1;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (!yaml_parser_initialize(&reader.parser))
        abort();
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, len);
    int result = read_stream(&reader, node);
    yaml_parser_delete(&reader.parser);
    if (result == 0)
        *root = take(&node);
    return result;
}

/* ---- JSON ---- */

/* The shortest text that reads back as the same number. */
static char *real_text(double real)
{
    for (int precision = 1; precision < 17; precision++) {
        auto_free char *text = xasprintf("%.*g", precision, real);
        if (strtod(text, NULL) == real)
            return take(&text);
    }
    return xasprintf("%.17g", real);
}

static int copy_string(const json_t *value, struct node *node, struct err *err)
{
    node->kind = NODE_TEXT;
    node->text = xstrdup(json_string_value(value));
    if (strlen(node->text) == json_string_length(value))
        return 0;
    return err_set(err, ERR_INVALID, "a NUL character is not allowed");
}

static int copy_json(const json_t *value, size_t depth, struct node *node, struct err *err);

static int copy_items(const json_t *value, size_t depth, struct node *node, struct err *err)
{
    const char *key;
    json_t *item;
    size_t i;

    if (json_object_size(value) > NODE_ITEMS_MAX || json_array_size(value) > NODE_ITEMS_MAX)
        return err_set(err, ERR_INVALID, "more than %d items in %s", NODE_ITEMS_MAX,
                       node_kind_name(node));
    json_array_foreach(value, i, item) {
        if (copy_json(item, depth, add_item(node), err))
            return -1;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item) {
        struct node *child = add_item(node);
        child->key = xstrdup(key);
        if (key_fault(key))
            return err_set(err, ERR_INVALID, "%s", key_fault(key));
        if (copy_json(item, depth, child, err))
            return -1;
    }
    return 0;
}

static int copy_json(const json_t *value, size_t depth, struct node *node, struct err *err)
{
    node->kind = NODE_PLAIN;
    switch (json_typeof(value)) {
    case JSON_NULL:
        node->kind = NODE_EMPTY;
        return 0;
    case JSON_STRING:
        return copy_string(value, node, err);
    case JSON_INTEGER:
        node->text = xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return 0;
    case JSON_REAL:
        node->text = real_text(json_real_value(value));
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        node->text = xstrdup(json_is_true(value) ? "true" : "false");
        return 0;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    node->kind = json_is_object(value) ? NODE_MAP : NODE_LIST;
    if (depth == NODE_DEPTH_MAX)
        return err_set(err, ERR_INVALID, "nested deeper than %d levels", NODE_DEPTH_MAX);
    return copy_items(value, depth + 1, node, err);
}

int node_read_json(const json_t *value, struct node **root, struct err *err)
{
    auto_node *node = xcalloc(1, sizeof *node);

    if (copy_json(value, 0, node, err))
        return -1;
    *root = take(&node);
    return 0;
}
