#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/follow.h"

static const struct column columns[] = {
    { "RELEASE", "number", COLUMN_TEXT },    { "STATE", "state", COLUMN_STATE },
    { "COMMIT", "commit", COLUMN_SHORT },    { "ARTIFACT", "artifact", COLUMN_SHORT },
    { "CREATED", "created_at", COLUMN_AGE }, { "LIVE", "live_at", COLUMN_AGE },
    { "REASON", "reason", COLUMN_TEXT },
};

static const struct column details[] = {
    { "RELEASE", "number", COLUMN_TEXT },        { "STATE", "state", COLUMN_STATE },
    { "COMMIT", "commit", COLUMN_TEXT },         { "ARTIFACT", "artifact", COLUMN_TEXT },
    { "GENERATION", "generation", COLUMN_TEXT }, { "CREATED", "created_at", COLUMN_AGE },
    { "LIVE", "live_at", COLUMN_AGE },           { "REASON", "reason", COLUMN_TEXT },
    { "EVIDENCE", "evidence", COLUMN_TEXT },
};

/* "v7" or "7". */
static int release_number(const struct cli *cli, const char *word, int64_t *number, struct err *err)
{
    if (!text_int(word + (*word == 'v'), number) || *number < 1)
        return cli_usage(cli, err, "a release is v1, v2, …");
    return 0;
}

int releases_list(struct cli *cli, struct err *err)
{
    auto_free char *app = NULL, *path = NULL;
    json_auto_t *items = NULL;
    int64_t limit;
    int rc = cli_number(cli, OPT_LIMIT, 1, 100000, 50, &limit, err);

    if (rc || api_app_path(cli, &app, err))
        return rc ? rc : -1;
    path = xasprintf("%s/releases", app);
    if (api_list(cli, path, (size_t)limit, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}

int releases_info(struct cli *cli, struct err *err)
{
    auto_free char *app = NULL, *path = NULL;
    json_auto_t *release = NULL;
    int64_t number;
    int rc = release_number(cli, cli->args[0], &number, err);

    if (rc || api_app_path(cli, &app, err))
        return rc ? rc : -1;
    path = xasprintf("%s/releases/%lld", app, (long long)number);
    if (api_call(cli, "GET", path, NULL, &release, err))
        return -1;
    output_object(&cli->output, release, details, countof(details));
    return 0;
}

int releases_rollback(struct cli *cli, struct err *err)
{
    auto_free char *app = NULL, *path = NULL;
    json_auto_t *answer = NULL;
    json_t *body = json_object();
    int64_t number = 0;
    int rc = cli->arg_count ? release_number(cli, cli->args[0], &number, err) : 0;

    if (number)
        json_object_set_new(body, "release", json_integer(number));
    if (rc || api_app_path(cli, &app, err)) {
        json_decref(body);
        return rc ? rc : -1;
    }
    path = xasprintf("%s/rollback", app);
    if (api_call(cli, "POST", path, body, &answer, err))
        return -1;
    if (!output_line_value(&cli->output, answer))
        output_note(&cli->output,
                    "going back to v%lld; `evenkeel resume` ends the hold that keeps it there",
                    (long long)json_integer_value(json_object_get(answer, "release")));
    if (!cli->output.is_terminal && !cli_has(cli, OPT_WAIT))
        return 0;
    return follow_app(cli, NULL, FOLLOW_QUIET, err);
}
