/* Frames and the messages in them, as schema/link.md describes: parsing and writing, nothing else.
 * Pure: no state, no sockets, any thread. */
#ifndef RPC_FRAME_H
#define RPC_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rpc/buffer.h"

enum frame_kind { FRAME_JSON = 0, FRAME_BYTES = 1 };

enum { FRAME_HEADER = 5 }; /* u32 length, u8 kind */

struct frame {
    enum frame_kind kind;
    uint32_t call;             /* FRAME_BYTES only */
    const unsigned char *data; /* into what was parsed; without the call number */
    size_t len;
    size_t size; /* of the whole frame */
};

/* 1: `frame` is what `data` begins with; 0: more bytes are needed; -1: malformed, or its payload is
 * larger than `payload_max`. */
int frame_parse(const unsigned char *data, size_t len, size_t payload_max, struct frame *frame,
                struct err *err);

enum message_type {
    MESSAGE_CALL,
    MESSAGE_CANCEL,
    MESSAGE_DATA,
    MESSAGE_END,
    MESSAGE_FINISH,
    MESSAGE_PING,
    MESSAGE_PONG,
    MESSAGE_WINDOW,
    MESSAGE_TYPES
};

struct message {
    enum message_type type;
    uint32_t number; /* of the call; of the ping */
    json_t *body;    /* the whole object; what follows is borrowed from it */
    const char *method;
    json_t *params;      /* NULL: none given */
    int64_t deadline_ms; /* time left; 0: none */
    bool is_finished;    /* the call brings no data */
    json_t *value;       /* of data */
    json_t *result;      /* of an end: this, or: */
    json_t *error;
    size_t bytes; /* of a window */
};

int message_parse(const void *data, size_t len, struct message *message, struct err *err);
void message_done(struct message *message);
/* Out of the message, for another thread: nothing else refers to it after. */
json_t *message_take(const struct message *message, const char *member);

/* a-z, 0-9, `_` and `.`, at most 64 bytes. */
bool method_is_valid(const char *name);

/* JSON text of a value for the writers below; ERR_EXHAUSTED when it does not fit into a frame. */
int value_text(const json_t *value, char **text, size_t *len, struct err *err);
/* The object on the wire for an error, and back (always sets `err`; anything odd is ERR_INTERNAL).
 */
char *error_text(const struct err *err, size_t *len);
void error_from(const json_t *object, struct err *err);

/* Writers: each appends one frame. They return what it counts for in the window. */
void frame_add_call(struct buffer *out, uint32_t number, const char *method, const char *params,
                    int64_t deadline_ms, bool is_finished);
/* {verb: number} */
void frame_add_verb(struct buffer *out, const char *verb, uint32_t number);
/* {verb: number, member: value}; `value` is JSON text */
size_t frame_add_value(struct buffer *out, const char *verb, uint32_t number, const char *member,
                       const char *value, size_t len);
void frame_add_window(struct buffer *out, uint32_t number, size_t bytes);
void frame_add_bytes(struct buffer *out, uint32_t number, const void *data, size_t len);

/* What {"data":N,"value":TEXT} counts for. */
size_t frame_data_cost(uint32_t number, size_t value_len);

#endif
