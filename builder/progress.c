#include "builder/progress.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { STEPS_MAX = 4096, DIGEST_MAX = 256, NAME_MAX_BYTES = 512, ERROR_MAX = 4096 };

/* ---- protobuf ---- */

struct reader {
    const uint8_t *at, *end;
    bool is_bad;
};

struct field {
    uint64_t number, value; /* value of a varint or a fixed field */
    const uint8_t *data;    /* of a length-delimited one, else NULL */
    size_t len;
};

static bool read_varint(struct reader *r, uint64_t *value)
{
    uint64_t sum = 0;

    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return false;
}

static bool read_bytes(struct reader *r, size_t len, const uint8_t **data)
{
    if (len > (size_t)(r->end - r->at))
        return false;
    *data = r->at;
    r->at += len;
    return true;
}

static bool read_value(struct reader *r, unsigned wire, struct field *f)
{
    const uint8_t *skipped;
    uint64_t len;

    switch (wire) {
    case 0:
        return read_varint(r, &f->value);
    case 1:
        return read_bytes(r, 8, &skipped);
    case 2:
        if (!read_varint(r, &len) || len > SIZE_MAX || !read_bytes(r, (size_t)len, &f->data))
            return false;
        f->len = (size_t)len;
        return true;
    case 5:
        return read_bytes(r, 4, &skipped);
    default:
        return false;
    }
}

/* The next field; false at the end, and when malformed (`is_bad`). */
static bool next_field(struct reader *r, struct field *f)
{
    uint64_t key;

    *f = (struct field){ 0 };
    if (r->at == r->end)
        return false;
    if (read_varint(r, &key) && read_value(r, (unsigned)(key & 7), f)) {
        f->number = key >> 3;
        return true;
    }
    r->is_bad = true;
    return false;
}

/* ---- steps ---- */

struct step {
    char *digest, *name;
    unsigned number; /* 0: not shown so far */
    bool is_over;    /* its end was shown; it may still fail: BuildKit runs some steps twice */
    bool is_failed;
    struct log_lines lines;
    struct progress *progress;
};

struct progress {
    line_fn line;
    void *arg;
    struct step **steps;
    size_t count;
    unsigned shown;
    char *failed_step, *failed_error, *missing_image;
};

struct vertex {
    struct field digest, name, error;
    bool is_cached, is_started, is_completed;
    double started, completed;
};

struct progress *progress_new(line_fn line, void *arg)
{
    struct progress *p = xcalloc(1, sizeof *p);

    p->line = line;
    p->arg = arg;
    return p;
}

void progress_free(struct progress *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++) {
        log_lines_done(&p->steps[i]->lines);
        free(p->steps[i]->digest);
        free(p->steps[i]->name);
        free(p->steps[i]);
    }
    free(p->steps);
    free(p->failed_step);
    free(p->failed_error);
    free(p->missing_image);
    free(p);
}

static void put_line(const struct step *step, const char *text, size_t len)
{
    auto_free char *line = xasprintf("#%u %.*s", step->number, (int)len, text);
    step->progress->line(step->progress->arg, line, strlen(line));
}

static void on_output(void *arg, const char *text, size_t len)
{
    put_line(arg, text, len);
}

static struct step *find_step(const struct progress *p, const struct field *digest)
{
    for (size_t i = p->count; i > 0; i--)
        if (strlen(p->steps[i - 1]->digest) == digest->len &&
            memcmp(p->steps[i - 1]->digest, digest->data, digest->len) == 0)
            return p->steps[i - 1];
    return NULL;
}

/* "[2/4] RUN x" → "RUN x"; "[build 2/4] RUN x" keeps the stage: "[build] RUN x". */
static char *step_name(const struct field *field)
{
    size_t max = field->len < NAME_MAX_BYTES ? field->len : NAME_MAX_BYTES;
    auto_free char *name = log_lines_clean(field->data, max);
    const char *close = strchr(name, ']');

    if (name[0] != '[' || !close || close[1] != ' ' || !close[2])
        return take(&name);
    const char *inner = name + 1;
    size_t counter = strspn(inner, "0123456789/");
    if (inner + counter == close)
        return xstrdup(close + 2);
    const char *space = memrchr(inner, ' ', (size_t)(close - inner));
    if (!space || space + 1 + strspn(space + 1, "0123456789/") != close)
        return take(&name);
    return xasprintf("[%.*s] %s", (int)(space - inner), inner, close + 2);
}

static struct step *add_step(struct progress *p, const struct field *digest,
                             const struct field *name)
{
    if (p->count == STEPS_MAX || digest->len == 0 || digest->len > DIGEST_MAX ||
        memchr(digest->data, 0, digest->len))
        return NULL;
    struct step *step = xcalloc(1, sizeof *step);
    step->digest = xstrndup((const char *)digest->data, digest->len);
    step->name = name->data ? step_name(name) : xstrdup("");
    step->progress = p;
    log_lines_init(&step->lines, on_output, step);
    p->steps = xreallocarray(p->steps, p->count + 1, sizeof *p->steps);
    p->steps[p->count++] = step;
    return step;
}

