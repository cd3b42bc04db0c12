/* evenkeel-gateway: HTTP API, events, webhooks and hosted git in front of the controller. See
 * gateway/gateway.h. */
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#ifdef GATEWAY_GIT
#include "gateway/git.h"
#endif

static const char usage[] = "usage: evenkeel-gateway [-c FILE] [--check-config] [--help-config]\n";

static const struct option options[] = {
    { "config", required_argument, NULL, 'c' },
    { "check-config", no_argument, NULL, 'k' },
    { "help-config", no_argument, NULL, 'r' },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

struct program {
    struct loop *loop;
    struct gateway *gateway;
};

static void on_signal(void *arg)
{
    struct program *program = arg;

    if (program->gateway)
        gateway_stop(program->gateway);
    loop_stop(program->loop);
}

static int run(const struct gateway_config *config, struct err *err)
{
    struct program program = { .gateway = NULL };

    program.loop = loop_new(on_signal, &program);
    int rc = gateway_start(program.loop, config, &program.gateway, err);
    if (rc < 0)
        loop_stop(program.loop);
    loop_run(program.loop);
    gateway_free(program.gateway);
    loop_free(program.loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct gateway_config config = { 0 };
    struct err err = { 0 };
    const char *path = NULL;
    bool is_check = false;
    int option;

#ifdef GATEWAY_GIT
    if (gateway_is_hook(argv[0]))
        return gateway_hook_main(argc, argv);
#endif
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c')
            path = optarg;
        else if (option == 'k')
            is_check = true;
        else if (option == 'r')
            return conf_print(stdout, gateway_conf_keys, gateway_conf_count), 0;
        else
            return fputs(usage, option == 'h' ? stdout : stderr), option == 'h' ? 0 : 2;
    }
    umask(077);
    int rc = conf_read(path, gateway_conf_keys, gateway_conf_count, &config, &err);
    if (rc == 0 && !is_check)
        rc = run(&config, &err);
    if (rc < 0)
        log_error("evenkeel-gateway cannot run", E(&err));
    conf_done(gateway_conf_keys, gateway_conf_count, &config);
    return rc < 0 ? 1 : 0;
}
