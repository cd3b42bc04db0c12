#include "base/mem.h"

#include <stdarg.h>
#include <string.h>

static void *have(void *p)
{
    if (!p)
        abort();
    return p;
}

void *xcalloc(size_t count, size_t size)
{
    return have(calloc(count ? count : 1, size ? size : 1));
}

void *xreallocarray(void *old, size_t count, size_t size)
{
    return have(reallocarray(old, count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *text)
{
    return have(strdup(text));
}

char *xstrndup(const char *text, size_t len)
{
    return have(strndup(text, len));
}

void *xmemdup(const void *data, size_t len)
{
    void *copy = xcalloc(1, len);
    if (len)
        memcpy(copy, data, len);
    return copy;
}

char *xasprintf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    return text;
}

FILE *xmemstream(char **text, size_t *len)
{
    return have(open_memstream(text, len));
}

void wipe_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
