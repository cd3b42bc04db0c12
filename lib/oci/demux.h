/* The framing of container output: an 8-byte header (stream, three zero bytes, length in big
 * endian), then that many bytes. Without I/O; the bytes may come in any pieces. */
#ifndef OCI_DEMUX_H
#define OCI_DEMUX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { DEMUX_FRAME_MAX = 1024 * 1024 };

struct demux {
    unsigned char header[8];
    size_t header_len;
    unsigned char *data; /* of the frame begun */
    size_t len, size;
};

/* Calls frame(stream: 1 output, 2 errors) for each whole frame; its non-zero ends with -1 and its
 * error. ERR_INVALID: no framed output, or a frame above DEMUX_FRAME_MAX. Starts zeroed. */
int demux_add(struct demux *demux, const void *data, size_t len,
              int (*frame)(void *arg, int stream, const void *data, size_t len, struct err *err),
              void *arg, struct err *err);
void demux_done(struct demux *demux);

#define auto_demux __attribute__((__cleanup__(demux_done))) struct demux

#endif
