#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"

enum { ERRORS_MAX = 4096, LOOK_MS = 100 };

static const char *const default_env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent",
    "LC_ALL=C.UTF-8", NULL
};

/* What is open while the child runs; the read ends are ours. */
struct run {
    const struct proc_options *options;
    pid_t pid;
    int in, out, errors; /* -1 once closed */
    size_t in_done;
    char *buffer; /* collected output */
    size_t len, room;
    char tail[ERRORS_MAX];
    size_t tail_len;
    bool output_refused;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int open_pipe(int *read_end, int *write_end, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC))
        return err_errno(err, errno, "making a pipe");
    *read_end = fds[0];
    *write_end = fds[1];
    return 0;
}

static int spawn(struct run *r, int in, int out, int errors, struct err *err)
{
    const struct proc_options *o = r->options;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, defaults;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, errors, STDERR_FILENO);
    if (o->dir)
        posix_spawn_file_actions_addchdir_np(&files, o->dir);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    const char *const *env = o->env ? o->env : default_env;
    int rc = posix_spawnp(&r->pid, o->argv[0], &files, &attr, (char *const *)(uintptr_t)o->argv,
                          (char *const *)(uintptr_t)env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc ? err_errno(err, rc, "starting %s", o->argv[0]) : 0;
}

static int start(struct run *r, struct err *err)
{
    auto_fd int in = -1, out = -1, errors = -1;

    if (open_pipe(&r->out, &out, err) || open_pipe(&r->errors, &errors, err))
        return -1;
    if (r->options->input) {
        if (open_pipe(&in, &r->in, err))
            return -1;
        fcntl(r->in, F_SETFL, O_NONBLOCK);
    } else {
        in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    return spawn(r, in, out, errors, err);
}

static void feed_input(struct run *r)
{
    const char *p = r->options->input;
    ssize_t n = write(r->in, p + r->in_done, r->options->input_len - r->in_done);

    if (n > 0)
        r->in_done += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || r->in_done == r->options->input_len)
        close_fd(&r->in);
}

static int keep_output(struct run *r, const char *data, size_t len, struct err *err)
{
    const struct proc_options *o = r->options;

    if (o->on_output)
        return o->on_output(o->arg, data, len, err);
    if (len > o->output_max - r->len)
        return err_set(err, ERR_EXHAUSTED, "%s printed more than %zu bytes", o->argv[0],
                       o->output_max);
    if (r->len + len + 1 > r->room) {
        r->room = (r->len + len + 1) * 2;
        r->buffer = xreallocarray(r->buffer, r->room, 1);
    }
    memcpy(r->buffer + r->len, data, len);
    r->len += len;
    return 0;
}

static void keep_errors(struct run *r, const char *data, size_t len)
{
    if (len > ERRORS_MAX) {
        data += len - ERRORS_MAX;
        len = ERRORS_MAX;
    }
    if (r->tail_len + len > ERRORS_MAX) {
        size_t drop = r->tail_len + len - ERRORS_MAX;
        memmove(r->tail, r->tail + drop, r->tail_len - drop);
        r->tail_len -= drop;
    }
    memcpy(r->tail + r->tail_len, data, len);
    r->tail_len += len;
}

static int read_some(struct run *r, int *fd, struct err *err)
{
    char data[65536];
    ssize_t n = read(*fd, data, sizeof data);

    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0) {
        close_fd(fd);
        return 0;
    }
    if (fd == &r->errors) {
        keep_errors(r, data, (size_t)n);
        return 0;
    }
    return keep_output(r, data, (size_t)n, err);
}

static int must_end(const struct run *r, int64_t deadline_ms, struct err *err)
{
    const struct proc_options *o = r->options;

    if (work_stopping || (o->cancelled && __atomic_load_n(o->cancelled, __ATOMIC_SEQ_CST)))
        return err_set(err, ERR_STOPPED, "%s was stopped", o->argv[0]);
    if (clock_mono_ms(clock_system()) > deadline_ms)
        return err_set(err, ERR_TIMEOUT, "%s took longer than %lld ms", o->argv[0],
                       (long long)o->timeout_ms);
    return 0;
}

/* Moves bytes until the child closed both its outputs. */
static int pump(struct run *r, int64_t deadline_ms, struct err *err)
{
    while (r->out >= 0 || r->errors >= 0) {
        struct pollfd fds[] = { { r->out, POLLIN, 0 },
                                { r->errors, POLLIN, 0 },
                                { r->in, POLLOUT, 0 } };
        if (must_end(r, deadline_ms, err))
            return -1;
        if (poll(fds, 3, LOOK_MS) < 0 && errno != EINTR)
            return err_errno(err, errno, "polling");
        if (fds[0].revents && read_some(r, &r->out, err))
            return -1;
        if (fds[1].revents && read_some(r, &r->errors, err))
            return -1;
        if (fds[2].revents)
            feed_input(r);
    }
    return 0;
}

/* Closing the outputs is not ending: a child may go on without them. */
static int wait_exit(const struct run *r, int64_t deadline_ms, struct err *err)
{
    auto_fd int pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);

    if (pidfd < 0)
        return err_errno(err, errno, "watching %s", r->options->argv[0]);
    for (;;) {
        struct pollfd fd = { pidfd, POLLIN, 0 };
        if (poll(&fd, 1, LOOK_MS) > 0)
            return 0;
        if (must_end(r, deadline_ms, err))
            return -1;
    }
}

static int reap(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* From the start to the exit, or to the SIGKILL. */
static int attend(struct run *r, int *exit_code, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms(clock_system()) + r->options->timeout_ms;
    int rc = pump(r, deadline_ms, err);

    close_fd(&r->in);
    if (rc == 0)
        rc = wait_exit(r, deadline_ms, err);
    if (rc) {
        kill(-r->pid, SIGKILL);
        kill(r->pid, SIGKILL); /* it may have moved to another group */
    }
    *exit_code = reap(r->pid);
    return rc;
}

int proc_run(const struct proc_options *options, struct proc_result *result, struct err *err)
{
    struct run r = { .options = options, .in = -1, .out = -1, .errors = -1 };
    int rc = start(&r, err);

    if (rc == 0)
        rc = attend(&r, &result->exit_code, err);
    close_fd(&r.in);
    close_fd(&r.out);
    close_fd(&r.errors);
    if (rc) {
        free(r.buffer);
        return -1;
    }
    if (!options->on_output) {
        r.buffer = xreallocarray(r.buffer, r.len + 1, 1);
        r.buffer[r.len] = '\0';
    }
    result->output = r.buffer;
    result->output_len = r.len;
    while (r.tail_len && r.tail[r.tail_len - 1] == '\n')
        r.tail_len--;
    result->errors = text_utf8(r.tail, r.tail_len);
    return 0;
}

void proc_result_done(struct proc_result *result)
{
    free(result->output);
    free(result->errors);
}

int proc_check(const struct proc_options *options, char **output, size_t *len, struct err *err)
{
    auto_proc_result result = { 0 };

    if (proc_run(options, &result, err))
        return -1;
    if (result.exit_code) {
        const char *line = strrchr(result.errors, '\n');
        return err_set(err, ERR_INTERNAL, "%s: exit code %d: %s", options->argv[0],
                       result.exit_code, line ? line + 1 : result.errors);
    }
    if (output)
        *output = take(&result.output);
    if (len)
        *len = result.output_len;
    return 0;
}
