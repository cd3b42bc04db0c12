#include "base/mem.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/confirm.h"

static const struct column columns[] = {
    { "NAME", "name", COLUMN_TEXT },
    { "CREATED", "created_at", COLUMN_AGE },
};

int projects_list(struct cli *cli, struct err *err)
{
    json_auto_t *items = NULL;

    if (api_list(cli, "/projects", 10000, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}

int projects_create(struct cli *cli, struct err *err)
{
    json_auto_t *project = NULL;

    if (api_call(cli, "POST", "/projects", json_pack("{s:s}", "name", cli->args[0]), &project, err))
        return -1;
    output_object(&cli->output, project, columns, countof(columns));
    return 0;
}

int projects_delete(struct cli *cli, struct err *err)
{
    auto_free char *path = api_below("/projects", cli->args[0]);
    int rc = confirm(cli, "the project", cli->args[0], err);

    return rc ? rc : api_call(cli, "DELETE", path, NULL, NULL, err);
}
