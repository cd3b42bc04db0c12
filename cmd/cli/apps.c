#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"
#include "cmd/cli/api.h"
#include "cmd/cli/commands.h"
#include "cmd/cli/confirm.h"
#include "cmd/cli/server.h"
#include "cmd/cli/target.h"
#include "cmd/cli/visible.h"
#include "model/spec.h"

static const struct column columns[] = {
    { "NAME", "name", COLUMN_TEXT },
    { "PHASE", "phase", COLUMN_STATE },
    { "RELEASE", "live.release", COLUMN_TEXT },
    { "COMMIT", "live.commit", COLUMN_SHORT },
    { "URLS", "urls", COLUMN_LIST },
    { "CREATED", "created_at", COLUMN_AGE },
};

static const struct column details[] = {
    { "NAME", "name", COLUMN_TEXT },
    { "PROJECT", "project", COLUMN_TEXT },
    { "PHASE", "phase", COLUMN_STATE },
    { "RUNNING", "running", COLUMN_STATE },
    { "REPOSITORY", "repository", COLUMN_TEXT },
    { "REF", "ref", COLUMN_TEXT },
    { "GIT", "url", COLUMN_TEXT },
    { "URLS", "urls", COLUMN_LIST },
    { "LIVE", "live.release", COLUMN_TEXT },
    { "LIVE COMMIT", "live.commit", COLUMN_SHORT },
    { "WANTED", "wanted.release", COLUMN_TEXT },
    { "WANTED COMMIT", "wanted.commit", COLUMN_SHORT },
    { "HOLD", "hold.message", COLUMN_TEXT },
    { "GENERATION", "generation", COLUMN_TEXT },
    { "CREATED", "created_at", COLUMN_AGE },
};

static int apps_path(struct cli *cli, char **path, struct err *err)
{
    auto_free char *project = NULL;

    if (api_project_path(cli, &project, err))
        return -1;
    *path = xasprintf("%s/apps", project);
    return 0;
}

int apps_list(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *items = NULL;
    int64_t limit;
    int rc = cli_number(cli, OPT_LIMIT, 1, 100000, 10000, &limit, err);

    if (rc)
        return rc;
    if (apps_path(cli, &path, err) || api_list(cli, path, (size_t)limit, &items, err))
        return -1;
    output_list(&cli->output, items, columns, countof(columns));
    return 0;
}

/* The spec in a file; NULL when none is given. */
static int read_spec(const struct cli *cli, json_t **spec, struct err *err)
{
    const char *path = cli->options[OPT_FILE];
    auto_free char *text = NULL;
    size_t len;

    *spec = NULL;
    if (!path)
        return 0;
    if (fs_read(path, SPEC_SIZE_MAX, &text, &len, err))
        return -1;
    return spec_parse_yaml(text, len, path, spec, err);
}

int apps_create(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *app = NULL;
    json_t *spec = NULL;

    if (apps_path(cli, &path, err) || read_spec(cli, &spec, err))
        return -1;
    json_t *body =
        json_pack("{s:s, s:s*, s:s*, s:o*}", "app", cli->args[0], "repository",
                  cli->options[OPT_REPOSITORY], "ref", cli->options[OPT_REF], "spec", spec);
    if (api_call(cli, "POST", path, body, &app, err))
        return -1;
    output_object(&cli->output, app, details, countof(details));
    if (!cli_has(cli, OPT_REPOSITORY) && *json_text_at(app, "url")) {
        auto_free char *url = visible(json_text_at(app, "url"));
        output_note(&cli->output, "\nPush to it:\n  evenkeel git setup\n  git push %s HEAD:main",
                    url);
    }
    return 0;
}

int apps_info(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *app = NULL;

    target_take_word(cli);
    if (api_app_path(cli, &path, err) || api_call(cli, "GET", path, NULL, &app, err))
        return -1;
    output_object(&cli->output, app, details, countof(details));
    return 0;
}

