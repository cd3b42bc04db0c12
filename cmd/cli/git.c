/* git's credential helper (https://git-scm.com/docs/gitcredentials): the password of hosted
 * repositories is the API token, so that git pushes without asking and no token stands in an
 * address. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/programs.h"
#include "cmd/cli/server.h"

enum { GIT_MS = 10000, LINES_MAX = 100 };

static int git(const char *const *argv, struct err *err)
{
    const char *home = getenv("HOME"), *path = getenv("PATH"), *xdg = getenv("XDG_CONFIG_HOME");
    auto_free char *home_line = xasprintf("HOME=%s", home ? home : "/nonexistent");
    auto_free char *path_line = xasprintf("PATH=%s", path ? path : "/usr/bin:/bin");
    auto_free char *xdg_line = xdg ? xasprintf("XDG_CONFIG_HOME=%s", xdg) : NULL;
    const char *const env[] = { home_line, path_line, xdg_line, NULL };
    struct proc_options options = {
        .argv = argv, .env = env, .timeout_ms = GIT_MS, .output_max = 65536
    };

    return proc_check(&options, NULL, NULL, err);
}

/* 'It'\''s' for the shell by which git runs its helpers. */
static char *shell_quote(const char *text)
{
    char *quoted = NULL;
    size_t len;
    FILE *out = xmemstream(&quoted, &len);

    putc('\'', out);
    for (const char *c = text; *c; c++)
        if (*c == '\'')
            fputs("'\\''", out);
        else
            putc(*c, out);
    putc('\'', out);
    fclose(out);
    return quoted;
}

int git_setup(struct cli *cli, struct err *err)
{
    const struct server *server;
    auto_free char *self = NULL;

    if (server_get(cli, &server, err) || program_self(&self, err))
        return -1;
    auto_free char *quoted = shell_quote(self);
    auto_free char *key = xasprintf("credential.%s.helper", server->url);
    auto_free char *helper = xasprintf("!%s git-credential", quoted);
    /* The empty one first: helpers configured for all servers are not asked for this one. */
    const char *reset[] = { "git", "config", "--global", "--replace-all", key, "", NULL };
    const char *add[] = { "git", "config", "--global", "--add", key, helper, NULL };
    if (git(reset, err) || git(add, err))
        return err_prefix(err, "configuring git");
    output_note(&cli->output, "git uses your login for %s", server->url);
    return 0;
}

/* What git wants to log in to. */
struct wanted {
    char *protocol, *host;
};

static void read_wanted(struct wanted *wanted)
{
    auto_free char *line = NULL;
    size_t room = 0;

    for (int i = 0; i < LINES_MAX && getline(&line, &room, stdin) > 0; i++) {
        line[strcspn(line, "\n")] = '\0';
        if (!*line)
            return;
        char **member = text_starts(line, "protocol=") ? &wanted->protocol
                        : text_starts(line, "host=")   ? &wanted->host
                                                       : NULL;
        if (!member)
            continue;
        free(*member);
        *member = xstrdup(strchr(line, '=') + 1);
    }
}

int git_credential(struct cli *cli, struct err *err)
{
    const struct server *server;
    struct wanted wanted = { 0 };

    if (strcmp(cli->args[0], "get") != 0)
        return 0; /* store and erase: the login is kept elsewhere */
    if (server_get(cli, &server, err))
        return -1;
    read_wanted(&wanted);
    auto_free char *protocol = wanted.protocol, *host = wanted.host;
    auto_free char *url = xasprintf("%s://%s", protocol ? protocol : "", host ? host : "");
    size_t len = strlen(url);
    /* The token goes to its own server only. */
    if (strncmp(server->url, url, len) == 0 && (!server->url[len] || server->url[len] == '/'))
        printf("username=evenkeel\npassword=%s\n", server->token);
    return 0;
}
