#include "cmd/cli/confirm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

int confirm(const struct cli *cli, const char *what, const char *name, struct err *err)
{
    auto_free char *typed = NULL;
    size_t room = 0;

    if (cli_has(cli, OPT_YES))
        return 0;
    if (cli_has(cli, OPT_CONFIRM))
        return strcmp(cli->options[OPT_CONFIRM], name) == 0
                   ? 0
                   : cli_usage(cli, err, "--confirm names something else than %s", name);
    if (!isatty(STDIN_FILENO))
        return cli_usage(cli, err, "this removes %s %s: add --yes or --confirm %s", what, name,
                         name);
    fprintf(stderr, "This removes %s %s and cannot be undone. Its name, to go on: ", what, name);
    ssize_t n = getline(&typed, &room, stdin);
    if (n > 0 && typed[n - 1] == '\n')
        typed[n - 1] = '\0';
    if (n > 0 && strcmp(typed, name) == 0)
        return 0;
    err_set(err, ERR_STOPPED, "nothing was removed");
    return EXIT_ERROR;
}
