#include "git/pkt.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

enum { HEAD = 4 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* -1 when one of the four is no digit. */
static int read_length(const char *head)
{
    int length = 0;

    for (int i = 0; i < HEAD; i++) {
        int digit = hex_digit(head[i]);
        if (digit < 0)
            return -1;
        length = length * 16 + digit;
    }
    return length;
}

int git_pkt_next(const char *data, size_t len, size_t *at, struct git_pkt *pkt, struct err *err)
{
    size_t left = len - *at;
    const char *head = data + *at;

    if (left < HEAD)
        return 0;
    int length = read_length(head);
    if (length < 0 || length == 3 || length > GIT_PKT_MAX)
        return err_set(err, ERR_INVALID, "a malformed pkt-line at byte %zu", *at);
    if (length < HEAD) {
        *pkt = (struct git_pkt){ .kind = (enum git_pkt_kind)(GIT_PKT_FLUSH + length) };
        *at += HEAD;
        return 1;
    }
    if (left < (size_t)length)
        return 0;
    *pkt = (struct git_pkt){ GIT_PKT_DATA, head + HEAD, (size_t)length - HEAD };
    if (pkt->len && pkt->data[pkt->len - 1] == '\n')
        pkt->len--;
    *at += (size_t)length;
    return 1;
}

int git_pkt_starts(const struct git_pkt *pkt, const char *prefix)
{
    size_t len = strlen(prefix);

    return pkt->kind == GIT_PKT_DATA && pkt->len >= len && memcmp(pkt->data, prefix, len) == 0;
}

int git_pkt_is(const struct git_pkt *pkt, const char *text)
{
    return pkt->len == strlen(text) && git_pkt_starts(pkt, text);
}

void git_pkt_put_bytes(FILE *out, const void *data, size_t len)
{
    if (len > GIT_PKT_MAX - HEAD)
        len = GIT_PKT_MAX - HEAD;
    fprintf(out, "%04zx", len + HEAD);
    fwrite(data, 1, len, out);
}

void git_pkt_put(FILE *out, const char *fmt, ...)
{
    auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        abort();
    git_pkt_put_bytes(out, text, (size_t)len);
}

void git_pkt_put_flush(FILE *out)
{
    fputs("0000", out);
}

void git_pkt_put_delim(FILE *out)
{
    fputs("0001", out);
}
