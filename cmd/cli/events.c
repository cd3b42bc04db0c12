#include "base/mem.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/target.h"

enum { EVENTS_MAX = 200 /* of one answer */, SHOWN = 50 };

static const struct column columns[] = {
    { "AGE", "at", COLUMN_AGE },           { "APP", "app", COLUMN_TEXT },
    { "KIND", "kind", COLUMN_TEXT },       { "REASON", "reason", COLUMN_TEXT },
    { "MESSAGE", "message", COLUMN_TEXT },
};

static int on_event(void *arg, const json_t *event, struct err *err)
{
    struct cli *cli = arg;
    (void)err;

    if (output_line_value(&cli->output, event))
        return 0;
    auto_free char *line =
        xasprintf("%s  %s  %s%s%s  %s", json_text_at(event, "at"), json_text_at(event, "app"),
                  json_text_at(event, "kind"), *json_text_at(event, "reason") ? " " : "",
                  json_text_at(event, "reason"), json_text_at(event, "message"));
    output_line(&cli->output, NULL, line);
    return 0;
}

/* Of the app, or with -p and no app of the whole project. */
static int events_path(struct cli *cli, char **path, struct err *err)
{
    auto_free char *below = NULL;
    bool is_project = cli_has(cli, OPT_PROJECT) && !cli_has(cli, OPT_APP);

    if (is_project ? api_project_path(cli, &below, err) : api_app_path(cli, &below, err))
        return -1;
    *path = xasprintf("%s/events", below);
    return 0;
}

int events_run(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *items = NULL, *result = NULL;
    int64_t limit;
    int rc = cli_number(cli, OPT_LIMIT, 1, EVENTS_MAX, SHOWN, &limit, err);

    target_take_word(cli);
    if (rc || events_path(cli, &path, err))
        return rc ? rc : -1;
    if (cli_has(cli, OPT_FOLLOW)) {
        struct api_stream stream = { .path = path, .event = on_event, .arg = cli };
        return api_follow(cli, &stream, &result, err);
    }
    if (api_list(cli, path, (size_t)limit, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}
