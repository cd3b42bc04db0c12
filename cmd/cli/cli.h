/* What every command of the program `evenkeel` works with: its words and options, and how it ends.
 * One thread. */
#ifndef CMD_CLI_CLI_H
#define CMD_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cmd/cli/output.h"

/* Exit codes; people's scripts depend on them. */
enum {
    EXIT_DONE = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_DIFFERS = 3,
    EXIT_NOT_FOUND = 4,
    EXIT_CONFLICT = 5, /* or held */
    EXIT_TIMEOUT = 6,
};

/* Sorted like the table in parse.c. */
enum option {
    OPT_API_PORT,
    OPT_APP,
    OPT_BACKGROUND,
    OPT_CONFIRM,
    OPT_DATA,
    OPT_DOMAIN,
    OPT_FILE,
    OPT_FOLLOW,
    OPT_FOREGROUND,
    OPT_HELP,
    OPT_HTTP_PORT,
    OPT_KEEP_APPS,
    OPT_LIMIT,
    OPT_MESSAGE,
    OPT_NETWORK_RANGE,
    OPT_OUTPUT,
    OPT_PASSWORD_STDIN,
    OPT_PREFIX,
    OPT_PROCESS,
    OPT_PROJECT,
    OPT_REF,
    OPT_REPLACE,
    OPT_REPOSITORY,
    OPT_RETRY,
    OPT_STATE,
    OPT_TAIL,
    OPT_TIMEOUT,
    OPT_TOKEN,
    OPT_USER,
    OPT_VERSION,
    OPT_WAIT,
    OPT_YES,
    OPT_COUNT,
};

#define OPT(name) (UINT64_C(1) << OPT_##name)

struct cli;

struct command {
    const char *noun; /* "apps", or a verb of every day: "deploy" */
    const char *verb; /* "create", or "" */
    const char *args; /* for the help: "NAME [vN]"; what is in [] may be left out, "…" repeats */
    const char *help; /* one line */
    uint64_t options; /* OPT(…) that it takes, besides those that all take */
    /* 0; -1 with err; or an exit code (with err, when there is something to say). */
    int (*run)(struct cli *cli, struct err *err);
};

struct server; /* server.h */
struct http_client;

struct cli {
    const struct command *command;
    const char *options[OPT_COUNT]; /* NULL: not given; "": a flag that was */
    char **args;                    /* the words after noun and verb */
    size_t arg_count;
    struct output output;
    struct server *server;    /* NULL until server_get */
    struct http_client *http; /* NULL until the first call */
};

static inline bool cli_has(const struct cli *cli, enum option option)
{
    return cli->options[option] != NULL;
}

/* The table, sorted by noun and verb. */
extern const struct command commands[];
extern const size_t command_count;

/* Fills `cli` from the words after the program's name (borrowed, and reordered). -1: a usage error.
 */
int cli_parse(struct cli *cli, char **words, size_t count, struct err *err);
void cli_done(struct cli *cli);

/* A usage error: returns EXIT_USAGE, with the command's own line as the hint. */
int cli_usage(const struct cli *cli, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The program's help, a noun's, or a command's. */
void cli_help(FILE *out, const char *noun, const struct command *command);

/* Prints the error and says with which code to exit. `rc` is what run() returned. */
int cli_report(int rc, const struct err *err);

/* An option's whole number; `fallback` when it is not given. */
int cli_number(const struct cli *cli, enum option option, int64_t min, int64_t max,
               int64_t fallback, int64_t *value, struct err *err);
/* The same for a duration ("90s"). */
int cli_duration(const struct cli *cli, enum option option, int64_t fallback_ms, int64_t *ms,
                 struct err *err);

#endif
