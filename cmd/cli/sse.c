#include "cmd/cli/sse.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { ID_MAX = 128 };

struct buffer {
    char *text; /* NUL-terminated when not NULL */
    size_t len, room;
};

struct sse {
    struct buffer line;  /* begun */
    struct buffer data;  /* of the begun event */
    struct buffer event; /* its name */
    struct buffer id;    /* of the begun event */
    char *last_id;
    bool has_data, has_id, after_cr;
};

static void add(struct buffer *b, const char *data, size_t len)
{
    if (b->len + len + 1 > b->room) {
        b->room = (b->len + len + 1) * 2;
        b->text = xreallocarray(b->text, b->room, 1);
    }
    memcpy(b->text + b->len, data, len);
    b->len += len;
    b->text[b->len] = '\0';
}

static void clear(struct buffer *b)
{
    b->len = 0;
    add(b, "", 0);
}

struct sse *sse_new(void)
{
    struct sse *sse = xcalloc(1, sizeof *sse);

    sse->last_id = xstrdup("");
    sse_reset(sse);
    return sse;
}

void sse_free(struct sse *sse)
{
    if (!sse)
        return;
    free(sse->line.text);
    free(sse->data.text);
    free(sse->event.text);
    free(sse->id.text);
    free(sse->last_id);
    free(sse);
}

void sse_reset(struct sse *sse)
{
    clear(&sse->line);
    clear(&sse->data);
    clear(&sse->event);
    clear(&sse->id);
    sse->has_data = sse->has_id = sse->after_cr = false;
}

const char *sse_last_id(const struct sse *sse)
{
    return sse->last_id;
}

/* It goes into a request header: bounded, and printable characters only. */
static bool is_id(const char *id)
{
    for (const char *c = id; *c; c++)
        if (*c < ' ' || *c >= 0x7f)
            return false;
    return strlen(id) <= ID_MAX;
}

static void take_field(struct sse *sse)
{
    const char *line = sse->line.text;
    size_t name_len = strcspn(line, ":");
    const char *value = line + name_len + (line[name_len] == ':');

    value += *value == ' ';
    if (name_len == 4 && memcmp(line, "data", 4) == 0) {
        if (sse->has_data)
            add(&sse->data, "\n", 1);
        add(&sse->data, value, strlen(value));
        sse->has_data = true;
    } else if (name_len == 5 && memcmp(line, "event", 5) == 0) {
        clear(&sse->event);
        add(&sse->event, value, strlen(value));
    } else if (name_len == 2 && memcmp(line, "id", 2) == 0 && is_id(value)) {
        clear(&sse->id);
        add(&sse->id, value, strlen(value));
        sse->has_id = true;
    }
}

typedef int event_fn(void *arg, const char *event, const char *data, struct err *err);

static int end_line(struct sse *sse, event_fn *event, void *arg, struct err *err)
{
    int rc = 0;

    if (sse->line.len) {
        take_field(sse);
        clear(&sse->line);
        return 0;
    }
    if (sse->has_id) {
        free(sse->last_id);
        sse->last_id = xstrdup(sse->id.text);
    }
    if (sse->has_data)
        rc = event(arg, sse->event.text, sse->data.text, err);
    sse_reset(sse);
    return rc;
}

int sse_feed(struct sse *sse, const void *data, size_t len, event_fn *event, void *arg,
             struct err *err)
{
    const char *c = data, *end = c + len;

    while (c < end) {
        if (sse->after_cr && *c == '\n') { /* \r\n is one end */
            sse->after_cr = false;
            c++;
            continue;
        }
        sse->after_cr = false;
        const char *stop = c;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        if (sse->line.len + sse->data.len + (size_t)(stop - c) > SSE_EVENT_MAX)
            return err_set(err, ERR_EXHAUSTED, "an event of the server is larger than %d bytes",
                           SSE_EVENT_MAX);
        add(&sse->line, c, (size_t)(stop - c));
        c = stop;
        if (c == end)
            break;
        bool is_cr = *c++ == '\r';
        int rc = end_line(sse, event, arg, err);
        sse->after_cr = is_cr;
        if (rc)
            return rc;
    }
    return 0;
}