static void show(struct step *step)
{
    if (step->number)
        return;
    step->number = ++step->progress->shown;
    put_line(step, step->name, strlen(step->name));
}

static bool is_internal(const struct step *step)
{
    return text_starts(step->name, "[internal]") || text_starts(step->name, "copy /context");
}

/* ---- messages ---- */

static double read_time(const struct field *field)
{
    struct reader r = { field->data, field->data + field->len, false };
    struct field f;
    double seconds = 0;

    while (next_field(&r, &f))
        if (f.number == 1)
            seconds += (double)(int64_t)f.value;
        else if (f.number == 2)
            seconds += (double)(int32_t)f.value / 1e9;
    return seconds;
}

static bool read_vertex(const struct field *message, struct vertex *v)
{
    struct reader r = { message->data, message->data + message->len, false };
    struct field f;

    while (next_field(&r, &f)) {
        if (f.number == 4)
            v->is_cached = f.value != 0;
        if (!f.data)
            continue;
        if (f.number == 1)
            v->digest = f;
        else if (f.number == 3)
            v->name = f;
        else if (f.number == 5)
            v->is_started = true, v->started = read_time(&f);
        else if (f.number == 6)
            v->is_completed = true, v->completed = read_time(&f);
        else if (f.number == 7)
            v->error = f;
    }
    return !r.is_bad && v->digest.data;
}

/* "[internal] load metadata for IMAGE", "FROM IMAGE" or "resolve image config for IMAGE" → IMAGE.
 */
static const char *image_of(const char *name)
{
    static const char *const prefixes[] = { "[internal] load metadata for ", "FROM ",
                                            "resolve image config for " };
    const char *close = name[0] == '[' ? strchr(name, ']') : NULL;

    for (size_t i = 0; i < countof(prefixes); i++) {
        if (text_starts(name, prefixes[i]))
            return name + strlen(prefixes[i]);
        if (close && text_starts(close, "] ") && text_starts(close + 2, prefixes[i]))
            return close + 2 + strlen(prefixes[i]);
    }
    return NULL;
}

static void note_failure(struct progress *p, struct step *step, const struct field *error)
{
    size_t max = error->len < ERROR_MAX ? error->len : ERROR_MAX;
    auto_free char *text = log_lines_clean(error->data, max);
    auto_free char *line = xasprintf("ERROR: %s", text);

    if (strstr(text, "context canceled")) /* another step failed, or the build was cancelled */
        return;
    show(step);
    put_line(step, line, strlen(line));
    step->is_failed = true;
    if (p->failed_step)
        return;
    p->failed_step = xstrdup(step->name);
    p->failed_error = take(&text);
    const char *image = image_of(step->name);
    if (image)
        p->missing_image = xstrdup(image);
}

static void end_step(struct progress *p, struct step *step, const struct vertex *v)
{
    log_lines_flush(&step->lines);
    step->is_over = true;
    if (v->error.data && v->error.len) {
        note_failure(p, step, &v->error);
        return;
    }
    if (is_internal(step))
        return;
    show(step);
    double seconds = v->completed - v->started;
    auto_free char *line =
        v->is_cached ? xstrdup("CACHED") : xasprintf("DONE %.1fs", seconds >= 0 ? seconds : 0.0);
    put_line(step, line, strlen(line));
}

static bool add_vertex(struct progress *p, const struct field *message)
{
    struct vertex v = { 0 };

    if (!read_vertex(message, &v))
        return false;
    struct step *step = find_step(p, &v.digest);
    if (!step)
        step = add_step(p, &v.digest, &v.name);
    if (!step || step->is_failed || (step->is_over && !v.error.len))
        return true;
    if (v.is_started && !is_internal(step))
        show(step);
    if (v.is_completed)
        end_step(p, step, &v);
    return true;
}

static bool add_log(struct progress *p, const struct field *message)
{
    struct reader r = { message->data, message->data + message->len, false };
    struct field f, digest = { 0 }, text = { 0 };

    while (next_field(&r, &f))
        if (f.number == 1)
            digest = f;
        else if (f.number == 4)
            text = f;
    if (r.is_bad || !digest.data)
        return false;
    struct step *step = find_step(p, &digest);
    if (!step || !text.data)
        return true;
    show(step);
    log_lines_add(&step->lines, text.data, text.len);
    return true;
}

bool progress_add(struct progress *p, const void *data, size_t len)
{
    struct reader r = { data, (const uint8_t *)data + len, false };
    struct field f;

    while (next_field(&r, &f)) {
        if (!f.data)
            continue;
        if ((f.number == 1 && !add_vertex(p, &f)) || (f.number == 3 && !add_log(p, &f)))
            return false;
    }
    return !r.is_bad;
}

void progress_flush(struct progress *p)
{
    for (size_t i = 0; i < p->count; i++)
        log_lines_flush(&p->steps[i]->lines);
}

const char *progress_failed_step(const struct progress *p)
{
    return p->failed_step;
}

const char *progress_failed_error(const struct progress *p)
{
    return p->failed_error;
}

const char *progress_missing_image(const struct progress *p)
{
    return p->missing_image;
}
