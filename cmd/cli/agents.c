#include "base/mem.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"

static const struct column columns[] = {
    { "KIND", "kind", COLUMN_TEXT },
    { "NAME", "name", COLUMN_TEXT },
    { "CREATED", "created_at", COLUMN_AGE },
};

static const struct column created[] = {
    { "KIND", "kind", COLUMN_TEXT },
    { "NAME", "name", COLUMN_TEXT },
    { "TOKEN", "token", COLUMN_TEXT },
};

int agents_list(struct cli *cli, struct err *err)
{
    json_auto_t *items = NULL;

    if (api_list(cli, "/agents", 10000, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}

int agents_create(struct cli *cli, struct err *err)
{
    json_t *body = json_pack("{s:s, s:s}", "kind", cli->args[0], "name", cli->args[1]);
    json_auto_t *agent = NULL;

    if (api_call(cli, "POST", "/agents", body, &agent, err))
        return -1;
    output_object(&cli->output, agent, created, countof(created));
    output_note(&cli->output,
                "The token is shown this once; put it into the agent's controller.token_file.");
    return 0;
}

int agents_delete(struct cli *cli, struct err *err)
{
    auto_free char *kind = api_below("/agents", cli->args[0]);
    auto_free char *path = api_below(kind, cli->args[1]);

    return api_call(cli, "DELETE", path, NULL, NULL, err);
}
