/* evenkeel-gateway: HTTP API, events, webhooks and hosted git in front of the controller. See
 * gateway/gateway.h. */
#include "gateway/gateway.h"
#include "cmd/program.h"
#include "gateway/git.h"

struct state {
    struct loop *loop;
    struct gateway *gateway;
};

static void on_signal(void *arg)
{
    struct state *state = arg;

    gateway_stop(state->gateway);
    loop_stop(state->loop);
}

static int run(const void *config, struct err *err)
{
    struct state state = { 0 };

    state.loop = loop_new(on_signal, &state);
    int rc = gateway_start(state.loop, config, &state.gateway, err);
    if (rc < 0)
        loop_stop(state.loop);
    loop_run(state.loop); /* until the links are closed */
    gateway_free(state.gateway);
    loop_free(state.loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct gateway_config config = { 0 };
    const struct program program = {
        .name = "evenkeel-gateway",
        .keys = gateway_conf_keys,
        .key_count = gateway_conf_count,
        .config = &config,
        .log_level = &config.log_level,
        .umask = 077,
        .run = run,
    };

    if (gateway_is_hook(argv[0])) /* git runs this program as a hook, too */
        return gateway_hook_main(argc, argv);
    return program_main(&program, argc, argv);
}
