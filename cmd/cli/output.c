/* Tables: every cell is made visible first, then columns get their natural width; when the terminal
 * is narrower the widest columns give way, down to CELL_MIN. */
#include "cmd/cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/visible.h"
#include "cmd/cli/yaml_text.h"

enum { GAP = 2, CELL_MIN = 6, SHORT_LEN = 12 };

static const char *const format_names[] = { "table", "json", "yaml" };

/* What a state means to people; the rest stays as it is. Sorted by nothing: looked through. */
static const struct {
    const char *state, *colour;
} colours[] = {
    { "live", "32" },      { "ready", "32" },   { "succeeded", "32" }, { "running", "32" },
    { "true", "32" },      { "failed", "31" },  { "rejected", "31" },  { "lost", "31" },
    { "false", "31" },     { "exited", "31" },  { "queued", "33" },    { "pending", "33" },
    { "building", "33" },  { "held", "33" },    { "cancelled", "33" }, { "superseded", "33" },
    { "deploying", "33" }, { "stopped", "33" },
};

void output_init(struct output *output)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize size = { 0 };

    *output = (struct output){ .file = stdout, .now_ms = clock_now_ms(clock_system()) };
    output->is_terminal = isatty(STDOUT_FILENO);
    output->has_colour =
        output->is_terminal && !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
    if (output->is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        output->width = size.ws_col;
}

bool output_set_format(struct output *output, const char *name)
{
    for (size_t i = 0; i < countof(format_names); i++)
        if (strcmp(format_names[i], name) == 0) {
            output->format = (enum output_format)i;
            return true;
        }
    return false;
}

const json_t *json_at(const json_t *object, const char *path)
{
    while (object && *path) {
        size_t len = strcspn(path, ".");
        object = json_object_getn(object, path, len);
        path += len + (path[len] == '.');
    }
    return object;
}

const char *json_text_at(const json_t *object, const char *path)
{
    const char *text = json_string_value(json_at(object, path));

    return text ? text : "";
}

/* ---- cells ---- */

/* "2026-01-31T08:00:00.000Z" → "3m"; what is no time stays as it is. */
static char *age_text(const char *text, int64_t now_ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
    struct tm tm = { 0 };

    if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        return xstrdup(text);
    int64_t age_ms = now_ms - (int64_t)timegm(&tm) * 1000;
    for (size_t i = 0; i < countof(units); i++)
        if (age_ms >= units[i].ms)
            return xasprintf("%lld%s", (long long)(age_ms / units[i].ms), units[i].unit);
    return xstrdup("0s");
}

static char *list_text(const json_t *array)
{
    char *text = NULL;
    size_t len, i;
    const json_t *item;
    FILE *out = xmemstream(&text, &len);

    json_array_foreach((json_t *)(uintptr_t)array, i, item)
        fprintf(out, "%s%s", i ? ", " : "", json_is_string(item) ? json_string_value(item) : "?");
    fclose(out);
    return text;
}

static char *scalar_text(const json_t *value)
{
    if (!value || json_is_null(value))
        return xstrdup("");
    if (json_is_string(value))
        return xstrdup(json_string_value(value));
    if (json_is_array(value))
        return list_text(value);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? text : xstrdup("?");
}

static char *cell_text(const struct output *output, const json_t *row, const struct column *column)
{
    auto_free char *raw = scalar_text(json_at(row, column->path));
    const char *text = raw;

    if (column->kind == COLUMN_AGE && *raw) {
        auto_free char *age = age_text(raw, output->now_ms);
        return visible(age);
    }
    if (column->kind == COLUMN_SHORT) {
        text = text_starts(raw, "sha256:") ? raw + 7 : raw;
        auto_free char *cut = xstrndup(text, SHORT_LEN);
        return visible(cut);
    }
    return visible(text);
}

static const char *colour_of(const struct output *output, const char *state)
{
    if (!output->has_colour || !state)
        return NULL;
    for (size_t i = 0; i < countof(colours); i++)
        if (strcmp(colours[i].state, state) == 0)
            return colours[i].colour;
    return NULL;
}

static void put_cell(const struct output *output, const struct column *column, const char *text,
                     size_t width, bool is_last)
{
    auto_free char *cut = visible_cut(text, width);
    const char *colour = column->kind == COLUMN_STATE ? colour_of(output, text) : NULL;

    if (colour)
        fprintf(output->file, "\033[%sm%s\033[0m", colour, cut);
    else
        fputs(cut, output->file);
    if (!is_last)
        fprintf(output->file, "%*s", (int)(width - visible_width(cut) + GAP), "");
}

