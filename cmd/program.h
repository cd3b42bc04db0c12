/* What the four programs beside the CLI do alike: options, configuration, log level, how a failure
 * is told. Exit codes: 0, 1 failed, 2 wrong usage. */
#ifndef CMD_PROGRAM_H
#define CMD_PROGRAM_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "conf/conf.h"

typedef int program_run(const void *config, struct err *err);

/* Something else to do than to run: `--migrate`. */
struct program_mode {
    const char *option, *help; /* option NULL ends the list */
    program_run *run;
};

struct program {
    const char *name;
    const struct conf_key *keys;
    size_t key_count;
    void *config;           /* zeroed; read, then freed, by program_main */
    char *const *log_level; /* the member of `config` that holds it */
    mode_t umask;
    program_run *run;
    const struct program_mode *modes; /* NULL: none */
};

/* What main returns. */
int program_main(const struct program *program, int argc, char **argv);

#endif
