#include "cmd/cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

enum {
    PIDFILE_MAX = 256,
    STAT_MAX = 1024,      /* /proc/PID/stat is numbers and a name of 16 bytes */
    SPACES_TO_START = 20, /* between the name (field 2) and the start time (field 22) */
};

/* The start time out of the text of a stat file, or NULL for a process that has ended (zombie). The
 * name in parentheses may hold anything, so counting begins after the last one. */
static const char *find_start_time(char *stat)
{
    char *field = strrchr(stat, ')');

    if (!field || field[1] != ' ' || field[2] == 'Z' || field[2] == 'X')
        return NULL;
    for (int i = 0; field && i < SPACES_TO_START; i++)
        field = strchr(field + 1, ' ');
    if (!field)
        return NULL;
    char *end = strchr(field + 1, ' ');
    if (end)
        *end = '\0';
    return field + 1;
}

/* Reads a stat file into the caller's STAT_MAX bytes; NULL when there is none. */
static const char *read_start_time(const char *path, char *stat)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, stat, STAT_MAX - 1);

    if (n <= 0)
        return NULL;
    stat[n] = '\0';
    return find_start_time(stat);
}

int pidfile_write_self(const char *path)
{
    char stat[STAT_MAX];
    const char *started = read_start_time("/proc/self/stat", stat);

    if (!started)
        return ENOENT;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int rc = dprintf(fd, "%ld %s\n", (long)getpid(), started) < 0 ? errno : 0;
    close(fd);
    return rc;
}

/* "PID TICKS\n" */
static bool parse(const char *text, pid_t *pid, char **started)
{
    long number;
    int end = 0;

    if (sscanf(text, "%9ld %n", &number, &end) != 1 || number <= 1 || !end)
        return false;
    *pid = (pid_t)number;
    *started = xstrndup(text + end, strcspn(text + end, "\n"));
    return true;
}

int pidfile_open(const char *path, pid_t *pid)
{
    struct err err = { 0 };
    auto_free char *text = NULL, *started = NULL;
    char stat[STAT_MAX];
    pid_t found;

    if (fs_read(path, PIDFILE_MAX, &text, NULL, &err) || !parse(text, &found, &started))
        return -1;
    auto_fd int pidfd =
        pidfd_open(found, 0); /* first: from here on the number is not used again unseen */
    if (pidfd < 0)
        return -1;
    auto_free char *stat_path = xasprintf("/proc/%ld/stat", (long)found);
    const char *now = read_start_time(stat_path, stat);
    if (!now || strcmp(now, started) != 0)
        return -1;
    *pid = found;
    return take_fd(&pidfd);
}

bool process_runs(pid_t pid, const char *path)
{
    auto_free char *exe = xasprintf("/proc/%ld/exe", (long)pid);
    struct stat runs, stands;

    if (*path != '/')
        return true;
    return stat(exe, &runs) == 0 && stat(path, &stands) == 0 && runs.st_dev == stands.st_dev &&
           runs.st_ino == stands.st_ino;
}

bool process_signal(int pidfd, int number)
{
    return pidfd_send_signal(pidfd, number, NULL, 0) == 0;
}

bool process_wait(int pidfd, int64_t timeout_ms)
{
    const struct clock *clock = clock_system();
    int64_t end_ms = clock_mono_ms(clock) + timeout_ms;
    struct pollfd fd = { .fd = pidfd, .events = POLLIN };

    for (;;) {
        int64_t left_ms = end_ms - clock_mono_ms(clock);
        int n = poll(&fd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (n > 0)
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}