/* ---- tables ---- */

/* Takes from the widest column until the row fits. */
static void fit(const struct output *output, size_t *widths, size_t count)
{
    size_t total = GAP * (count - 1);

    for (size_t i = 0; i < count; i++)
        total += widths[i];
    while (output->width && total > output->width) {
        size_t widest = 0;
        for (size_t i = 1; i < count; i++)
            if (widths[i] > widths[widest])
                widest = i;
        if (widths[widest] <= CELL_MIN)
            return;
        widths[widest]--;
        total--;
    }
}

static void print_table(const struct output *output, const json_t *items,
                        const struct column *columns, size_t count)
{
    size_t rows = json_array_size(items);
    char **cells = xcalloc(rows * count + 1, sizeof *cells);
    size_t *widths = xcalloc(count, sizeof *widths);

    for (size_t c = 0; c < count; c++)
        widths[c] = strlen(columns[c].title);
    for (size_t i = 0; i < rows * count; i++) {
        cells[i] = cell_text(output, json_array_get(items, i / count), &columns[i % count]);
        size_t width = visible_width(cells[i]);
        if (width > widths[i % count])
            widths[i % count] = width;
    }
    fit(output, widths, count);
    static const struct column plain = { .kind = COLUMN_TEXT };
    for (size_t c = 0; c < count; c++)
        put_cell(output, &plain, columns[c].title, widths[c], c + 1 == count);
    putc('\n', output->file);
    for (size_t i = 0; i < rows * count; i++) {
        bool is_last = i % count + 1 == count;
        put_cell(output, &columns[i % count], cells[i], widths[i % count], is_last);
        if (is_last)
            putc('\n', output->file);
        free(cells[i]);
    }
    free(cells);
    free(widths);
}

void output_list(const struct output *output, const json_t *items, const struct column *columns,
                 size_t count)
{
    if (output->format != OUTPUT_TABLE)
        output_value(output, items);
    else if (json_array_size(items))
        print_table(output, items, columns, count);
    else if (output->is_terminal)
        fputs("(none)\n", output->file);
}

void output_object(const struct output *output, const json_t *object, const struct column *columns,
                   size_t count)
{
    size_t left = 0;

    if (output->format != OUTPUT_TABLE) {
        output_value(output, object);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (strlen(columns[i].title) > left)
            left = strlen(columns[i].title);
    for (size_t i = 0; i < count; i++) {
        auto_free char *cell = cell_text(output, object, &columns[i]);
        if (!*cell)
            continue;
        fprintf(output->file, "%-*s", (int)(left + GAP), columns[i].title);
        put_cell(output, &columns[i], cell, visible_width(cell), true);
        putc('\n', output->file);
    }
}

void output_value(const struct output *output, const json_t *value)
{
    /* On a terminal beyond ASCII everything is escaped, so that hidden characters show. */
    size_t flags = JSON_INDENT(2) | JSON_ENCODE_ANY | (output->is_terminal ? JSON_ENSURE_ASCII : 0);

    if (output->format == OUTPUT_YAML) {
        yaml_print(output->file, value, !output->is_terminal);
        return;
    }
    json_dumpf(value, output->file, flags);
    putc('\n', output->file);
}

/* ---- lines ---- */

bool output_line_value(const struct output *output, const json_t *value)
{
    if (output->format == OUTPUT_TABLE)
        return false;
    json_dumpf(value, output->file,
               JSON_COMPACT | JSON_ENCODE_ANY | (output->is_terminal ? JSON_ENSURE_ASCII : 0));
    putc('\n', output->file);
    fflush(output->file);
    return true;
}

void output_line(const struct output *output, const char *state, const char *text)
{
    auto_free char *clean = visible(text);
    const char *colour = colour_of(output, state);

    if (colour)
        fprintf(output->file, "\033[%sm%s\033[0m\n", colour, clean);
    else
        fprintf(output->file, "%s\n", clean);
    fflush(output->file);
}

void output_note(const struct output *output, const char *fmt, ...)
{
    va_list args;

    if (output->format != OUTPUT_TABLE)
        return;
    va_start(args, fmt);
    vfprintf(output->file, fmt, args);
    va_end(args);
    putc('\n', output->file);
    fflush(output->file);
}
