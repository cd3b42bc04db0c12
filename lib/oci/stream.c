/* Answers that come as they happen: split into lines, each a JSON value. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "oci/internal.h"

/* ---- lines ---- */

/* The daemon and the registries behind it have no codes here, only these words. */
static enum err_class class_of_message(const char *message)
{
    static const struct {
        const char *words;
        enum err_class class;
    } classes[] = {
        { "manifest unknown", ERR_NOT_FOUND },       { "not found", ERR_NOT_FOUND },
        { "does not exist", ERR_NOT_FOUND },         { "no such image", ERR_NOT_FOUND },
        { "access denied", ERR_NOT_FOUND },          { "no space left", ERR_EXHAUSTED },
        { "i/o timeout", ERR_UNAVAILABLE },          { "connection refused", ERR_UNAVAILABLE },
        { "no such host", ERR_UNAVAILABLE },         { "unauthorized", ERR_DENIED },
        { "no basic auth credentials", ERR_DENIED },
    };

    for (size_t i = 0; i < countof(classes); i++)
        if (strcasestr(message, classes[i].words))
            return classes[i].class;
    return ERR_INVALID;
}

static void note_error(struct lines *lines, const json_t *json)
{
    const char *message = json_string_value(json_object_get(json, "error"));

    if (message && !lines->failed.class)
        err_set(&lines->failed, class_of_message(message), "%s", message);
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r", text[i]) || text[i] == '\0')
            return false;
    return true;
}

static int give_line(struct lines *lines, const char *text, size_t len, struct err *err)
{
    if (is_blank(text, len))
        return 0;
    json_auto_t *json = json_loadb(text, len, JSON_DECODE_ANY, NULL);
    if (!json)
        return err_set(err, ERR_UNAVAILABLE, "a line of the Docker daemon's answer is no JSON");
    note_error(lines, json);
    return lines->line(lines->arg, json, err);
}

static int keep(struct lines *lines, const char *text, size_t len, struct err *err)
{
    if (len > ENGINE_LINE_MAX - lines->len)
        return err_set(err, ERR_UNAVAILABLE,
                       "a line of the Docker daemon's answer is above %d bytes", ENGINE_LINE_MAX);
    if (lines->len + len > lines->size) {
        lines->size = (lines->len + len) * 2;
        lines->text = xreallocarray(lines->text, lines->size, 1);
    }
    if (len)
        memcpy(lines->text + lines->len, text, len);
    lines->len += len;
    return 0;
}

int lines_end(struct lines *lines, struct err *err)
{
    size_t len = lines->len;

    lines->len = 0;
    return give_line(lines, lines->text, len, err);
}

int lines_add(struct lines *lines, const void *data, size_t len, struct err *err)
{
    const char *p = data, *end = p + len, *newline;

    for (; p < end && (newline = memchr(p, '\n', (size_t)(end - p))); p = newline + 1)
        if (keep(lines, p, (size_t)(newline - p), err) || lines_end(lines, err))
            return -1;
    return keep(lines, p, (size_t)(end - p), err);
}

void lines_done(struct lines *lines)
{
    free(lines->text);
}

/* ---- the call ---- */

struct streaming {
    const struct engine_stream *stream;
    struct lines lines;
};

static int64_t on_read(void *arg, void *buffer, size_t size, struct err *err)
{
    struct streaming *s = arg;

    return s->stream->read(s->stream->arg, buffer, size, err);
}

static int on_write(void *arg, const void *data, size_t len, struct err *err)
{
    struct streaming *s = arg;

    if (s->stream->data)
        return s->stream->data(s->stream->arg, data, len, err);
    return lines_add(&s->lines, data, len, err);
}

static int finish(struct streaming *s, const struct http_answer *answer, struct err *err)
{
    if (engine_check(answer, err))
        return -1;
    if (s->stream->line && lines_end(&s->lines, err))
        return -1;
    if (s->lines.failed.class) {
        *err = s->lines.failed;
        return -1;
    }
    return 0;
}

int engine_stream(struct engine *engine, const struct engine_stream *stream, struct err *err)
{
    struct streaming s = { .stream = stream,
                           .lines = { .line = stream->line, .arg = stream->arg } };
    auto_http_answer answer = { .status = 0 };
    struct http_call call = { .method = stream->method,
                              .headers = stream->headers,
                              .read = stream->read ? on_read : NULL,
                              .read_len = stream->read_len,
                              .write = on_write,
                              .arg = &s,
                              .timeout_ms = stream->timeout_ms,
                              .idle_ms = stream->idle_ms,
                              .cancelled = stream->cancelled };

    int rc = engine_run(engine, &call, stream->path, &answer, err);
    if (rc == 0)
        rc = finish(&s, &answer, err);
    lines_done(&s.lines);
    return rc;
}
