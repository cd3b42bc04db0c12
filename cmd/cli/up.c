/* `evenkeel up`: one machine runs everything. In the background it returns when the API answers:
 * the process that was called prepares and takes the lock, forks the supervisor, which inherits the
 * lock, and watches it come up. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "cmd/cli/admin.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/installation.h"
#include "cmd/cli/process.h"
#include "cmd/cli/supervisor.h"
#include "cmd/cli/visible.h"
#include "http/client.h"

enum {
    LOG_MAX = 10 << 20,
    READY_MS = 60000,
    LOOK_MS = 100,
    KILL_MS = 5000,
    ANSWER_MS = 2000,
    LINE_MAX_LEN = 400, /* of a program's last line, as shown in an error */
};

struct up {
    struct installation installation;
    struct loop *loop;
    struct supervisor *supervisor;
    struct admin *admin;
    bool is_changed;
    pid_t before[INSTALLATION_CHILDREN]; /* what ran when this began; 0: nothing */
};

/* ---- the supervisor's process ---- */

static void on_stop(void *arg)
{
    struct up *up = arg;

    log_info("stopping");
    admin_stop(up->admin);
    up->admin = NULL;
    supervisor_stop(up->supervisor);
}

static void on_over(void *arg)
{
    struct up *up = arg;

    loop_stop(up->loop);
}

/* The terminal closed: stop as if asked to. */
static void on_hangup(int number)
{
    (void)number;
    raise(SIGTERM);
}

static int supervise(struct up *up, struct err *err)
{
    struct installation *in = &up->installation;
    auto_free char *pid_path = installation_supervisor_pid(in);
    int rc = pidfile_write_self(pid_path);

    if (rc)
        return err_errno(err, rc, "writing %s", pid_path);
    up->loop = loop_new(on_stop, up);
    signal(SIGHUP, on_hangup);
    log_info("starting", S("data", in->settings.data), S("api", in->api_url),
             I("http_port", in->settings.http_port));
    struct supervisor_config config = {
        .children = in->children,
        .count = INSTALLATION_CHILDREN,
        .env = (const char *const *)in->env,
        .run_dir = in->run_dir,
        .log_dir = in->log_dir,
        .log_max = LOG_MAX,
        .renew = up->is_changed,
        .over = on_over,
        .arg = up,
    };
    up->supervisor = supervisor_start(up->loop, &config);
    up->admin = admin_start(up->loop, in);
    loop_run(up->loop);
    loop_free(up->loop);
    unlink(pid_path);
    log_info("stopped");
    return 0;
}

/* In the forked process: a session of its own, the log instead of the terminal. */
static _Noreturn void become_background(struct up *up)
{
    struct err err = { 0 };
    auto_free char *path = supervisor_log_path(up->installation.log_dir, "supervisor");
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    setsid();
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    int rc = supervise(up, &err);
    if (rc)
        log_error("supervising", E(&err));
    _exit(rc ? EXIT_ERROR : EXIT_DONE);
}

/* ---- coming up, seen from the outside ---- */

/* The status that is answered; 0 when none is. */
static long ask(struct http_client *http, const char *url)
{
    struct http_call call = { .method = "GET", .url = url, .timeout_ms = ANSWER_MS };
    auto_http_answer answer = { 0 };
    struct err err = { 0 };

    return http_client_run(http, &call, &answer, &err) ? 0 : (long)answer.status;
}

/* The router answers any status to somebody who asks for no app. */
static bool both_answer(struct http_client *http, const struct installation *in)
{
    auto_free char *api = xasprintf("%s/api/v1/system", in->api_url),
                   *router = xasprintf("http://127.0.0.1:%lld/", (long long)in->settings.http_port);

    return ask(http, api) == 200 && ask(http, router) != 0;
}

static pid_t child_pid(const struct installation *in, size_t i)
{
    auto_free char *path = supervisor_pid_path(in->run_dir, in->children[i].name);
    pid_t pid = 0;
    auto_fd int pidfd = pidfile_open(path, &pid);

    return pidfd >= 0 ? pid : 0;
}

/* None runs any more that the supervisor is about to start anew: it would answer, and then end. */
static bool all_are_current(const struct up *up)
{
    for (size_t i = 0; i < INSTALLATION_CHILDREN; i++) {
        pid_t pid = child_pid(&up->installation, i);
        if (pid && ((up->is_changed && pid == up->before[i]) ||
                    !process_runs(pid, up->installation.children[i].argv[0])))
            return false;
    }
    return true;
}

