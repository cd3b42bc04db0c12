#include "base/mem.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"

static const struct column columns[] = {
    { "ID", "id", COLUMN_TEXT },
    { "NAME", "name", COLUMN_TEXT },
    { "PROJECT", "project", COLUMN_TEXT },
    { "CREATED", "created_at", COLUMN_AGE },
};

static const struct column created[] = {
    { "ID", "id", COLUMN_TEXT },
    { "NAME", "name", COLUMN_TEXT },
    { "TOKEN", "token", COLUMN_TEXT },
};

int tokens_list(struct cli *cli, struct err *err)
{
    json_auto_t *items = NULL;

    if (api_list(cli, "/tokens", 10000, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}

int tokens_create(struct cli *cli, struct err *err)
{
    json_auto_t *token = NULL;
    json_t *body =
        json_pack("{s:s, s:s*}", "name", cli->args[0], "token_project", cli->options[OPT_PROJECT]);

    if (api_call(cli, "POST", "/tokens", body, &token, err))
        return -1;
    output_object(&cli->output, token, created, countof(created));
    output_note(&cli->output, "The token is shown this once.");
    return 0;
}

int tokens_delete(struct cli *cli, struct err *err)
{
    auto_free char *path = api_below("/tokens", cli->args[0]);

    return api_call(cli, "DELETE", path, NULL, NULL, err);
}
