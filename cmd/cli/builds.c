#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/visible.h"

static const struct column columns[] = {
    { "ID", "id", COLUMN_TEXT },           { "APP", "app", COLUMN_TEXT },
    { "STATE", "state", COLUMN_STATE },    { "COMMIT", "commit", COLUMN_SHORT },
    { "REASON", "reason", COLUMN_TEXT },   { "CREATED", "created_at", COLUMN_AGE },
    { "MESSAGE", "message", COLUMN_TEXT },
};

static const struct column details[] = {
    { "ID", "id", COLUMN_TEXT },
    { "APP", "app", COLUMN_TEXT },
    { "STATE", "state", COLUMN_STATE },
    { "COMMIT", "commit", COLUMN_TEXT },
    { "KEY", "key", COLUMN_SHORT },
    { "ARTIFACT", "artifact", COLUMN_TEXT },
    { "REASON", "reason", COLUMN_TEXT },
    { "MESSAGE", "message", COLUMN_TEXT },
    { "CREATED", "created_at", COLUMN_AGE },
    { "STARTED", "started_at", COLUMN_AGE },
    { "ENDED", "ended_at", COLUMN_AGE },
};

static const struct column attempts[] = {
    { "ATTEMPT", "number", COLUMN_TEXT }, { "BUILDER", "builder", COLUMN_TEXT },
    { "STATE", "state", COLUMN_STATE },   { "STARTED", "started_at", COLUMN_AGE },
    { "ENDED", "ended_at", COLUMN_AGE },
};

/* Builds of the app, or with -p and without -a of the project. */
static int builds_path(struct cli *cli, char **path, struct err *err)
{
    auto_free char *below = NULL;
    bool is_project = cli_has(cli, OPT_PROJECT) && !cli_has(cli, OPT_APP);

    if (is_project ? api_project_path(cli, &below, err) : api_app_path(cli, &below, err))
        return -1;
    *path = xasprintf("%s/builds", below);
    return 0;
}

int builds_list(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL, *full = NULL;
    json_auto_t *items = NULL;
    int64_t limit;
    int rc = cli_number(cli, OPT_LIMIT, 1, 100000, 50, &limit, err);

    if (rc || builds_path(cli, &path, err))
        return rc ? rc : -1;
    auto_free char *state = text_url_escape(cli_has(cli, OPT_STATE) ? cli->options[OPT_STATE] : "");
    full = xasprintf("%s%s%s", path, *state ? "?state=" : "", state);
    if (api_list(cli, full, (size_t)limit, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}

int builds_info(struct cli *cli, struct err *err)
{
    auto_free char *path = api_below("/builds", cli->args[0]);
    json_auto_t *build = NULL;

    if (api_call(cli, "GET", path, NULL, &build, err))
        return -1;
    output_object(&cli->output, build, details, countof(details));
    if (cli->output.format == OUTPUT_TABLE && json_array_size(json_object_get(build, "attempts"))) {
        output_note(&cli->output, "%s", "");
        output_list(&cli->output, json_object_get(build, "attempts"), attempts, countof(attempts));
    }
    return 0;
}

int builds_cancel(struct cli *cli, struct err *err)
{
    auto_free char *build = api_below("/builds", cli->args[0]);
    auto_free char *path = xasprintf("%s/cancel", build);

    return api_call(cli, "POST", path, NULL, NULL, err);
}

/* ---- the log ---- */

struct log {
    struct cli *cli;
    char *begun; /* a line whose end has not come yet */
};

/* Pieces end anywhere; lines are printed whole, so that what is made visible is never cut in two.
 */
static int on_piece(void *arg, const json_t *data, struct err *err)
{
    struct log *log = arg;
    (void)err;

    if (output_line_value(&log->cli->output, data))
        return 0;
    auto_free char *text = xasprintf("%s%s", log->begun, json_text_at(data, "text"));
    char *line = text;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        output_line(&log->cli->output, NULL, line);
    }
    free(log->begun);
    log->begun = xstrdup(line);
    return 0;
}

static int newest_build(struct cli *cli, char **id, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *items = NULL;

    if (builds_path(cli, &path, err) || api_list(cli, path, 1, &items, err))
        return -1;
    if (!json_array_size(items))
        return err_set(err, ERR_NOT_FOUND, "the app was never built");
    *id = xstrdup(json_text_at(json_array_get(items, 0), "id"));
    return 0;
}

int builds_logs(struct cli *cli, struct err *err)
{
    auto_free char *id = cli->arg_count ? xstrdup(cli->args[0]) : NULL;
    json_auto_t *result = NULL;
    struct log log = { .cli = cli, .begun = xstrdup("") };

    if (!id && newest_build(cli, &id, err))
        return -1;
    auto_free char *build = api_below("/builds", id);
    auto_free char *path =
        xasprintf("%s/log?offset=0%s", build, cli_has(cli, OPT_FOLLOW) ? "&follow=true" : "");
    struct api_stream stream = { .path = path, .event = on_piece, .arg = &log };
    int rc = api_follow(cli, &stream, &result, err);
    if (*log.begun)
        output_line(&cli->output, NULL, log.begun);
    free(log.begun);
    const char *state = json_text_at(result, "state");
    if (rc == 0 && cli_has(cli, OPT_FOLLOW) && *state && strcmp(state, "succeeded") != 0)
        return err_set(err, ERR_INTERNAL, "the build ended %s", state);
    return rc;
}
