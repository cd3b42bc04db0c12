#include <string.h>

#include "base/mem.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"

static int env_path(struct cli *cli, char **path, struct err *err)
{
    auto_free char *app = NULL;

    if (api_app_path(cli, &app, err))
        return -1;
    *path = xasprintf("%s/env", app);
    return 0;
}

int env_list(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *answer = NULL;
    const char *name;
    json_t *value;

    if (env_path(cli, &path, err) || api_call(cli, "GET", path, NULL, &answer, err))
        return -1;
    json_t *env = json_object_get(answer, "env");
    if (cli->output.format != OUTPUT_TABLE) {
        output_value(&cli->output, env);
        return 0;
    }
    json_object_foreach(env, name, value) {
        auto_free char *text = json_is_string(value)
                                   ? xstrdup(json_string_value(value))
                                   : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        auto_free char *line = xasprintf("%s=%s", name, text ? text : "");
        output_line(&cli->output, NULL, line);
    }
    return 0;
}

/* Sends {set: …}; taken. */
static int send(struct cli *cli, json_t *set, struct err *err)
{
    json_auto_t *body = json_pack("{s:o}", "set", set);
    auto_free char *path = NULL;
    json_auto_t *answer = NULL;

    if (env_path(cli, &path, err) || api_call(cli, "PATCH", path, json_incref(body), &answer, err))
        return -1;
    if (!output_line_value(&cli->output, answer))
        output_note(&cli->output, "set, as generation %lld; the app takes it over now",
                    (long long)json_integer_value(json_object_get(answer, "generation")));
    return 0;
}

int env_set(struct cli *cli, struct err *err)
{
    json_auto_t *set = json_object();

    for (size_t i = 0; i < cli->arg_count; i++) {
        const char *word = cli->args[i], *equals = strchr(word, '=');
        if (!equals || equals == word)
            return cli_usage(cli, err, "NAME=VALUE, like LOG_LEVEL=debug");
        auto_free char *name = xstrndup(word, (size_t)(equals - word));
        if (json_object_set_new(set, name, json_string(equals + 1)))
            return cli_usage(cli, err, "name and value must be UTF-8");
    }
    return send(cli, json_incref(set), err);
}

int env_unset(struct cli *cli, struct err *err)
{
    json_auto_t *set = json_object();

    for (size_t i = 0; i < cli->arg_count; i++) {
        if (strchr(cli->args[i], '='))
            return cli_usage(cli, err, "only names, without =");
        json_object_set_new(set, cli->args[i], json_null());
    }
    return send(cli, json_incref(set), err);
}
