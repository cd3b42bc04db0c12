#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/server.h"

/* One line of standard input, not shown while it is typed. */
static int read_token(char **token, struct err *err)
{
    struct termios shown, hidden;
    bool is_terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    auto_wipe char *line = NULL;
    size_t room = 0;

    if (is_terminal) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
        fputs("API token: ", stderr);
    }
    ssize_t n = getline(&line, &room, stdin);
    if (is_terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputc('\n', stderr);
    }
    if (n > 0)
        line[strcspn(line, "\r\n")] = '\0';
    if (n <= 0 || !*line)
        return err_set(err, ERR_INVALID, "no token was given");
    *token = take(&line);
    return 0;
}

int login_run(struct cli *cli, struct err *err)
{
    auto_wipe char *token = NULL;
    auto_free char *url = NULL;
    json_auto_t *info = NULL;
    const char *project = cli_has(cli, OPT_PROJECT) ? cli->options[OPT_PROJECT] : "default";

    if (server_check_url(cli->args[0], &url, err))
        return -1;
    if (cli_has(cli, OPT_TOKEN))
        token = xstrdup(cli->options[OPT_TOKEN]);
    else if (read_token(&token, err))
        return -1;
    server_free(cli->server);
    cli->server = server_new(url, token, project);
    if (api_call(cli, "GET", "/projects", NULL, &info, err)) /* is the token good? */
        return -1;
    if (server_write(cli->server, err))
        return -1;
    auto_free char *path = server_path();
    output_note(&cli->output, "logged in to %s; kept in %s", url, path);
    return 0;
}
