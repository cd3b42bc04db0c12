/* Configuration: a YAML file into a const struct, by one table. Unknown keys are errors with their
 * line and the nearest key; the table also prints the reference (--help-config). Read once at
 * start, before threads. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum conf_type {
    CONF_TEXT,     /* char *, owned by the struct */
    CONF_INT,      /* int64_t */
    CONF_BOOL,     /* bool */
    CONF_DURATION, /* int64_t, milliseconds; "30s" */
    CONF_SIZE,     /* int64_t, bytes; "1Gi" */
};

struct conf_key {
    const char *name; /* "docker.socket": dots are nesting in the YAML */
    enum conf_type type;
    size_t offset;         /* offsetof(struct …_config, member) */
    const char *fallback;  /* as it would stand in the file; NULL: required */
    const char *min, *max; /* the same way; NULL: no bound */
    const char *help;
};

/* `config` is zeroed memory of the caller's; filled with defaults, then the file's values. Path
 * NULL: defaults only. */
int conf_read(const char *path, const struct conf_key *keys, size_t count, void *config,
              struct err *err);
void conf_done(const struct conf_key *keys, size_t count, void *config); /* frees the texts */

/* The first line of a file that holds a secret; NULL when `path` is "". The caller's to wipe_free.
 */
int conf_read_secret(const char *path, char **secret, struct err *err);

void conf_print(FILE *out, const struct conf_key *keys,
                size_t count); /* key, type, default, bounds, help */

#endif
