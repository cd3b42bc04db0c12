/* evenkeel-controller: owns the database, runs the loops, answers gateway, builders and site
 * agents. See controller/controller.h. */
#include "controller/controller.h"
#include "base/log.h"
#include "cmd/program.h"

struct state {
    struct loop *loop;
    struct controller_program *program;
};

static void on_signal(void *arg)
{
    struct state *state = arg;

    controller_stop(state->program);
    loop_stop(state->loop);
}

static int run(const void *arg, struct err *err)
{
    const struct controller_config *config = arg;
    struct state state = { 0 };

    state.loop = loop_new(on_signal, &state);
    int rc = controller_start(state.loop, config, &state.program, err);
    if (rc)
        on_signal(&state);
    else
        log_info("the controller is ready", S("socket", config->unix_path));
    loop_run(state.loop); /* until the links are closed */
    controller_free(state.program);
    loop_free(state.loop);
    return rc;
}

static int migrate(const void *config, struct err *err)
{
    return controller_migrate(config, err);
}

static int stop_all(const void *config, struct err *err)
{
    return controller_stop_all(config, err);
}

int main(int argc, char **argv)
{
    static const struct program_mode modes[] = {
        { "migrate", "bring the database to this version and end", migrate },
        { "stop-all", "remove every container and network of this installation; data stays",
          stop_all },
        { 0 },
    };
    struct controller_config config = { 0 };
    const struct program program = {
        .name = "evenkeel-controller",
        .keys = controller_conf_keys,
        .key_count = controller_conf_count,
        .config = &config,
        .log_level = &config.log_level,
        .umask = 077,
        .run = run,
        .modes = modes,
    };

    return program_main(&program, argc, argv);
}
