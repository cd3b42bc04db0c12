/* Errors: what failed, in words a person reads, and a class that a caller can branch on.
 *
 * A function that can fail for more than one reason returns 0 or -1 and takes `struct err *err` as
 * its last argument. The struct starts zeroed; the callee never reads it, and writes it only when
 * it returns -1. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* The names on the wire and in problem+json are gRPC's status codes, see err_code(). */
enum err_class {
    ERR_NONE,
    ERR_INTERNAL, /* a defect, a full disk, a broken database: the caller sees an id, the log the
                     rest */
    ERR_INVALID,  /* the input is wrong; text, field and hint say how */
    ERR_NOT_FOUND,
    ERR_EXISTS,          /* the name is taken by something of the caller's */
    ERR_CONFLICT,        /* the object moved meanwhile, or its state forbids this */
    ERR_UNAUTHENTICATED, /* no or a wrong token */
    ERR_DENIED,          /* known, but may not */
    ERR_EXHAUSTED,       /* a bound was reached: too big, too many, disk full */
    ERR_UNAVAILABLE,     /* the other side is away; trying later may help */
    ERR_TIMEOUT,
    ERR_STOPPED,       /* cancelled, or this program is stopping */
    ERR_UNIMPLEMENTED, /* no such method */
};

struct err {
    enum err_class class;
    char text[768]; /* lower case, no full stop; a chain "doing this: that went wrong" */
    char field[64]; /* which member of the input, as a path: "processes.web.port"; or empty */
    char hint[192]; /* what to do next; or empty */
};

/* Returns -1, so that a failing function reads `return err_set(err, …)`. */
int err_set(struct err *err, enum err_class class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ERR_INVALID about one member of the input. `hint` may be NULL. Returns -1. */
int err_field(struct err *err, const char *field, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds what to do next to an error that is set. Returns -1. */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "doing this: " + what is there already. Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ERR_INTERNAL (or NOT_FOUND, EXISTS, EXHAUSTED, where errno says so) with strerror at the end.
 * Returns -1. */
int err_errno(struct err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* gRPC's name of the class ("not_found"), and back; an unknown name is ERR_INTERNAL. */
const char *err_code(enum err_class class);
enum err_class err_class_of(const char *code);

#endif
