/* How things are: an app with its processes and conditions, or the server. And explain. */
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/target.h"

static const struct column app_columns[] = {
    { "APP", "name", COLUMN_TEXT },
    { "PHASE", "phase", COLUMN_STATE },
    { "LIVE", "live.release", COLUMN_TEXT },
    { "COMMIT", "live.commit", COLUMN_SHORT },
    { "WANTED", "wanted.release", COLUMN_TEXT },
    { "WANTED COMMIT", "wanted.commit", COLUMN_SHORT },
    { "HOLD", "hold.message", COLUMN_TEXT },
    { "URLS", "urls", COLUMN_LIST },
};

static const struct column process_columns[] = {
    { "PROCESS", "name", COLUMN_TEXT },
    { "WANTED", "wanted", COLUMN_TEXT },
    { "READY", "ready", COLUMN_TEXT },
};

static const struct column condition_columns[] = {
    { "CONDITION", "type", COLUMN_TEXT },  { "STATUS", "status", COLUMN_TEXT },
    { "REASON", "reason", COLUMN_TEXT },   { "SINCE", "since", COLUMN_AGE },
    { "MESSAGE", "message", COLUMN_TEXT },
};

static const struct column system_columns[] = {
    { "ROUTER REACHABLE", "router.reachable", COLUMN_STATE },
    { "BACKEND REACHABLE", "backend.reachable", COLUMN_STATE },
    { "BUILDS QUEUED", "queue.queued", COLUMN_TEXT },
    { "BUILDS RUNNING", "queue.running", COLUMN_TEXT },
};

static const struct column builder_columns[] = {
    { "BUILDER", "name", COLUMN_TEXT },
    { "SLOTS", "slots", COLUMN_TEXT },
    { "BUSY", "busy", COLUMN_TEXT },
    { "CONNECTED", "connected", COLUMN_STATE },
};

static const struct column link_columns[] = {
    { "LINK", "name", COLUMN_TEXT },       { "HOLDS", "holds", COLUMN_STATE },
    { "REASON", "reason", COLUMN_TEXT },   { "SINCE", "since", COLUMN_AGE },
    { "MESSAGE", "message", COLUMN_TEXT },
};

static void print_part(const struct cli *cli, const json_t *items, const struct column *columns,
                       size_t count)
{
    if (cli->output.format != OUTPUT_TABLE || !json_array_size(items))
        return;
    output_note(&cli->output, "%s", "");
    output_list(&cli->output, items, columns, count);
}

static int system_status(struct cli *cli, struct err *err)
{
    json_auto_t *status = NULL;

    if (api_call(cli, "GET", "/system/status", NULL, &status, err))
        return -1;
    output_object(&cli->output, status, system_columns, countof(system_columns));
    print_part(cli, json_object_get(status, "builders"), builder_columns, countof(builder_columns));
    return 0;
}

int status_run(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *app = NULL;
    bool is_named = cli->arg_count || cli_has(cli, OPT_APP);

    target_take_word(cli);
    if (api_app_path(cli, &path, err)) {
        if (is_named || err->class != ERR_NOT_FOUND)
            return -1;
        *err = (struct err){ 0 };
        return system_status(cli, err);
    }
    if (api_call(cli, "GET", path, NULL, &app, err))
        return -1;
    output_object(&cli->output, app, app_columns, countof(app_columns));
    print_part(cli, json_object_get(app, "processes"), process_columns, countof(process_columns));
    print_part(cli, json_object_get(app, "conditions"), condition_columns,
               countof(condition_columns));
    return 0;
}

int explain_run(struct cli *cli, struct err *err)
{
    auto_free char *app = NULL, *path = NULL;
    json_auto_t *answer = NULL;

    target_take_word(cli);
    if (api_app_path(cli, &app, err))
        return -1;
    path = xasprintf("%s/explain", app);
    if (api_call(cli, "GET", path, NULL, &answer, err))
        return -1;
    if (cli->output.format == OUTPUT_TABLE) {
        output_line(&cli->output, NULL, json_text_at(answer, "text"));
        print_part(cli, json_object_get(answer, "links"), link_columns, countof(link_columns));
    } else {
        output_value(&cli->output, answer);
    }
    return json_is_true(json_object_get(answer, "ok")) ? 0 : EXIT_DIFFERS;
}
