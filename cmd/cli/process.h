/* Programs that run, named by a pid file: their pid and the time they were started (field 22 of
 * /proc/PID/stat), so that a number used again by another program is not taken for them. What is
 * held of a running program is a pidfd: signals sent through it reach that program or nobody. Any
 * thread. */
#ifndef CMD_CLI_PROCESS_H
#define CMD_CLI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes a pid file about the calling process. Only system calls, so that a child may do it between
 * fork and exec; 0 or an errno. */
int pidfile_write_self(const char *path);

/* A pidfd (the caller's, close-on-exec) of the process named in the file, or -1 when none of it
 * runs. */
int pidfile_open(const char *path, pid_t *pid);

/* Whether the process runs the program that stands at `path` now, not one that was replaced there.
 * true for a path that is not absolute: where it was found is not known. */
bool process_runs(pid_t pid, const char *path);

/* true when it was sent; false when the process is gone. */
bool process_signal(int pidfd, int number);

/* Waits for its end; false when it still runs after `timeout_ms`. Blocking. */
bool process_wait(int pidfd, int64_t timeout_ms);

#endif
