/* Keeps a table of programs running: started, started again after an exit, stopped in order. Loop
 * thread.
 *
 * The programs do not depend on their supervisor: each has a process group of its own and writes to
 * its log file itself. When the supervisor is killed they run on, and the next one adopts them
 * through their pid files; one whose file was replaced meanwhile is started anew. */
#ifndef CMD_CLI_SUPERVISOR_H
#define CMD_CLI_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

/* One program. Borrowed, like everything in here, until the supervisor is over. */
struct supervisor_child {
    const char *name;        /* of its log and pid file */
    const char *const *argv; /* NULL-ended; argv[0] is looked up in PATH unless it is a path */
    const char *wait_for;    /* not started before this file exists; or NULL */
    const char
        *leftover; /* removed before each start: a socket that a killed one leaves; or NULL */
    int stop_signal;
    int64_t stop_ms; /* SIGKILL to its group so long after the signal */
};

struct supervisor_config {
    const struct supervisor_child *children; /* in the order in which they are stopped */
    size_t count;
    const char *const *env;
    const char *run_dir, *log_dir; /* exist */
    int64_t log_max;               /* bytes of a log; then it becomes NAME.log.1 */
    bool renew;                    /* what is adopted is stopped and started anew */
    void (*over)(
        void *arg); /* after supervisor_stop, when nothing runs any more and all is freed */
    void *arg;
};

struct supervisor;

struct supervisor *supervisor_start(struct loop *loop, const struct supervisor_config *config);
void supervisor_stop(
    struct supervisor *s); /* begins; `over` is called at the end. Again: no effect */

/* The file of a name in one of the folders: DIR/NAME.pid, DIR/NAME.log. The caller's to free. */
char *supervisor_pid_path(const char *run_dir, const char *name);
char *supervisor_log_path(const char *log_dir, const char *name);

#endif
