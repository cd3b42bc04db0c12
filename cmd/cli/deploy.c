/* Deploying and waiting: both follow the app's way to what is wanted (apps.follow). */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/follow.h"
#include "cmd/cli/target.h"
#include "cmd/cli/visible.h"

enum { WAIT_MS = 600000 };

static int on_line(void *arg, const json_t *data, struct err *err)
{
    struct cli *cli = arg;
    (void)err;

    if (!output_line_value(&cli->output, data))
        output_line(&cli->output, NULL, json_text_at(data, "line"));
    return 0;
}

/* How a way that was followed ends. Sorted. */
static const struct {
    const char *result;
    int code;
} ends[] = {
    { "failed", EXIT_ERROR },   { "held", EXIT_CONFLICT },    { "live", EXIT_DONE },
    { "rejected", EXIT_ERROR }, { "stopped", EXIT_CONFLICT }, { "superseded", EXIT_CONFLICT },
};

static int end(struct cli *cli, const json_t *result, struct err *err)
{
    const char *word = json_text_at(result, "result"), *message = json_text_at(result, "message");
    int code = EXIT_ERROR;

    for (size_t i = 0; i < countof(ends); i++)
        if (strcmp(ends[i].result, word) == 0)
            code = ends[i].code;
    if (output_line_value(&cli->output, result))
        return code;
    if (code) {
        err_set(err, ERR_CONFLICT, "%s%s%s", *word ? word : "the server did not say how it ended",
                *message ? ": " : "", message);
        err_hint(err, "`evenkeel explain` says more");
        return code;
    }
    const char *url = json_string_value(json_array_get(json_object_get(result, "urls"), 0));
    auto_free char *text =
        *message ? xstrdup(message) : xasprintf("live%s%s", url ? ": " : "", url ? url : "");
    output_line(&cli->output, word, text);
    return 0;
}

/* For those who only want to know how it ends. */
static int on_nothing(void *arg, const json_t *data, struct err *err)
{
    (void)arg;
    (void)data;
    (void)err;
    return 0;
}

int follow_app(struct cli *cli, const char *commit, int64_t after, struct err *err)
{
    auto_free char *app = NULL, *path = NULL, *escaped = text_url_escape(commit ? commit : "");
    json_auto_t *result = NULL;
    int64_t timeout_ms;
    int rc = cli_duration(cli, OPT_TIMEOUT, WAIT_MS, &timeout_ms, err);

    if (rc || api_app_path(cli, &app, err))
        return rc ? rc : -1;
    auto_free char *since =
        after == FOLLOW_QUIET ? xstrdup("") : xasprintf("&after=%lld", (long long)after);
    path = xasprintf("%s/follow?%s%s%s", app, commit ? "commit=" : "", escaped, since);
    struct api_stream stream = { .path = path,
                                 .event = after == FOLLOW_QUIET ? on_nothing : on_line,
                                 .arg = cli,
                                 .timeout_ms = timeout_ms };
    rc = api_follow(cli, &stream, &result, err);
    return rc ? rc : end(cli, result, err);
}

/* Posts to the app's `verb` and follows what it started; `body` is taken. */
static int start(struct cli *cli, const char *verb, json_t *body, struct err *err)
{
    json_auto_t *owned = body;
    auto_free char *app = NULL, *path = NULL;
    json_auto_t *answer = NULL;

    if (api_app_path(cli, &app, err))
        return -1;
    path = xasprintf("%s/%s", app, verb);
    if (api_call(cli, "POST", path, json_incref(owned), &answer, err))
        return -1;
    const char *commit = json_string_value(json_object_get(answer, "commit"));
    if (!cli->output.is_terminal && !cli_has(cli, OPT_WAIT)) {
        auto_free char *name = visible(json_text_at(answer, "app")),
                       *clean = visible(commit ? commit : "");
        if (!output_line_value(&cli->output, answer))
            output_note(&cli->output, "%sing %s at %s; `evenkeel wait -a %s` waits for it", verb,
                        name, commit ? clean : "its newest commit", name);
        return 0;
    }
    return follow_app(cli, commit, json_integer_value(json_object_get(answer, "seq")), err);
}

int deploy_run(struct cli *cli, struct err *err)
{
    target_take_word(cli);
    return start(cli, "deploy", json_pack("{s:b}", "retry", cli_has(cli, OPT_RETRY)), err);
}

int deploy_restart(struct cli *cli, struct err *err)
{
    target_take_word(cli);
    return start(cli, "restart", json_object(), err);
}

int deploy_wait(struct cli *cli, struct err *err)
{
    target_take_word(cli);
    return follow_app(cli, NULL, FOLLOW_QUIET, err);
}
