/* Output of a build, cut into lines that may be shown anywhere: valid UTF-8, no control characters
 * (a build must not be able to drive the terminal of whoever reads its log), a bounded length.
 *
 * What a carriage return overwrites is dropped, as on a terminal, so a progress bar becomes one
 * line. Pure; one owner, one thread. */
#ifndef BUILDER_LOG_LINES_H
#define BUILDER_LOG_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum { LINE_MAX_BYTES = 16 * 1024 };

/* `text` has no newline and is not NUL-terminated. */
typedef void (*line_fn)(void *arg, const char *text, size_t len);

struct log_lines {
    line_fn emit;
    void *arg;
    char *partial; /* the line so far, as it came */
    size_t len, size;
    bool is_cut;      /* the rest of this line is dropped */
    bool is_returned; /* a carriage return came last */
};

void log_lines_init(struct log_lines *lines, line_fn emit, void *arg);
void log_lines_done(struct log_lines *lines);

void log_lines_add(struct log_lines *lines, const void *data, size_t len);
void log_lines_flush(struct log_lines *lines); /* ends a line that has begun */

/* One line made clean; the caller's to free. */
char *log_lines_clean(const void *data, size_t len);

#endif
