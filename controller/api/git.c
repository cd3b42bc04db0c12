/* git.authorize, git.received: pushes to hosted repositories.
 *
 * A push is recorded as wanted before anything else happens; the hook then waits here until every
 * app on the branch is live at the commit (and the fetcher has moved the branch), or until it is
 * clear that it will not be. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/api/follow.h"
#include "controller/api/resources.h"
#include "controller/feeds.h"
#include "git/git.h"
#include "store/events.h"
#include "store/work.h"

int git_authorize(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;

    if (api_repository(call, params, TX_READ, &caller, &tx, &project, &repository, err))
        return -1;
    if (repository.url)
        return err_set(err, ERR_NOT_FOUND, "%s is not hosted here, it is at %s", repository.name,
                       repository.url);
    tx_rollback(&tx);
    if (c->source->host(c->source->self, &repository, project.name, err)) /* if it is not there */
        return -1;
    auto_free char *path = c->source->path(c->source->self, &repository);
    *result = json_pack("{s:s, s:s, s:s, s:s}", "repository", repository.id, "name",
                        repository.name, "path", path, "caller", caller.name);
    return 0;
}

struct push {
    struct controller *c;
    struct app_follow **apps;
    size_t count;
    json_t **results;
};

static void push_free(void *arg)
{
    struct push *p = arg;

    for (size_t i = 0; i < p->count; i++) {
        app_follow_free(p->apps[i]);
        json_decref(p->results[i]);
    }
    free(p->apps);
    free(p->results);
    free(p);
}

/* The push is good when every app is live, or stands still on purpose. */
static json_t *sum_up(const struct push *p)
{
    const char *message = "", *how = "live";
    bool ok = true;

    for (size_t i = 0; i < p->count; i++) {
        const char *one = json_string_value(json_object_get(p->results[i], "result"));
        bool is_good =
            strcmp(one, "live") == 0 || strcmp(one, "held") == 0 || strcmp(one, "stopped") == 0;
        if (ok || !is_good) {
            message = json_string_value(json_object_get(p->results[i], "message"));
            how = one;
        }
        ok = ok && is_good;
    }
    const json_t *urls = p->count ? json_object_get(p->results[0], "urls") : NULL;
    return json_pack("{s:b, s:s, s:s, s:O?}", "ok", ok, "result", how, "message", message, "urls",
                     urls);
}

static enum pump_result pump(struct rpc_call *call, void *arg)
{
    struct push *p = arg;
    bool is_over = true;

    for (size_t i = 0; i < p->count; i++) {
        int rc = p->results[i] ? 1 : app_follow_pump(p->apps[i], call, &p->results[i]);
        if (rc < 0)
            return PUMP_FULL;
        is_over = is_over && rc;
    }
    if (!is_over)
        return PUMP_WAIT;
    rpc_call_end(call, sum_up(p));
    return PUMP_END;
}

static int check_push(const json_t *params, const char **id, const char **ref, const char **sha,
                      struct err *err)
{
    if (api_text(params, "repository", true, id, err) || api_text(params, "ref", true, ref, err) ||
        api_text(params, "new", true, sha, err))
        return -1;
    if (!text_starts(*ref, "refs/heads/"))
        return err_field(err, "ref", NULL, "only branches are deployed");
    *ref += strlen("refs/heads/");
    if (strlen(*sha) != GIT_SHA_LEN || strspn(*sha, "0123456789abcdef") != GIT_SHA_LEN)
        return err_field(err, "new", NULL, "`%s` is no commit", *sha);
    return 0;
}

static int record(struct controller *c, const struct repository_row *repository, const char *ref,
                  const char *sha, struct id_list *apps, int64_t *seq, struct err *err)
{
    auto_free char *text = xasprintf("%s: %.12s was pushed", ref, sha);
    const struct event event = { repository->project_id, NULL, "source", "Pushed", text, NULL };
    struct git_commit_info commit = { 0 };
    auto_tx *tx = NULL;
    bool moved;

    if (c->source->fetch(c->source->self, repository, ref, sha, err) ||
        c->source->read_commit(c->source->self, repository, sha, &commit, err))
        return -1;
    int rc =
        tx_begin(c->store, TX_WRITE, &tx, err) || store_last_event(tx, seq, err) ||
        store_add_commit(tx, repository->id, sha, commit.author, commit.message, commit.authored_ms,
                         err) ||
        store_set_ref(tx, repository->id, ref, sha, &moved, err) ||
        store_publish_ref(tx, repository->id, ref, NULL, err) || store_add_event(tx, &event, err) ||
        store_apps_on_ref(tx, repository->id, ref, apps, err) ||
        store_add_work_on_ref(tx, "registrar", repository->id, ref, err) ||
        janitor_want_repository(tx, repository->id, JANITOR_TIDY_MS, err) || tx_commit(&tx, err);
    git_commit_info_done(&commit);
    return rc ? -1 : 0;
}

/* A branch that no app follows, or that is deleted, moves at once. */
static int publish_now(struct controller *c, const struct repository_row *repository,
                       const char *ref, const char *sha, json_t **result, struct err *err)
{
    if (c->source->publish(c->source->self, repository, ref, sha, err))
        return -1;
    *result = json_pack("{s:b, s:s}", "ok", true, "message",
                        *sha ? "no app follows this branch" : "deleted");
    return 0;
}

static int delete_branch(struct controller *c, const struct repository_row *repository,
                         const char *ref, json_t **result, struct err *err)
{
    auto_id_list apps = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err) ||
        store_apps_on_ref(tx, repository->id, ref, &apps, err))
        return -1;
    tx_rollback(&tx);
    if (apps.count)
        return err_set(err, ERR_CONFLICT, "an app follows `%s`; destroy it or change its ref first",
                       ref);
    return publish_now(c, repository, ref, "", result, err);
}

int git_received(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_caller caller = { 0 };
    auto_repository repository = { 0 };
    auto_id_list apps = { 0 };
    auto_tx *tx = NULL;
    const char *id, *ref, *sha;
    int64_t seq;

    if (check_push(params, &id, &ref, &sha, err) || api_caller(call, params, &caller, err) ||
        tx_begin(c->store, TX_READ, &tx, err) || store_get_repository(tx, id, &repository, err) ||
        api_may_see(&caller, repository.project_id, "repository", err))
        return -1;
    tx_rollback(&tx);
    if (strspn(sha, "0") == GIT_SHA_LEN)
        return delete_branch(c, &repository, ref, result, err);
    if (record(c, &repository, ref, sha, &apps, &seq, err))
        return -1;
    if (!apps.count)
        return publish_now(c, &repository, ref, sha, result, err);
    struct push *p = xcalloc(1, sizeof *p);
    *p = (struct push){ .c = c,
                        .count = apps.count,
                        .apps = xcalloc(apps.count, sizeof *p->apps),
                        .results = xcalloc(apps.count, sizeof *p->results) };
    for (size_t i = 0; i < apps.count; i++)
        p->apps[i] = app_follow_new(c, apps.items[i], sha, seq, true);
    feeds_add(c->feeds, call, LOGS_TOPIC, pump, p, push_free);
    return RPC_LATER;
}