int apps_destroy(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    int rc = confirm(cli, "the app", cli->args[0], err);

    if (rc)
        return rc;
    target_take_word(cli);
    if (api_app_path(cli, &path, err))
        return -1;
    return api_call(cli, "DELETE", path, NULL, NULL, err);
}

/* ---- running or not ---- */

/* Changes the app found; `body` is taken. */
static int patch(struct cli *cli, json_t *body, json_t **app, struct err *err)
{
    json_auto_t *owned = body;
    auto_free char *path = NULL;

    if (api_app_path(cli, &path, err))
        return -1;
    return api_call(cli, "PATCH", path, json_incref(owned), app, err);
}

static int set_running(struct cli *cli, bool is_running, struct err *err)
{
    json_auto_t *app = NULL;

    if (patch(cli, json_pack("{s:b}", "running", is_running), &app, err))
        return -1;
    auto_free char *name = visible(json_text_at(app, "name"));
    output_note(&cli->output, is_running ? "%s will run" : "%s will stop", name);
    return 0;
}

int apps_start(struct cli *cli, struct err *err)
{
    target_take_word(cli);
    return set_running(cli, true, err);
}

int apps_stop(struct cli *cli, struct err *err)
{
    target_take_word(cli);
    return set_running(cli, false, err);
}

/* ---- size ---- */

int apps_scale(struct cli *cli, struct err *err)
{
    json_auto_t *processes = json_object();
    json_auto_t *app = NULL;

    for (size_t i = 0; i < cli->arg_count; i++) {
        const char *word = cli->args[i], *equals = strchr(word, '=');
        int64_t replicas;
        if (!equals || equals == word || !text_int(equals + 1, &replicas) || replicas < 0)
            return cli_usage(cli, err, "PROCESS=N, like web=2");
        auto_free char *name = xstrndup(word, (size_t)(equals - word));
        json_object_set_new(processes, name, json_pack("{s:I}", "replicas", (json_int_t)replicas));
    }
    json_t *body = json_pack("{s:{s:O}}", "spec", "processes", processes);
    if (patch(cli, body, &app, err))
        return -1;
    static const struct column shown[] = { { "PROCESS", "name", COLUMN_TEXT },
                                           { "WANTED", "wanted", COLUMN_TEXT },
                                           { "READY", "ready", COLUMN_TEXT } };
    output_list(&cli->output, json_object_get(app, "processes"), shown, countof(shown));
    return 0;
}

/* ---- holds ---- */

static int change_hold(struct cli *cli, const char *method, json_t *body, struct err *err)
{
    json_auto_t *owned = body;
    auto_free char *path = NULL, *hold = NULL;

    target_take_word(cli);
    if (api_app_path(cli, &path, err))
        return -1;
    hold = xasprintf("%s/hold", path);
    return api_call(cli, method, hold, json_incref(owned), NULL, err);
}

int apps_hold(struct cli *cli, struct err *err)
{
    return change_hold(cli, "PUT", json_pack("{s:s*}", "message", cli->options[OPT_MESSAGE]), err);
}

int apps_resume(struct cli *cli, struct err *err)
{
    return change_hold(cli, "DELETE", NULL, err);
}

/* ---- open ---- */

/* Where there is a display; that it cannot be opened is no error, the address was printed. */
static void open_browser(const char *url)
{
    const char *display = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

    if (!(display && *display) && !(wayland && *wayland))
        return;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("xdg-open", "xdg-open", url, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

int apps_open(struct cli *cli, struct err *err)
{
    auto_free char *path = NULL;
    json_auto_t *app = NULL;

    target_take_word(cli);
    if (api_app_path(cli, &path, err) || api_call(cli, "GET", path, NULL, &app, err))
        return -1;
    const char *url = json_string_value(json_array_get(json_object_get(app, "urls"), 0));
    if (!url)
        return err_set(err, ERR_NOT_FOUND, "the app has no address: it has no route");
    output_line(&cli->output, NULL, url);
    if (text_starts(url, "http://") || text_starts(url, "https://"))
        open_browser(url);
    return 0;
}
