/* How a child lives:
 *
 *              file is there            exit seen                  handle closed
 *   WAITING ───────────────► RUNNING ───────────────► ENDED ─────────────────────┐
 *      ▲      (or adopted)                                                        │
 *      └──────────────────────── back-off 100 ms … 5 s ◄──────────────────────────┤ not stopping
 *                                                              OVER ◄─────────────┘ stopping
 *
 * Its exit is noticed through a pidfd, which serves children of this process and adopted ones
 * alike; only the exit status is known for the former alone. The pid file is written by the child
 * itself between fork and exec: there is no moment in which a program runs that the next supervisor
 * does not find. A child that was up for 10 s starts with the shortest back-off again. Whatever is
 * left of its process group when it has ended is killed (workers of an nginx whose master was
 * killed would keep its port).
 *
 * Stopping goes down the table, one at a time: signal, SIGKILL to the group after `stop_ms`, the
 * next. */
#include "cmd/cli/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cli/logfile.h"
#include "cmd/cli/process.h"

enum {
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    STEADY_MS = 10000, /* up so long: the next failure is a first one */
    LOOK_MS = 100,     /* for a file that is waited for */
    ROTATE_MS = 5000,
};

enum state { WAITING, RUNNING, ENDED, OVER };

struct child {
    const struct supervisor_child *row;
    struct supervisor *supervisor;
    enum state state;
    pid_t pid;
    int pidfd; /* -1 unless RUNNING or ENDED */
    int64_t started_ms, backoff_ms;
    uv_timer_t timer; /* back-off, look for the file, time limit of the stop */
    uv_poll_t watch;  /* of the pidfd */
    char *pid_path, *log_path;
};

struct supervisor {
    struct supervisor_config config;
    uv_loop_t *uv;
    uv_timer_t rotate;
    bool is_stopping;
    size_t stopped;      /* children of the table that are over, while stopping */
    size_t open_handles; /* while closing */
    struct child *children;
};

static void start(struct child *c);
static void stop_next(struct supervisor *s);

static int64_t mono_ms(void)
{
    return clock_mono_ms(clock_system());
}

char *supervisor_pid_path(const char *run_dir, const char *name)
{
    return xasprintf("%s/%s.pid", run_dir, name);
}

char *supervisor_log_path(const char *log_dir, const char *name)
{
    return xasprintf("%s/%s.log", log_dir, name);
}

/* ---- a child's end ---- */

static void on_timer_start(uv_timer_t *timer)
{
    start(container_of(timer, struct child, timer));
}

static void start_later(struct child *c)
{
    bool was_steady = mono_ms() - c->started_ms >= STEADY_MS;

    if (was_steady || !c->backoff_ms)
        c->backoff_ms = BACKOFF_MIN_MS;
    else if (c->backoff_ms < BACKOFF_MAX_MS / 2)
        c->backoff_ms *= 2;
    else
        c->backoff_ms = BACKOFF_MAX_MS;
    c->state = WAITING;
    uv_timer_start(&c->timer, on_timer_start, (uint64_t)c->backoff_ms, 0);
}

/* Takes the exit status where it is ours to take. */
static void log_exit(struct child *c)
{
    siginfo_t info = { 0 };
    const char *name = c->row->name;
    bool is_known = waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid;
    enum log_level level = c->supervisor->is_stopping ? LOG_INFO : LOG_WARN;

    if (!is_known)
        log_line(level, "program ended", S("name", name), I("pid", c->pid));
    else if (info.si_code == CLD_EXITED)
        log_line(level, "program ended", S("name", name), I("pid", c->pid),
                 I("exit", info.si_status));
    else
        log_line(level, "program ended", S("name", name), I("pid", c->pid),
                 I("signal", info.si_status));
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct child *c = container_of(handle, struct child, watch);

    kill(-c->pid,
         SIGKILL); /* before the status is taken: until then the number is not used again */
    log_exit(c);
    close(take_fd(&c->pidfd));
    unlink(c->pid_path);
    if (!c->supervisor->is_stopping) {
        start_later(c);
        return;
    }
    c->state = OVER;
    uv_timer_stop(&c->timer);
    stop_next(c->supervisor);
}

static void on_exit_seen(uv_poll_t *watch, int status, int events)
{
    struct child *c = container_of(watch, struct child, watch);
    (void)status;
    (void)events;

    c->state = ENDED;
    uv_close((uv_handle_t *)watch, on_watch_closed);
}

static void on_stop_timeout(uv_timer_t *timer)
{
    struct child *c = container_of(timer, struct child, timer);

    log_warn("program killed: it did not stop in time", S("name", c->row->name), I("pid", c->pid));
    kill(-c->pid, SIGKILL);
    process_signal(c->pidfd, SIGKILL);
}

static void ask_to_stop(struct child *c)
{
    process_signal(c->pidfd, c->row->stop_signal);
    uv_timer_start(&c->timer, on_stop_timeout, (uint64_t)c->row->stop_ms, 0);
}

/* ---- its start ---- */

static void watch(struct child *c)
{
    c->state = RUNNING;
    c->started_ms = mono_ms();
    uv_poll_init(c->supervisor->uv, &c->watch, c->pidfd);
    uv_poll_start(&c->watch, UV_READABLE, on_exit_seen);
}

