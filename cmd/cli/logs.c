#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/target.h"

static int on_line(void *arg, const json_t *data, struct err *err)
{
    struct cli *cli = arg;
    (void)err;

    if (output_line_value(&cli->output, data))
        return 0;
    auto_free char *line =
        xasprintf("%s | %s", json_text_at(data, "instance"), json_text_at(data, "line"));
    output_line(&cli->output, NULL, line);
    return 0;
}

int logs_run(struct cli *cli, struct err *err)
{
    auto_free char *app = NULL, *path = NULL;
    json_auto_t *result = NULL;
    int64_t tail;
    int rc = cli_number(cli, OPT_TAIL, 0, 10000, 100, &tail, err);

    target_take_word(cli);
    if (rc || api_app_path(cli, &app, err))
        return rc ? rc : -1;
    auto_free char *process =
        text_url_escape(cli_has(cli, OPT_PROCESS) ? cli->options[OPT_PROCESS] : "");
    path = xasprintf("%s/logs?tail=%lld%s%s%s", app, (long long)tail, *process ? "&process=" : "",
                     process, cli_has(cli, OPT_FOLLOW) ? "&follow=true" : "");
    struct api_stream stream = { .path = path, .event = on_line, .arg = cli };
    return api_follow(cli, &stream, &result, err);
}
