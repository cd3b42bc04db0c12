/* Bytes that grow at the end and are taken from the front. Belongs to whoever holds it. */
#ifndef RPC_BUFFER_H
#define RPC_BUFFER_H

#include <stddef.h>

struct buffer {
    unsigned char *data; /* NULL while empty: an idle link holds no memory */
    size_t len, room;
};

/* Room for `len` more bytes at the end; the caller writes them and adds to `len` of the buffer. */
unsigned char *buffer_reserve(struct buffer *buffer, size_t len);
void buffer_add(struct buffer *buffer, const void *data, size_t len);
void buffer_drop(struct buffer *buffer, size_t len); /* from the front */
void buffer_done(struct buffer *buffer);

#define auto_buffer __attribute__((__cleanup__(buffer_done))) struct buffer

#endif
