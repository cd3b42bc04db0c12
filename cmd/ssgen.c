/* evenkeel-ssgen: unpacks the sites that the controller wants, for nginx to serve. See
 * ssgen/agent.h. */
#include "base/loop.h"
#include "base/work.h"
#include "cmd/program.h"
#include "ssgen/agent.h"
#include "ssgen/config.h"

struct state {
    struct loop *loop;
    struct agent *agent;
};

static void on_stopped(void *arg)
{
    struct state *state = arg;
    loop_stop(state->loop);
}

static void on_signal(void *arg)
{
    struct state *state = arg;
    work_stop();
    agent_stop(state->agent, on_stopped, state);
}

static int run(const void *config, struct err *err)
{
    struct state state = { 0 };

    state.loop = loop_new(on_signal, &state);
    int rc = agent_start(state.loop, config, &state.agent, err);
    if (rc == 0)
        loop_run(state.loop);
    loop_free(state.loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct ssgen_config config = { 0 };
    const struct program program = {
        .name = "evenkeel-ssgen",
        .keys = ssgen_conf_keys,
        .key_count = ssgen_conf_count,
        .config = &config,
        .log_level = &config.log_level,
        .umask = 022, /* nginx reads the sites as another user */
        .run = run,
    };

    return program_main(&program, argc, argv);
}