/* In the child, after fork. Ends in the program, or with its reason as the last line of the log. */
static _Noreturn void become(const struct child *c, int log_fd)
{
    sigset_t none;
    const char *what = "writing the pid file";
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    dup2(in, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    int rc = pidfile_write_self(c->pid_path);
    if (rc == 0) {
        what = c->row->argv[0];
        execvpe(what, (char *const *)(uintptr_t)c->row->argv,
                (char *const *)(uintptr_t)c->supervisor->config.env);
        rc = errno;
    }
    dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(rc));
    _exit(127);
}

static int spawn(struct child *c, struct err *err)
{
    auto_fd int log_fd = open(c->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (log_fd < 0)
        return err_errno(err, errno, "opening %s", c->log_path);
    pid_t pid = fork();
    if (pid < 0)
        return err_errno(err, errno, "starting %s", c->row->name);
    if (pid == 0)
        become(c, log_fd);
    setpgid(pid, pid); /* in both, so that it holds whoever comes first */
    c->pid = pid;
    c->pidfd = pidfd_open(pid, 0);
    if (c->pidfd >= 0)
        return 0;
    int rc = errno; /* no descriptors left: what cannot be watched must not run */
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return err_errno(err, rc, "watching %s", c->row->name);
}

static void start(struct child *c)
{
    struct err err = { 0 };

    if (c->row->wait_for && !fs_exists(c->row->wait_for)) {
        uv_timer_start(&c->timer, on_timer_start, LOOK_MS, 0);
        return;
    }
    if (c->row->leftover)
        unlink(c->row->leftover); /* nothing of the last one runs any more: on_watch_closed saw to
                                     that */
    if (spawn(c, &err)) {
        log_error("starting a program", S("name", c->row->name), E(&err));
        start_later(c);
        return;
    }
    log_info("program started", S("name", c->row->name), I("pid", c->pid));
    watch(c);
}

static void start_or_adopt(struct child *c)
{
    c->pidfd = pidfile_open(c->pid_path, &c->pid);
    if (c->pidfd < 0) {
        start(c);
        return;
    }
    log_info("program adopted", S("name", c->row->name), I("pid", c->pid));
    watch(c);
    if (c->supervisor->config.renew || !process_runs(c->pid, c->row->argv[0]))
        ask_to_stop(c);
}

/* ---- stopping ---- */

static void on_closed(uv_handle_t *handle)
{
    struct supervisor *s = handle->data;

    if (--s->open_handles)
        return;
    for (size_t i = 0; i < s->config.count; i++) {
        free(s->children[i].pid_path);
        free(s->children[i].log_path);
    }
    void (*over)(void *) = s->config.over;
    void *arg = s->config.arg;
    free(s->children);
    free(s);
    over(arg);
}

static void close_timer(struct supervisor *s, uv_timer_t *timer)
{
    s->open_handles++;
    timer->data = s;
    uv_close((uv_handle_t *)timer, on_closed);
}

static void close_all(struct supervisor *s)
{
    close_timer(s, &s->rotate);
    for (size_t i = 0; i < s->config.count; i++)
        close_timer(s, &s->children[i].timer);
}

static void stop_next(struct supervisor *s)
{
    while (s->stopped < s->config.count && s->children[s->stopped].state == OVER)
        s->stopped++;
    if (s->stopped == s->config.count) {
        close_all(s);
        return;
    }
    struct child *c = &s->children[s->stopped];
    if (c->state == ENDED)
        return; /* its handle is closing; that calls us again */
    log_info("stopping", S("name", c->row->name), I("pid", c->pid));
    ask_to_stop(c);
}

void supervisor_stop(struct supervisor *s)
{
    if (s->is_stopping)
        return;
    s->is_stopping = true;
    for (size_t i = 0; i < s->config.count; i++) {
        struct child *c = &s->children[i];
        if (c->state == WAITING) {
            uv_timer_stop(&c->timer);
            c->state = OVER;
        }
    }
    stop_next(s);
}

/* ---- the whole ---- */

static void on_rotate(uv_timer_t *timer)
{
    struct supervisor *s = container_of(timer, struct supervisor, rotate);
    struct err err = { 0 };

    for (size_t i = 0; i < s->config.count; i++)
        if (logfile_rotate(s->children[i].log_path, s->config.log_max, &err))
            log_warn("rotating a log", S("name", s->children[i].row->name), E(&err));
}

struct supervisor *supervisor_start(struct loop *loop, const struct supervisor_config *config)
{
    struct supervisor *s = xcalloc(1, sizeof *s);

    s->config = *config;
    s->uv = loop_uv(loop);
    s->children = xcalloc(config->count, sizeof *s->children);
    uv_timer_init(s->uv, &s->rotate);
    uv_timer_start(&s->rotate, on_rotate, ROTATE_MS, ROTATE_MS);
    for (size_t i = 0; i < config->count; i++) {
        struct child *c = &s->children[i];
        *c = (struct child){ .row = &config->children[i], .supervisor = s, .pidfd = -1 };
        c->pid_path = supervisor_pid_path(config->run_dir, c->row->name);
        c->log_path = supervisor_log_path(config->log_dir, c->row->name);
        uv_timer_init(s->uv, &c->timer);
    }
    for (size_t i = config->count; i > 0; i--) /* what is stopped last is started first */
        start_or_adopt(&s->children[i - 1]);
    return s;
}
