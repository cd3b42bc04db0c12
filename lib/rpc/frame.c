#include "rpc/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "rpc/rpc.h"

enum {
    NUMBER_SIZE = 4,    /* the call number before bytes */
    ENVELOPE_MAX = 256, /* what any writer puts around a value */
};

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

int frame_parse(const unsigned char *data, size_t len, size_t payload_max, struct frame *frame,
                struct err *err)
{
    if (len < FRAME_HEADER)
        return 0;
    uint32_t size = get_u32(data);
    struct frame f = { .kind = data[4], .data = data + FRAME_HEADER, .len = size };

    /* judged by the header alone: a frame that will be refused is never waited for */
    if (size > payload_max)
        return err_set(err, ERR_INVALID, "a frame of %u bytes, %zu are allowed", size, payload_max);
    if (data[4] != FRAME_JSON && data[4] != FRAME_BYTES)
        return err_set(err, ERR_INVALID, "a frame of the unknown kind %u", data[4]);
    if (f.kind == FRAME_BYTES && size <= NUMBER_SIZE)
        return err_set(err, ERR_INVALID, "a data frame without data");
    f.size = FRAME_HEADER + (size_t)size;
    if (len < f.size)
        return 0;
    if (f.kind == FRAME_BYTES) {
        f.call = get_u32(f.data);
        f.data += NUMBER_SIZE;
        f.len -= NUMBER_SIZE;
    }
    *frame = f;
    return 1;
}

bool method_is_valid(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == n;
}

static int parse_call(struct message *m, struct err *err)
{
    const json_t *deadline = json_object_get(m->body, "deadline_ms");
    const json_t *finish = json_object_get(m->body, "finish");

    m->method = json_string_value(json_object_get(m->body, "method"));
    m->params = json_object_get(m->body, "params");
    m->deadline_ms = json_integer_value(deadline);
    m->is_finished = json_is_true(finish);
    if (!m->method || !method_is_valid(m->method))
        return err_set(err, ERR_INVALID, "a call without a method");
    if (m->params && !json_is_object(m->params))
        return err_set(err, ERR_INVALID, "a call whose params are no object");
    if (deadline && m->deadline_ms <= 0)
        return err_set(err, ERR_INVALID, "a call whose deadline_ms is no positive number");
    if (finish && !json_is_boolean(finish))
        return err_set(err, ERR_INVALID, "a call whose finish is neither true nor false");
    return 0;
}

static int parse_data(struct message *m, struct err *err)
{
    m->value = json_object_get(m->body, "value");
    return m->value ? 0 : err_set(err, ERR_INVALID, "data without a value");
}

static int parse_end(struct message *m, struct err *err)
{
    m->result = json_object_get(m->body, "result");
    m->error = json_object_get(m->body, "error");
    if (!m->result == !m->error || !json_is_object(m->result ? m->result : m->error))
        return err_set(err, ERR_INVALID, "an end without one object as result or error");
    return 0;
}

static int parse_window(struct message *m, struct err *err)
{
    json_int_t bytes = json_integer_value(json_object_get(m->body, "bytes"));

    if (bytes <= 0 || bytes > 2 * RPC_FRAME_MAX)
        return err_set(err, ERR_INVALID, "a window of %lld bytes", (long long)bytes);
    m->bytes = (size_t)bytes;
    return 0;
}

/* By enum message_type. The member that a message is named by holds its number. In a call `finish`
 * is an attribute: so the call is looked for first. */
static const struct {
    const char *name;
    int (*parse)(struct message *message, struct err *err);
} types[MESSAGE_TYPES] = {
    [MESSAGE_CALL] = { "call", parse_call }, [MESSAGE_CANCEL] = { "cancel", NULL },
    [MESSAGE_DATA] = { "data", parse_data }, [MESSAGE_END] = { "end", parse_end },
    [MESSAGE_FINISH] = { "finish", NULL },   [MESSAGE_PING] = { "ping", NULL },
    [MESSAGE_PONG] = { "pong", NULL },       [MESSAGE_WINDOW] = { "window", parse_window },
};

static int find_type(struct message *m, struct err *err)
{
    size_t found = 0;

    for (size_t i = MESSAGE_TYPES; i-- > 0;) {
        const json_t *number = json_object_get(m->body, types[i].name);
        if (!number || (i == MESSAGE_FINISH && json_object_get(m->body, "call")))
            continue;
        json_int_t v = json_integer_value(number);
        if (!json_is_integer(number) || v <= 0 || v > UINT32_MAX)
            return err_set(err, ERR_INVALID, "a message whose %s is no number", types[i].name);
        m->type = (enum message_type)i;
        m->number = (uint32_t)v;
        found++;
    }
    return found == 1 ? 0 : err_set(err, ERR_INVALID, "a message of no known kind");
}

