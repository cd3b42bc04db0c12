/* pkt-lines, the framing of git's protocols: four hexadecimal digits of length (themselves
 * included), then the bytes. 0000 is a flush, 0001 a delimiter, 0002 a response end. Pure; the
 * input is hostile. */
#ifndef GIT_PKT_H
#define GIT_PKT_H

#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

enum { GIT_PKT_MAX = 65520 };

enum git_pkt_kind { GIT_PKT_DATA, GIT_PKT_FLUSH, GIT_PKT_DELIM, GIT_PKT_END };

struct git_pkt {
    enum git_pkt_kind kind;
    const char
        *data; /* into the caller's bytes; not NUL-terminated, without the newline at its end */
    size_t len;
};

/* The packet at `*at`, which then moves past it. 1: a packet; 0: not all of it is there yet; -1:
 * this is no pkt-line. */
int git_pkt_next(const char *data, size_t len, size_t *at, struct git_pkt *pkt, struct err *err);

/* Is the packet exactly this text / does it begin with it? */
int git_pkt_is(const struct git_pkt *pkt, const char *text);
int git_pkt_starts(const struct git_pkt *pkt, const char *prefix);

/* Writes one packet. The text must be shorter than GIT_PKT_MAX - 4; longer is cut. */
void git_pkt_put(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void git_pkt_put_bytes(FILE *out, const void *data, size_t len);
void git_pkt_put_flush(FILE *out);
void git_pkt_put_delim(FILE *out);

#endif
