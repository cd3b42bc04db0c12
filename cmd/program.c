#include "cmd/program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"

enum { MODES_MAX = 4, FIRST_MODE = 256 };
enum { EXIT_USAGE = 2 };

static const struct option common[] = {
    { "config", required_argument, NULL, 'c' }, { "check-config", no_argument, NULL, 'k' },
    { "help-config", no_argument, NULL, 'r' },  { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'v' },
};

static void print_usage(FILE *out, const struct program *program)
{
    fprintf(out,
            "usage: %s [-c FILE] [OPTION]\n"
            "  -c, --config FILE  read the configuration from FILE\n"
            "  --check-config     say whether the configuration is good\n"
            "  --help-config      print what can be configured\n"
            "  --version          print the version\n",
            program->name);
    for (const struct program_mode *m = program->modes; m && m->option; m++)
        fprintf(out, "  --%-16s %s\n", m->option, m->help);
}

static int usage_error(const struct program *program)
{
    print_usage(stderr, program);
    return EXIT_USAGE;
}

static int fail(const struct program *program, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", program->name, err->text);
    if (*err->hint)
        fprintf(stderr, "  %s\n", err->hint);
    return EXIT_FAILURE;
}

static int set_log_level(const struct program *program, struct err *err)
{
    if (log_set_level(*program->log_level) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "log_level: \"%s\" is not debug, info, warn or error",
                   *program->log_level);
}

/* `run` NULL: only reads. */
static int with_config(const struct program *program, const char *path, program_run *run)
{
    struct err err = { 0 };

    umask(program->umask);
    int rc = conf_read(path, program->keys, program->key_count, program->config, &err);
    if (rc == 0)
        rc = set_log_level(program, &err);
    if (rc == 0 && run)
        rc = run(program->config, &err);
    conf_done(program->keys, program->key_count, program->config);
    return rc ? fail(program, &err) : EXIT_SUCCESS;
}

/* getopt's table: the common options, then the program's own. */
static void list_options(const struct program *program, struct option *options)
{
    size_t count = 0;

    for (; count < sizeof common / sizeof *common; count++)
        options[count] = common[count];
    for (int i = 0; i < MODES_MAX && program->modes && program->modes[i].option; i++)
        options[count++] =
            (struct option){ program->modes[i].option, no_argument, NULL, FIRST_MODE + i };
}

int program_main(const struct program *program, int argc, char **argv)
{
    struct option options[sizeof common / sizeof *common + MODES_MAX + 1] = { 0 };
    program_run *run = program->run;
    const char *path = NULL;
    int option;

    list_options(program, options);
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c')
            path = optarg;
        else if (option == 'k')
            run = NULL;
        else if (option == 'r')
            return conf_print(stdout, program->keys, program->key_count), EXIT_SUCCESS;
        else if (option == 'h')
            return print_usage(stdout, program), EXIT_SUCCESS;
        else if (option == 'v')
            return printf("%s %s\n", program->name, EVENKEEL_VERSION), EXIT_SUCCESS;
        else if (option >= FIRST_MODE)
            run = program->modes[option - FIRST_MODE].run;
        else
            return usage_error(program);
    }
    return optind < argc ? usage_error(program) : with_config(program, path, run);
}