int message_parse(const void *data, size_t len, struct message *message, struct err *err)
{
    struct message m = { 0 };
    json_error_t why;

    m.body = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
    if (!m.body)
        return err_set(err, ERR_INVALID, "a message that is not JSON: %s", why.text);
    if (!json_is_object(m.body))
        err_set(err, ERR_INVALID, "a message that is no object");
    else if (find_type(&m, err) == 0 &&
             (!types[m.type].parse || types[m.type].parse(&m, err) == 0)) {
        *message = m;
        return 0;
    }
    message_done(&m);
    return -1;
}

void message_done(struct message *m)
{
    json_decref(m->body);
    m->body = NULL;
}

json_t *message_take(const struct message *m, const char *member)
{
    json_t *value = json_incref(json_object_get(m->body, member));

    json_object_del(m->body, member);
    return value;
}

int value_text(const json_t *value, char **text, size_t *len, struct err *err)
{
    auto_free char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t n = dumped ? strlen(dumped) : 0;

    if (!dumped)
        return err_set(err, ERR_INTERNAL, "a value that is not JSON");
    if (n > RPC_FRAME_MAX - ENVELOPE_MAX)
        return err_set(err, ERR_EXHAUSTED, "a message of %zu bytes, a frame takes %d", n,
                       RPC_FRAME_MAX);
    *text = take(&dumped);
    *len = n;
    return 0;
}

static void set_text(json_t *object, const char *name, const char *text)
{
    auto_free char *clean = text_utf8(text, strlen(text)); /* it may have been cut in a character */

    if (*clean)
        json_object_set_new(object, name, json_string(clean));
}

char *error_text(const struct err *err, size_t *len)
{
    json_auto_t *object = json_object();

    set_text(object, "code", err_code(err->class == ERR_NONE ? ERR_INTERNAL : err->class));
    set_text(object, "message", err->text);
    set_text(object, "field", err->field);
    set_text(object, "hint", err->hint);
    char *text = json_dumps(object, JSON_COMPACT);
    if (!text)
        abort(); /* four clean strings */
    *len = strlen(text);
    return text;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

void error_from(const json_t *object, struct err *err)
{
    err_set(err, err_class_of(text_of(object, "code")), "%s", text_of(object, "message"));
    snprintf(err->field, sizeof err->field, "%s", text_of(object, "field"));
    snprintf(err->hint, sizeof err->hint, "%s", text_of(object, "hint"));
}

/* The header is written last, when the length is known. */
static size_t begin(struct buffer *out)
{
    static const unsigned char header[FRAME_HEADER] = { 0 };

    buffer_add(out, header, sizeof header);
    return out->len;
}

static size_t end(struct buffer *out, size_t start, enum frame_kind kind)
{
    put_u32(out->data + start - FRAME_HEADER, (uint32_t)(out->len - start));
    out->data[start - 1] = (unsigned char)kind;
    return out->len - start;
}

__attribute__((format(printf, 2, 3))) static void add_format(struct buffer *out, const char *fmt,
                                                             ...)
{
    char text[ENVELOPE_MAX];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buffer_add(out, text, (size_t)n);
}

void frame_add_call(struct buffer *out, uint32_t number, const char *method, const char *params,
                    int64_t deadline_ms, bool is_finished)
{
    size_t start = begin(out);

    add_format(out, "{\"call\":%u,\"method\":\"%s\",\"params\":", number, method);
    buffer_add(out, params, strlen(params));
    if (deadline_ms > 0)
        add_format(out, ",\"deadline_ms\":%lld", (long long)deadline_ms);
    add_format(out, "%s}", is_finished ? ",\"finish\":true" : "");
    end(out, start, FRAME_JSON);
}

void frame_add_verb(struct buffer *out, const char *verb, uint32_t number)
{
    size_t start = begin(out);

    add_format(out, "{\"%s\":%u}", verb, number);
    end(out, start, FRAME_JSON);
}

size_t frame_add_value(struct buffer *out, const char *verb, uint32_t number, const char *member,
                       const char *value, size_t len)
{
    size_t start = begin(out);

    add_format(out, "{\"%s\":%u,\"%s\":", verb, number, member);
    buffer_add(out, value, len);
    buffer_add(out, "}", 1);
    return end(out, start, FRAME_JSON);
}

size_t frame_data_cost(uint32_t number, size_t value_len)
{
    return (size_t)snprintf(NULL, 0, "{\"data\":%u,\"value\":}", number) + value_len;
}

void frame_add_window(struct buffer *out, uint32_t number, size_t bytes)
{
    size_t start = begin(out);

    add_format(out, "{\"window\":%u,\"bytes\":%zu}", number, bytes);
    end(out, start, FRAME_JSON);
}

void frame_add_bytes(struct buffer *out, uint32_t number, const void *data, size_t len)
{
    size_t start = begin(out);
    unsigned char text[NUMBER_SIZE];

    put_u32(text, number);
    buffer_add(out, text, sizeof text);
    buffer_add(out, data, len);
    end(out, start, FRAME_BYTES);
}
