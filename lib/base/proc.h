/* Child processes with an argv array, never a shell. Blocking; for worker threads. The child gets
 * only the environment and descriptors that it is given, a process group of its own, and is killed
 * with it when the time is over or the program stops. */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct proc_options {
    const char *const *argv; /* NULL-ended; argv[0] is looked up in PATH */
    const char *const
        *env;          /* NULL-ended "K=V"; NULL: only PATH, HOME=/nonexistent, LC_ALL=C.UTF-8 */
    const char *dir;   /* NULL: this one */
    const void *input; /* standard input, or NULL: /dev/null */
    size_t input_len;
    int64_t timeout_ms; /* SIGKILL to the group after that; required */
    size_t output_max;  /* bytes of output kept; more is an error unless `on_output` is set */
    /* Called with each piece of standard output instead of collecting it; non-zero ends the child.
     */
    int (*on_output)(void *arg, const void *data, size_t len, struct err *err);
    void *arg;
    const bool
        *cancelled; /* looked at every 100 ms, may be NULL; set by another thread atomically */
};

struct proc_result {
    int exit_code; /* 128 + signal when killed */
    char *output;  /* standard output, NUL-terminated; NULL with on_output */
    size_t output_len;
    char *errors; /* the last 4 KiB of standard error, valid UTF-8, no newline at the end */
};

/* 0 when it ran to its end, whatever the exit code. SIGPIPE must be ignored (loop_new does) where
 * there is `input`. */
int proc_run(const struct proc_options *options, struct proc_result *result, struct err *err);
void proc_result_done(struct proc_result *result);

/* The same, where a non-zero exit is an error that carries the last line of standard error.
 * `output` may be NULL. */
int proc_check(const struct proc_options *options, char **output, size_t *len, struct err *err);

#define auto_proc_result __attribute__((__cleanup__(proc_result_done))) struct proc_result

#endif
