#include "oci/demux.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int begin_frame(struct demux *demux, struct err *err)
{
    const unsigned char *h = demux->header;
    size_t size = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];

    if (h[0] > 2 || h[1] || h[2] || h[3])
        return err_set(err, ERR_INVALID, "container output that is not framed");
    if (size > DEMUX_FRAME_MAX)
        return err_set(err, ERR_INVALID, "a frame of container output above %d bytes",
                       DEMUX_FRAME_MAX);
    demux->data = xreallocarray(demux->data, size ? size : 1, 1);
    demux->size = size;
    demux->len = 0;
    return 0;
}

/* Takes as many bytes as the header, or the frame, still lacks. */
static size_t fill(unsigned char *to, size_t *have, size_t want, const unsigned char *from,
                   size_t len)
{
    size_t n = smaller(want - *have, len);

    if (n)
        memcpy(to + *have, from, n);
    *have += n;
    return n;
}

int demux_add(struct demux *demux, const void *data, size_t len,
              int (*frame)(void *arg, int stream, const void *data, size_t len, struct err *err),
              void *arg, struct err *err)
{
    const unsigned char *p = data, *end = p + len;

    while (p < end) {
        if (demux->header_len < sizeof demux->header) {
            p +=
                fill(demux->header, &demux->header_len, sizeof demux->header, p, (size_t)(end - p));
            if (demux->header_len < sizeof demux->header)
                return 0;
            if (begin_frame(demux, err))
                return -1;
        }
        p += fill(demux->data, &demux->len, demux->size, p, (size_t)(end - p));
        if (demux->len < demux->size)
            return 0;
        demux->header_len = 0;
        if (frame(arg, demux->header[0], demux->data, demux->size, err))
            return -1;
    }
    return 0;
}

void demux_done(struct demux *demux)
{
    free(demux->data);
    *demux = (struct demux){ .header_len = 0 };
}
