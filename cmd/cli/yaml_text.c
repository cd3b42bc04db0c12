#include "cmd/cli/yaml_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"

/* Words that a YAML 1.1 reader takes for something else than text. */
static const char *const reserved[] = { "y",   "n",    "yes",   "no",   "on",
                                        "off", "true", "false", "null", NULL };

/* May stand without quotes: begins with a letter, simple characters, no reserved word. */
static bool is_plain(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (!*text || !strchr(letters, *text))
        return false;
    if (text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-")])
        return false;
    for (size_t i = 0; reserved[i]; i++)
        if (strcasecmp(text, reserved[i]) == 0)
            return false;
    return true;
}

static void emit_scalar(yaml_emitter_t *emitter, const char *text, bool is_quoted)
{
    yaml_event_t event;
    yaml_scalar_style_t style =
        is_quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;

    yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text),
                                 1, 1, style);
    yaml_emitter_emit(emitter, &event);
}

static void emit_text(yaml_emitter_t *emitter, const char *text)
{
    emit_scalar(emitter, text, !is_plain(text));
}

static void emit_value(yaml_emitter_t *emitter, const json_t *value);

static void emit_object(yaml_emitter_t *emitter, const json_t *object)
{
    yaml_event_t event;
    const char *key;
    json_t *member;

    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_MAPPING_STYLE);
    yaml_emitter_emit(emitter, &event);
    json_object_foreach((json_t *)(uintptr_t)object, key, member) {
        emit_text(emitter, key);
        emit_value(emitter, member);
    }
    yaml_mapping_end_event_initialize(&event);
    yaml_emitter_emit(emitter, &event);
}

static void emit_array(yaml_emitter_t *emitter, const json_t *array)
{
    yaml_event_t event;
    size_t i;
    const json_t *item;

    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_SEQUENCE_STYLE);
    yaml_emitter_emit(emitter, &event);
    json_array_foreach((json_t *)(uintptr_t)array, i, item)
        emit_value(emitter, item);
    yaml_sequence_end_event_initialize(&event);
    yaml_emitter_emit(emitter, &event);
}

/* As deep as jansson reads: 2048. */
static void emit_value(yaml_emitter_t *emitter, const json_t *value)
{
    if (json_is_object(value)) {
        emit_object(emitter, value);
    } else if (json_is_array(value)) {
        emit_array(emitter, value);
    } else if (json_is_string(value)) {
        emit_text(emitter, json_string_value(value));
    } else {
        auto_free char *text = json_dumps(value, JSON_ENCODE_ANY);
        emit_scalar(emitter, text ? text : "null", false);
    }
}

void yaml_print(FILE *out, const json_t *value, bool is_unicode)
{
    yaml_emitter_t emitter;
    yaml_event_t event;

    yaml_emitter_initialize(&emitter);
    yaml_emitter_set_output_file(&emitter, out);
    yaml_emitter_set_unicode(&emitter, is_unicode);
    yaml_emitter_set_width(&emitter, -1);
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    yaml_emitter_emit(&emitter, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    yaml_emitter_emit(&emitter, &event);
    emit_value(&emitter, value);
    yaml_document_end_event_initialize(&event, 1);
    yaml_emitter_emit(&emitter, &event);
    yaml_stream_end_event_initialize(&event);
    yaml_emitter_emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
}

/* Events until the member's value: depth 1 is the top mapping, and there keys and values alternate.
 */
static char *find_member(yaml_parser_t *parser, const char *key)
{
    int depth = 0;
    bool is_key = true, is_found = false;

    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return NULL;
        yaml_event_type_t type = event.type;
        bool is_scalar = type == YAML_SCALAR_EVENT;
        const char *text = is_scalar ? (const char *)event.data.scalar.value : "";
        char *result = is_found && is_scalar && depth == 1 ? xstrdup(text) : NULL;
        bool is_ours = depth == 1 && is_key && is_scalar && strcmp(text, key) == 0;
        yaml_event_delete(&event);
        bool is_list = depth == 0 && type == YAML_SEQUENCE_START_EVENT; /* no members at the top */
        if (result || is_found || is_list || type == YAML_STREAM_END_EVENT ||
            type == YAML_DOCUMENT_END_EVENT)
            return result;
        is_found = is_ours;
        depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
        if (depth == 1)
            is_key = is_scalar ? !is_key : true; /* a nested value has just ended: a key is next */
        depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
    }
}

char *yaml_top_member(const char *text, size_t len, const char *key)
{
    yaml_parser_t parser;

    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    char *result = find_member(&parser, key);
    yaml_parser_delete(&parser);
    return result;
}
