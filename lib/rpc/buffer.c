#include "rpc/buffer.h"

#include <string.h>

#include "base/mem.h"

unsigned char *buffer_reserve(struct buffer *b, size_t len)
{
    if (b->room - b->len < len) {
        size_t want = b->len + len;
        b->room = want < 2 * b->room ? 2 * b->room : want;
        b->data = xreallocarray(b->data, b->room, 1);
    }
    return b->data + b->len;
}

void buffer_add(struct buffer *b, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(buffer_reserve(b, len), data, len);
    b->len += len;
}

void buffer_drop(struct buffer *b, size_t len)
{
    if (len == 0)
        return;
    if (len == b->len) {
        buffer_done(b);
        return;
    }
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
}

void buffer_done(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){ 0 };
}
