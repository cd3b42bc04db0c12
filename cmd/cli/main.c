/* evenkeel: the command line, and `evenkeel up`, which runs everything on one machine. */
#include <locale.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/cli/commands.h"

static int run(struct cli *cli, int argc, char **argv, struct err *err)
{
    int rc = cli_parse(cli, argv + 1, (size_t)argc - 1, err);

    if (rc)
        return rc < 0 ? EXIT_USAGE : rc;
    if (cli_has(cli, OPT_VERSION))
        return version_run(cli, err);
    if (!cli->command || cli_has(cli, OPT_HELP)) {
        cli_help(stdout, NULL, cli->command);
        return 0;
    }
    return cli->command->run(cli, err);
}

int main(int argc, char **argv)
{
    struct cli cli = { 0 };
    struct err err = { 0 };

    setlocale(LC_CTYPE, "C.UTF-8"); /* for the width of characters */
    output_init(&cli.output);
    int code = cli_report(run(&cli, argc, argv, &err), &err);
    cli_done(&cli);
    if (fflush(stdout) && !code)
        code = EXIT_ERROR;
    return code;
}
