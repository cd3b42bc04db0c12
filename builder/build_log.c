#include "builder/build_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "builder/log_lines.h"

struct build_log {
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t changed;
    int64_t size;
    bool is_full, is_ended;
    /* constant: */
    int fd;
    int64_t size_max;
    void (*full)(void *arg);
    void *arg;
};

struct build_log *build_log_open(const char *path, int64_t size_max, void (*full)(void *arg),
                                 void *arg, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    pthread_condattr_t attr;

    if (fd < 0) {
        err_errno(err, errno, "creating %s", path);
        return NULL;
    }
    struct build_log *log = xcalloc(1, sizeof *log);
    log->fd = fd;
    log->size_max = size_max;
    log->full = full;
    log->arg = arg;
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&log->changed, &attr);
    pthread_condattr_destroy(&attr);
    return log;
}

void build_log_free(struct build_log *log)
{
    if (!log)
        return;
    close(log->fd);
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

/* Whole lines only; a disk that is full ends the log like its bound does. The lock is held over a
 * write into the page cache: the order of the lines is the point of it. */
void build_log_line(void *arg, const char *text, size_t len)
{
    struct build_log *log = arg;
    auto_free char *line = xasprintf("%.*s\n", (int)len, text);
    struct err ignored = { 0 };
    bool is_first_refused = false;

    len = strlen(line);
    pthread_mutex_lock(&log->lock);
    if (!log->is_full && !log->is_ended) {
        if (log->size + (int64_t)len > log->size_max ||
            fs_write_all(log->fd, line, len, &ignored) < 0)
            log->is_full = is_first_refused = true;
        else
            log->size += (int64_t)len;
        pthread_cond_broadcast(&log->changed);
    }
    pthread_mutex_unlock(&log->lock);
    if (is_first_refused)
        log->full(log->arg);
}

void build_log_say(struct build_log *log, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        abort();
    auto_free char *clean = log_lines_clean(text, (size_t)len);
    auto_free char *line = xasprintf("==> %s", clean);
    free(text);
    build_log_line(log, line, strlen(line));
}

void build_log_end(struct build_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->is_ended = true;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
}

int64_t build_log_size(struct build_log *log)
{
    pthread_mutex_lock(&log->lock);
    int64_t size = log->size;
    pthread_mutex_unlock(&log->lock);
    return size;
}

bool build_log_is_ended(struct build_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool is_ended = log->is_ended;
    pthread_mutex_unlock(&log->lock);
    return is_ended;
}

void build_log_wait(struct build_log *log, int64_t offset, int64_t wait_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&log->lock);
    while (log->size <= offset && !log->is_ended &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&log->lock);
}

size_t build_log_read(struct build_log *log, int64_t offset, void *buffer, size_t size)
{
    int64_t there = build_log_size(log) - offset;

    if (there <= 0)
        return 0;
    if ((int64_t)size > there)
        size = (size_t)there;
    ssize_t n = pread(log->fd, buffer, size, offset);
    return n > 0 ? (size_t)n : 0;
}
