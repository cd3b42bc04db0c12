#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/confirm.h"

static const struct column columns[] = {
    { "NAME", "name", COLUMN_TEXT },
    { "URL", "url", COLUMN_TEXT },
    { "LOOKED", "polled_at", COLUMN_AGE },
    { "ERROR", "error", COLUMN_TEXT },
};

static const struct column details[] = {
    { "NAME", "name", COLUMN_TEXT },
    { "PROJECT", "project", COLUMN_TEXT },
    { "URL", "url", COLUMN_TEXT },
    { "HOSTED", "hosted", COLUMN_TEXT },
    { "LOOKED", "polled_at", COLUMN_AGE },
    { "ERROR", "error", COLUMN_TEXT },
    { "WEBHOOK", "webhook.url", COLUMN_TEXT },
    { "SECRET", "webhook.secret", COLUMN_TEXT },
};

static const struct column refs[] = {
    { "REF", "name", COLUMN_TEXT },
    { "COMMIT", "commit", COLUMN_SHORT },
    { "SEEN", "seen_at", COLUMN_AGE },
};

static int repositories_path(struct cli *cli, char **path, struct err *err)
{
    auto_free char *project = NULL;

    if (api_project_path(cli, &project, err))
        return -1;
    *path = xasprintf("%s/repositories", project);
    return 0;
}

/* Of the repository named by the first word. */
static int repository_path(struct cli *cli, char **path, struct err *err)
{
    auto_free char *all = NULL;

    if (repositories_path(cli, &all, err))
        return -1;
    *path = api_below(all, cli->args[0]);
    return 0;
}

int repos_list(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *items = NULL;

    if (repositories_path(cli, &path, err) || api_list(cli, path, 10000, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}

/* The first line of standard input: a password is no argument, arguments can be seen by others. */
static int read_password(char **password, struct err *err)
{
    auto_wipe char *line = NULL;
    size_t room = 0;
    ssize_t n = getline(&line, &room, stdin);

    if (n <= 0)
        return err_set(err, ERR_INVALID, "standard input holds no password");
    line[strcspn(line, "\r\n")] = '\0';
    *password = take(&line);
    return 0;
}

int repos_add(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    auto_wipe char *password = NULL;
    json_auto_t *repository = NULL;

    if (repositories_path(cli, &path, err))
        return -1;
    if (cli_has(cli, OPT_PASSWORD_STDIN) && read_password(&password, err))
        return -1;
    json_t *body = json_pack("{s:s, s:s, s:s*, s:s*}", "repository", cli->args[0], "url",
                             cli->args[1], "user", cli->options[OPT_USER], "password", password);
    if (api_call(cli, "POST", path, body, &repository, err))
        return -1;
    output_object(&cli->output, repository, details, countof(details));
    if (*json_text_at(repository, "webhook.secret"))
        output_note(&cli->output, "The webhook's secret is shown this once.");
    return 0;
}

int repos_info(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *repository = NULL;

    if (repository_path(cli, &path, err) || api_call(cli, "GET", path, NULL, &repository, err))
        return -1;
    output_object(&cli->output, repository, details, countof(details));
    if (cli->output.format == OUTPUT_TABLE &&
        json_array_size(json_object_get(repository, "refs"))) {
        output_note(&cli->output, "%s", "");
        output_list(&cli->output, json_object_get(repository, "refs"), refs, countof(refs));
    }
    return 0;
}

int repos_refresh(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL, *refresh = NULL;

    if (repository_path(cli, &path, err))
        return -1;
    refresh = xasprintf("%s/refresh", path);
    return api_call(cli, "POST", refresh, NULL, NULL, err);
}

int repos_remove(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    int rc = confirm(cli, "the repository", cli->args[0], err);

    if (rc || repository_path(cli, &path, err))
        return rc ? rc : -1;
    return api_call(cli, "DELETE", path, NULL, NULL, err);
}
