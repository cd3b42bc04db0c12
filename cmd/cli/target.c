#include "cmd/cli/target.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"
#include "cmd/cli/server.h"
#include "cmd/cli/yaml_text.h"

enum { SPEC_MAX = 256 * 1024, REMOTES_MAX = 64 * 1024, GIT_MS = 10000, NAME_MAX_LEN = 63 };

void target_take_word(struct cli *cli)
{
    if (!cli->arg_count)
        return;
    cli->options[OPT_APP] = cli->args[0];
    cli->args++;
    cli->arg_count--;
}

static char *app_of_file(const char *dir)
{
    auto_free char *path = fs_join(dir, "evenkeel.yaml");
    auto_free char *text = NULL;
    struct err err = { 0 };
    size_t len;

    if (fs_read(path, SPEC_MAX, &text, &len, &err))
        return NULL;
    return yaml_top_member(text, len, "app");
}

/* This folder, then each above it. */
static char *app_of_files(void)
{
    auto_free char *dir = getcwd(NULL, 0);

    while (dir && *dir) {
        char *app = app_of_file(dir);
        if (app)
            return app;
        *strrchr(dir, '/') = '\0';
    }
    return NULL;
}

bool target_of_remote(const char *remote, const char *url, char **project, char **app)
{
    size_t len = strlen(url);

    if (strncmp(remote, url, len) != 0 || !text_starts(remote + len, "/git/"))
        return false;
    const char *p = remote + len + 5, *slash = strchr(p, '/');
    if (!slash)
        return false;
    auto_free char *first = xstrndup(p, (size_t)(slash - p)), *second = xstrdup(slash + 1);
    if (text_ends(second, ".git"))
        second[strlen(second) - 4] = '\0';
    if (!text_is_label(first, NAME_MAX_LEN) || !text_is_label(second, NAME_MAX_LEN))
        return false;
    *project = take(&first);
    *app = take(&second);
    return true;
}

/* Lines "remote.NAME.url ADDRESS". */
static char *app_of_remotes(struct cli *cli, const char *url)
{
    static const char *const argv[] = { "git", "config", "--get-regexp", "^remote\\..*\\.url$",
                                        NULL };
    const char *path = getenv("PATH"), *home = getenv("HOME");
    auto_free char *path_line = xasprintf("PATH=%s", path ? path : "/usr/bin:/bin");
    auto_free char *home_line = xasprintf("HOME=%s", home ? home : "/nonexistent");
    const char *const env[] = { path_line, home_line, NULL };
    struct proc_options options = {
        .argv = argv, .env = env, .timeout_ms = GIT_MS, .output_max = REMOTES_MAX
    };
    auto_proc_result result = { 0 };
    struct err err = { 0 };
    char *project, *app;

    if (proc_run(&options, &result, &err) || result.exit_code)
        return NULL;
    for (char *line = result.output, *next; *line; line = next) {
        size_t len = strcspn(line, "\n");
        next = line + len + (line[len] == '\n');
        line[len] = '\0';
        const char *space = strchr(line, ' ');
        if (!space || !target_of_remote(space + 1, url, &project, &app))
            continue;
        free(cli->server->project);
        cli->server->project = project;
        return app;
    }
    return NULL;
}

int target_app(struct cli *cli, char **app, struct err *err)
{
    const struct server *server;
    const char *given = cli->options[OPT_APP];
    char *found = NULL;

    if (!given || !*given)
        given = getenv("EVENKEEL_APP");
    if (given && *given) {
        *app = xstrdup(given);
        return 0;
    }
    if (server_get(cli, &server, err))
        return -1;
    found = app_of_files();
    if (!found)
        found = app_of_remotes(cli, server->url);
    if (!found) {
        err_set(err, ERR_NOT_FOUND,
                "which app? there is no evenkeel.yaml with `app:` here or above, and no "
                "git remote of %s",
                server->url);
        return err_hint(err, "add -a APP; `evenkeel apps` lists them");
    }
    *app = found;
    return 0;
}

int target_project(struct cli *cli, const char **project, struct err *err)
{
    const struct server *server;

    if (server_get(cli, &server, err))
        return -1;
    *project = cli_has(cli, OPT_PROJECT) ? cli->options[OPT_PROJECT] : server->project;
    return 0;
}
