/* evenkeel-controller: owns the database, runs the loops, answers gateway, builders and site
 * agents. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "controller/controller.h"

static const char usage[] = "usage: evenkeel-controller --config FILE [--migrate | --stop-all | "
                            "--check-config | --help-config | --version]\n"
                            "  --migrate       bring the database to this version and end\n"
                            "  --stop-all      end and remove every container and network of this "
                            "installation; data stays\n"
                            "  --check-config  say whether the configuration is good\n"
                            "  --help-config   print what can be configured\n";

struct state {
    struct loop *loop;
    struct controller_program *program;
};

static void on_stop(void *arg)
{
    struct state *state = arg;

    controller_stop(state->program);
    loop_stop(state->loop);
}

static int fail(const struct err *err)
{
    fprintf(stderr, "evenkeel-controller: %s\n", err->text);
    if (*err->hint)
        fprintf(stderr, "  %s\n", err->hint);
    return EXIT_FAILURE;
}

static int run(const struct controller_config *config, struct err *err)
{
    struct state state = { 0 };

    state.loop = loop_new(on_stop, &state);
    int rc = controller_start(state.loop, config, &state.program, err);
    if (rc)
        on_stop(&state);
    else
        log_info("the controller is ready", S("socket", config->unix_path));
    loop_run(state.loop); /* until the links are closed */
    controller_free(state.program);
    loop_free(state.loop);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "config", required_argument, NULL, 'c' },
                                             { "migrate", no_argument, NULL, 'm' },
                                             { "stop-all", no_argument, NULL, 's' },
                                             { "check-config", no_argument, NULL, 'k' },
                                             { "help-config", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'v' },
                                             { 0 } };
    struct controller_config config = { 0 };
    const char *path = NULL;
    struct err err = { 0 };
    int mode = 'r', o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (o == 'c')
            path = optarg;
        else
            mode = o;
    if (mode == 'h')
        return controller_config_print(stdout), EXIT_SUCCESS;
    if (mode == 'v')
        return puts("evenkeel-controller " EVENKEEL_VERSION), EXIT_SUCCESS;
    if (mode == '?' || !path || optind < argc)
        return fputs(usage, stderr), 2;
    if (controller_config_read(path, &config, &err))
        return fail(&err);
    log_set_level(config.log_level);
    int rc = mode == 'm'   ? controller_migrate(&config, &err)
             : mode == 's' ? controller_stop_all(&config, &err)
             : mode == 'k' ? 0
                           : run(&config, &err);
    controller_config_done(&config);
    return rc ? fail(&err) : EXIT_SUCCESS;
}
