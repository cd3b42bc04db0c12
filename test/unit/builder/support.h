/* What the builder's unit tests share: lines gathered as text, tars made by hand. */
#ifndef TEST_BUILDER_SUPPORT_H
#define TEST_BUILDER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

/* A line_fn: appends the line to a FILE. */
static inline void gather(void *arg, const char *text, size_t len)
{
    fprintf(arg, "%.*s\n", (int)len, text);
}

/* A ustar header and its data, written without libarchive so that it may be as wrong as wanted. */
static inline void put_tar(FILE *out, const char *name, char type, const char *target,
                           const char *data, unsigned mode)
{
    unsigned char h[512] = { 0 };
    size_t len = data ? strlen(data) : 0;
    unsigned sum = 0;

    snprintf((char *)h, 100, "%s", name);
    snprintf((char *)h + 100, 8, "%07o", mode);
    snprintf((char *)h + 108, 8, "%07o", 1000);
    snprintf((char *)h + 116, 8, "%07o", 1000);
    snprintf((char *)h + 124, 12, "%011zo", len);
    snprintf((char *)h + 136, 12, "%011o", 1700000000);
    memset(h + 148, ' ', 8);
    h[156] = (unsigned char)type;
    snprintf((char *)h + 157, 100, "%s", target ? target : "");
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < sizeof h; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    fwrite(h, 1, sizeof h, out);
    if (len) {
        unsigned char pad[512] = { 0 };
        fwrite(data, 1, len, out);
        fwrite(pad, 1, (512 - len % 512) % 512, out);
    }
}

static inline void put_tar_end(FILE *out)
{
    unsigned char end[1024] = { 0 };
    fwrite(end, 1, sizeof end, out);
    fflush(out);
}

#endif
