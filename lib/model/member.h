/* The table of everything that may stand in an app spec. Parsing, defaults, bounds and the printed
 * reference all come from it; a new member is a new line there. */
#ifndef MODEL_MEMBER_H
#define MODEL_MEMBER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum member_type {
    MEMBER_TEXT,     /* JSON: string; `min` and `max` are bytes */
    MEMBER_ENUM,     /* string, one of `words` */
    MEMBER_BOOL,     /* boolean */
    MEMBER_INT,      /* integer */
    MEMBER_DURATION, /* integer, milliseconds; "30s" */
    MEMBER_SIZE,     /* integer, bytes; "256Mi" */
    MEMBER_CPUS,     /* string, at most three decimals: "0.5"; `min` and `max` are thousandths */
    MEMBER_OBJECT,   /* of `members` */
    MEMBER_MAP,      /* of names to `item`, at most `max` */
    MEMBER_LIST,     /* of `item`, at most `max` */
    MEMBER_ONLY,     /* not supported yet, but the value `fallback` says the same as its absence */
    MEMBER_LATER,    /* not supported yet */
};

/* May shorten `value` in place to its normal form. `field` names it in the error. */
typedef int member_check(char *value, const char *field, struct err *err);

struct member {
    const char *name; /* NULL ends a list of members */
    enum member_type type;
    const char *fallback; /* as it would stand in the file; NULL: none */
    int64_t min, max;
    const char *const *words;     /* ends with NULL */
    const struct member *members; /* of an object */
    const struct member *item;    /* of a map or list */
    member_check *check;          /* of a text, or of a map's names */
    const char *help;
};

extern const struct member spec_root;

const struct member *member_find(const struct member *members, const char *name);

/* What a value of this type looks like, bounds included: "a whole number from 0 to 100". The
 * caller's to free. */
char *member_example(const struct member *member);

/* A scalar's text → its normal JSON form; NULL when it is not one or out of bounds. For the types
 * from MEMBER_ENUM to MEMBER_CPUS. */
json_t *member_parse(const struct member *member, const char *text);

/* The normal form of a default; NULL when there is none. */
json_t *member_fallback(const struct member *member);

/* "0.5" → 500; −1 when it is none. */
int64_t member_cpus_milli(const char *text);

#endif
