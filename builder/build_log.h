/* The log of one attempt: a file in the work folder, so that a link that drops, or a controller
 * that restarts, costs neither memory nor a line. The method adds lines, the sender
 * (builder/sender.h) reads them from any offset. Bounded by job.log_max. Any thread. */
#ifndef BUILDER_BUILD_LOG_H
#define BUILDER_BUILD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct build_log;

/* `full(arg)` is called once, by the thread that adds the first line that has no room. */
struct build_log *build_log_open(const char *path, int64_t size_max, void (*full)(void *arg),
                                 void *arg, struct err *err);
void build_log_free(struct build_log *log);

/* Adds a clean line (builder/log_lines.h) and a newline; a line_fn. `log` is the struct. */
void build_log_line(void *log, const char *text, size_t len);
/* Words of the builder itself, marked "==> ". */
void build_log_say(struct build_log *log, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* No more lines will come. */
void build_log_end(struct build_log *log);

int64_t build_log_size(struct build_log *log);
bool build_log_is_ended(struct build_log *log);

/* Waits, at most so long, until there is something behind `offset`, or the end. */
void build_log_wait(struct build_log *log, int64_t offset, int64_t wait_ms);
/* Bytes from `offset`, 0 when there are none now. */
size_t build_log_read(struct build_log *log, int64_t offset, void *buffer, size_t size);

#endif
