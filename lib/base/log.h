/* The structured log: one line on stderr per event, `time level event phrase key=value …`.
 *
 *     log_warn("polling repository", S("repository", id), I("ms", spent), E(&err));
 *
 * Values are quoted where needed and made valid UTF-8 on one line, so nothing from outside can
 * forge a line. Any thread may call; a line is one write(2). `error` means that a person must look.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key;  /* NULL ends the list */
    const char *text; /* or NULL: the number */
    int64_t number;
};

#define S(k, v) ((struct log_field){ .key = (k), .text = (v) ? (v) : "" })
#define I(k, v) ((struct log_field){ .key = (k), .number = (int64_t)(v) })
#define E(err) ((struct log_field){ .key = "error", .text = (err)->text })

#define log_line(level, event, ...) \
    log_write(level, event, (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } })
#define log_debug(event, ...) log_line(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) log_line(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_line(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_line(LOG_ERROR, event, __VA_ARGS__)

void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* "debug", "info", "warn" or "error"; returns -1 for any other word. Set once in main. */
int log_set_level(const char *name);

#endif
