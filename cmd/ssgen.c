/* evenkeel-ssgen: unpacks the sites that the controller wants, for nginx to serve. See
 * ssgen/agent.h. */
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/work.h"
#include "ssgen/agent.h"
#include "ssgen/config.h"

static const char usage[] = "usage: evenkeel-ssgen [-c FILE] [--check-config] [--help-config]\n";

static const struct option options[] = {
    { "config", required_argument, NULL, 'c' },
    { "check-config", no_argument, NULL, 'k' },
    { "help-config", no_argument, NULL, 'r' },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

struct program {
    struct loop *loop;
    struct agent *agent;
};

static void on_stopped(void *arg)
{
    struct program *program = arg;
    loop_stop(program->loop);
}

static void on_signal(void *arg)
{
    struct program *program = arg;
    work_stop();
    agent_stop(program->agent, on_stopped, program);
}

static int run(const struct ssgen_config *config, struct err *err)
{
    struct program program = { 0 };

    program.loop = loop_new(on_signal, &program);
    int rc = agent_start(program.loop, config, &program.agent, err);
    if (rc == 0)
        loop_run(program.loop);
    loop_free(program.loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct ssgen_config config = { 0 };
    struct err err = { 0 };
    const char *path = NULL;
    bool is_check = false;
    int option;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c')
            path = optarg;
        else if (option == 'k')
            is_check = true;
        else if (option == 'r')
            return conf_print(stdout, ssgen_keys, ssgen_key_count), 0;
        else
            return fputs(usage, option == 'h' ? stdout : stderr), option == 'h' ? 0 : 2;
    }
    umask(022); /* nginx reads the sites as another user */
    int rc = conf_read(path, ssgen_keys, ssgen_key_count, &config, &err);
    if (rc == 0 && log_set_level(config.log_level) < 0)
        rc = err_set(&err, ERR_INVALID, "log_level: \"%s\" is not debug, info, warn or error",
                     config.log_level);
    if (rc == 0 && !is_check)
        rc = run(&config, &err);
    if (rc < 0)
        log_error("evenkeel-ssgen cannot run", E(&err));
    conf_done(ssgen_keys, ssgen_key_count, &config);
    return rc < 0 ? 1 : 0;
}
