#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* https://grpc.io/docs/guides/status-codes/ */
static const char *const codes[] = {
    [ERR_NONE] = "ok",
    [ERR_INTERNAL] = "internal",
    [ERR_INVALID] = "invalid_argument",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_EXISTS] = "already_exists",
    [ERR_CONFLICT] = "failed_precondition",
    [ERR_UNAUTHENTICATED] = "unauthenticated",
    [ERR_DENIED] = "permission_denied",
    [ERR_EXHAUSTED] = "resource_exhausted",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_TIMEOUT] = "deadline_exceeded",
    [ERR_STOPPED] = "cancelled",
    [ERR_UNIMPLEMENTED] = "unimplemented",
};

__attribute__((format(printf, 3, 0))) static void set(struct err *err, enum err_class class,
                                                      const char *fmt, va_list ap)
{
    *err = (struct err){ .class = class };
    vsnprintf(err->text, sizeof err->text, fmt, ap);
}

int err_set(struct err *err, enum err_class class, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set(err, class, fmt, ap);
    va_end(ap);
    return -1;
}

int err_field(struct err *err, const char *field, const char *hint, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set(err, ERR_INVALID, fmt, ap);
    va_end(ap);
    snprintf(err->field, sizeof err->field, "%s", field);
    snprintf(err->hint, sizeof err->hint, "%s", hint ? hint : "");
    return -1;
}

int err_hint(struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %s", err->text);
    memcpy(err->text, text, sizeof text);
    return -1;
}

static enum err_class class_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return ERR_EXHAUSTED;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
        return ERR_UNAVAILABLE;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    default:
        return ERR_INTERNAL;
    }
}

int err_errno(struct err *err, int errnum, const char *fmt, ...)
{
    char reason[128];
    va_list ap;

    va_start(ap, fmt);
    set(err, class_of_errno(errnum), fmt, ap);
    va_end(ap);
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, ": %s",
             strerror_r(errnum, reason, sizeof reason));
    return -1;
}

const char *err_code(enum err_class class)
{
    return codes[class];
}

enum err_class err_class_of(const char *code)
{
    for (size_t i = ERR_INTERNAL; code && i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i], code) == 0)
            return (enum err_class)i;
    return ERR_INTERNAL;
}
