/* `evenkeel down`: the supervisor stops its programs; what a killed supervisor left behind is
 * stopped through the pid files; then the controller's program removes every container and network
 * of this installation. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/installation.h"
#include "cmd/cli/process.h"

enum { SUPERVISOR_MS = 90000, KILL_MS = 5000, STOP_ALL_MS = 600000, OUTPUT_MAX = 1 << 20 };

/* Asks the process in a pid file to stop, and makes it. */
static int stop_process(struct cli *cli, const char *path, const char *name, int number,
                        int64_t wait_ms, struct err *err)
{
    pid_t pid;
    auto_fd int pidfd = pidfile_open(path, &pid);

    if (pidfd >= 0) {
        output_note(&cli->output, "stopping the %s (pid %ld)", name, (long)pid);
        process_signal(pidfd, number);
        if (!process_wait(pidfd, wait_ms)) {
            output_note(&cli->output, "killing the %s: it did not stop in time", name);
            process_signal(pidfd, SIGKILL);
            if (!process_wait(pidfd, KILL_MS))
                return err_set(err, ERR_TIMEOUT, "the %s (pid %ld) cannot be killed", name,
                               (long)pid);
        }
        kill(-pid, SIGKILL); /* what is left of its group */
    }
    unlink(path);
    return 0;
}

static int stop_programs(struct cli *cli, const struct installation *in, struct err *err)
{
    auto_free char *supervisor = installation_supervisor_pid(in);

    if (stop_process(cli, supervisor, "supervisor", SIGTERM, SUPERVISOR_MS, err))
        return -1;
    for (size_t i = 0; i < INSTALLATION_CHILDREN; i++) {
        const struct supervisor_child *child = &in->children[i];
        auto_free char *path = supervisor_pid_path(in->run_dir, child->name);
        if (stop_process(cli, path, child->name, child->stop_signal, child->stop_ms, err))
            return -1;
    }
    return 0;
}

/* Containers and networks; the data stays. */
static int remove_all(struct cli *cli, const struct installation *in, struct err *err)
{
    const char *argv[] = { in->children[3].argv[0], "--config", in->controller_config, "--stop-all",
                           NULL };
    struct proc_options options = { .argv = argv,
                                    .env = (const char *const *)in->env,
                                    .timeout_ms = STOP_ALL_MS,
                                    .output_max = OUTPUT_MAX };

    if (!fs_exists(in->controller_config))
        return 0; /* nothing was ever started here */
    output_note(&cli->output, "removing containers and networks");
    if (proc_check(&options, NULL, NULL, err) == 0)
        return 0;
    err_prefix(err, "removing what runs");
    return err_hint(err, "is Docker up? `evenkeel down` again removes the rest");
}

static int stop(struct cli *cli, struct installation *in, struct err *err)
{
    auto_fd int lock = -1;

    if (installation_open(cli, in, err))
        return -1;
    if (!fs_exists(in->run_dir)) {
        output_note(&cli->output, "nothing runs: there is no data in %s", in->settings.data);
        return 0;
    }
    if (stop_programs(cli, in, err) ||
        installation_lock(in, &lock, err)) /* nobody starts it again meanwhile */
        return -1;
    if (!cli_has(cli, OPT_KEEP_APPS) && remove_all(cli, in, err))
        return -1;
    output_note(&cli->output,
                cli_has(cli, OPT_KEEP_APPS) ? "stopped; the apps' instances run on"
                                            : "stopped; the data stays in %s",
                in->settings.data);
    return 0;
}

int down_run(struct cli *cli, struct err *err)
{
    struct installation in = { 0 };
    int rc = stop(cli, &in, err);

    installation_done(&in);
    return rc;
}