/* The end of a log file, for the error. */
static char *last_line(const struct installation *in, const char *name)
{
    auto_free char *path = supervisor_log_path(in->log_dir, name);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char tail[LINE_MAX_LEN + 1];
    struct stat info;

    if (fd < 0 || fstat(fd, &info))
        return xstrdup("");
    off_t at = info.st_size > LINE_MAX_LEN ? info.st_size - LINE_MAX_LEN : 0;
    ssize_t n = pread(fd, tail, LINE_MAX_LEN, at);
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    tail[n > 0 ? n : 0] = '\0';
    const char *line = strrchr(tail, '\n');
    return visible(line ? line + 1 : tail);
}

/* Which of our programs does not run, and its last words. */
static int explain_down(const struct installation *in, struct err *err)
{
    for (size_t i = 0; i < INSTALLATION_CHILDREN; i++) {
        const struct supervisor_child *child = &in->children[i];
        if (child_pid(in, i) || (child->wait_for && !fs_exists(child->wait_for)))
            continue;
        auto_free char *line = last_line(in, child->name);
        err_set(err, ERR_UNAVAILABLE, "%s does not stay up: %s", child->name, line);
        return err_hint(err, "all it said is in %s/%s.log; `evenkeel down` stops the rest",
                        in->log_dir, child->name);
    }
    err_set(err, ERR_TIMEOUT, "API or router do not answer after %d s (%s, port %lld)",
            READY_MS / 1000, in->api_url, (long long)in->settings.http_port);
    return err_hint(err, "look into %s", in->log_dir);
}

static int wait_ready(const struct up *up, pid_t supervisor, struct err *err)
{
    const struct installation *in = &up->installation;
    auto_http_client *http = http_client_new(NULL);
    int64_t end_ms = clock_mono_ms(clock_system()) + READY_MS;

    while (clock_mono_ms(clock_system()) < end_ms) {
        if (fs_exists(in->token_path) && all_are_current(up) && both_answer(http, in))
            return 0;
        if (waitpid(supervisor, NULL, WNOHANG) == supervisor) {
            auto_free char *line = last_line(in, "supervisor");
            return err_set(err, ERR_INTERNAL, "the supervisor ended: %s", line);
        }
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000 }, NULL);
    }
    return explain_down(in, err);
}

static int start_background(struct cli *cli, struct up *up, struct err *err)
{
    const struct installation *in = &up->installation;
    pid_t pid = fork();

    if (pid < 0)
        return err_errno(err, errno, "starting the supervisor");
    if (pid == 0)
        become_background(up);
    if (wait_ready(up, pid, err))
        return -1;
    output_note(&cli->output, "Evenkeel is up: API at %s, apps at http://APP.%s:%lld, data in %s",
                in->api_url, in->settings.domain, (long long)in->settings.http_port,
                in->settings.data);
    return 0;
}

/* With --replace the supervisor that runs is killed, not asked: its programs outlive that, and it
 * would stop them. */
static int lock_or_replace(struct cli *cli, const struct installation *in, int *fd, struct err *err)
{
    auto_free char *path = installation_supervisor_pid(in);
    pid_t pid;

    if (installation_lock(in, fd, err) == 0)
        return 0;
    if (!cli_has(cli, OPT_REPLACE) || err->class != ERR_CONFLICT)
        return -1;
    auto_fd int pidfd = pidfile_open(path, &pid);
    if (pidfd < 0)
        return -1;
    output_note(&cli->output, "taking over from the supervisor (pid %ld)", (long)pid);
    process_signal(pidfd, SIGKILL);
    process_wait(pidfd, KILL_MS);
    *err = (struct err){ 0 };
    return installation_lock(in, fd, err);
}

static int start(struct cli *cli, struct up *up, struct err *err)
{
    auto_fd int lock = -1;

    if (installation_open(cli, &up->installation, err) ||
        lock_or_replace(cli, &up->installation, &lock, err) ||
        installation_check_ports(&up->installation, err) ||
        installation_prepare(&up->installation, &up->is_changed, err))
        return -1;
    for (size_t i = 0; i < INSTALLATION_CHILDREN; i++)
        up->before[i] = child_pid(&up->installation, i);
    return cli_has(cli, OPT_BACKGROUND) ? start_background(cli, up, err) : supervise(up, err);
}

int up_run(struct cli *cli, struct err *err)
{
    struct up up = { 0 };

    if (cli_has(cli, OPT_BACKGROUND) && cli_has(cli, OPT_FOREGROUND))
        return cli_usage(cli, err, "--foreground or --background, not both");
    int rc = start(cli, &up, err);
    installation_done(&up.installation);
    return rc;
}
