#include <string.h>

#include "cmd/cli/commands.h"

int help_run(struct cli *cli, struct err *err)
{
    struct cli about = { .output = cli->output };

    if (!cli->arg_count) {
        cli_help(cli->output.file, NULL, NULL);
        return 0;
    }
    for (size_t i = 0; i < command_count && cli->arg_count == 1; i++)
        if (strcmp(commands[i].noun, cli->args[0]) == 0 && *commands[i].verb) {
            cli_help(cli->output.file, cli->args[0], NULL);
            return 0;
        }
    int rc = cli_parse(&about, cli->args, cli->arg_count, err);
    if (!about.command)
        return rc;
    *err = (struct err){ 0 }; /* its arguments are missing, of course */
    cli_help(cli->output.file, NULL, about.command);
    return 0;
}

int version_run(struct cli *cli, struct err *err)
{
    (void)err;
    fprintf(cli->output.file, "evenkeel %s\n", EVENKEEL_VERSION);
    return 0;
}
