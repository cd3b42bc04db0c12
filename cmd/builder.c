/* evenkeel-builder: takes builds from the controller, one per slot. See builder/builder.h. */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "builder/builder.h"

static const char usage[] = "usage: evenkeel-builder [-c FILE] [--check-config] [--help-config]\n";

static const struct option options[] = {
    { "config", required_argument, NULL, 'c' },
    { "check-config", no_argument, NULL, 'k' },
    { "help-config", no_argument, NULL, 'r' },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

static void on_signal(void *arg)
{
    struct builder *const *builder = arg;
    if (*builder)
        builder_stop(*builder);
}

static int run(const struct builder_config *config, struct err *err)
{
    struct builder *builder = NULL;
    struct loop *loop = loop_new(on_signal, &builder);
    int rc = builder_start(loop, config, &builder, err);

    if (rc == 0)
        loop_run(loop);
    builder_free(builder);
    loop_free(loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct builder_config config = { 0 };
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
            return builder_config_print(stdout), 0;
        else
            return fputs(usage, option == 'h' ? stdout : stderr), option == 'h' ? 0 : 2;
    }
    setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive keeps names that are not ASCII only so */
    umask(077);
    int rc = builder_config_read(path, &config, &err);
    if (rc == 0 && log_set_level(config.log_level) < 0)
        rc = err_set(&err, ERR_INVALID, "log: \"%s\" is not debug, info, warn or error",
                     config.log_level);
    if (rc == 0 && !is_check)
        rc = run(&config, &err);
    if (rc < 0)
        log_error("evenkeel-builder cannot run", E(&err));
    builder_config_done(&config);
    return rc < 0 ? 1 : 0;
}
