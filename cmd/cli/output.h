/* What a command prints: tables for people, JSON and YAML for programs. One thread. */
#ifndef CMD_CLI_OUTPUT_H
#define CMD_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

struct output {
    enum output_format format;
    FILE *file;
    bool is_terminal;
    bool has_colour;
    size_t width;   /* columns of the terminal; 0: no limit */
    int64_t now_ms; /* for ages */
};

enum column_kind {
    COLUMN_TEXT,
    COLUMN_STATE, /* coloured by its meaning */
    COLUMN_AGE,   /* RFC 3339, shown as "3m" */
    COLUMN_SHORT, /* commits and digests: the first 12 characters */
    COLUMN_LIST,  /* array of texts, shown with commas */
};

struct column {
    const char *title;
    const char *path; /* members of the row, with dots: "live.release" */
    enum column_kind kind;
};

/* Standard output as it is: terminal or not, its width, NO_COLOR. */
void output_init(struct output *output);
bool output_set_format(struct output *output, const char *name);

/* A list: a row for each item. In JSON and YAML the items whole. */
void output_list(const struct output *output, const json_t *items, const struct column *columns,
                 size_t count);

/* One object: a line "title  value" for each column that has a value. In JSON and YAML it whole. */
void output_object(const struct output *output, const json_t *object, const struct column *columns,
                   size_t count);

/* JSON or YAML, whatever the value; as JSON for OUTPUT_TABLE. */
void output_value(const struct output *output, const json_t *value);

/* For streams: in JSON and YAML the value on one line as JSON, and true. */
bool output_line_value(const struct output *output, const json_t *value);

/* A line of text from outside, made visible. `state` colours it and may be NULL. */
void output_line(const struct output *output, const char *state, const char *text);

/* For people only: nothing in JSON and YAML. The arguments are texts of this program or made
 * visible before. */
void output_note(const struct output *output, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The member at a path, or NULL. Borrowed. */
const json_t *json_at(const json_t *object, const char *path);
/* The text at a path, or "". Borrowed. */
const char *json_text_at(const json_t *object, const char *path);

#endif
