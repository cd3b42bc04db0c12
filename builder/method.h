/* The ways to build: one file each in builder/methods/, one line each in the table. */
#ifndef BUILDER_METHOD_H
#define BUILDER_METHOD_H

#include <stdbool.h>

#include "builder/attempt.h"

struct method {
    const char *name;
    bool needs_source, makes_image, makes_site;
    /* Runs it; on 0 the outcome holds the artifact, on -1 the reason (attempt_fail). Blocking. */
    int (*run)(struct attempt *attempt);
};

extern const struct method method_command, method_dockerfile, method_image, method_static;

extern const struct method *const methods[];
extern const unsigned method_count;

const struct method *method_find(const char *name);

#endif
