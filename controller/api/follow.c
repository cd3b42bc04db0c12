#include "controller/api/follow.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/api/app_view.h"
#include "controller/api/resources.h"
#include "controller/conditions.h"
#include "controller/feeds.h"
#include "controller/wanted.h"
#include "store/builds.h"
#include "store/releases.h"

enum { BATCH = 100 };

/* What one pump knows. */
struct state {
    struct app_row app;
    struct ref_row ref;
    struct build_row build;
    struct release_row wanted;
    json_t *conditions;
    bool is_live;
};

static void state_done(struct state *s)
{
    app_row_done(&s->app);
    ref_row_done(&s->ref);
    build_row_done(&s->build);
    release_row_done(&s->wanted);
    json_decref(s->conditions);
}
#define auto_state __attribute__((__cleanup__(state_done))) struct state

struct app_follow *app_follow_new(struct controller *c, const char *app_id, const char *sha,
                                  int64_t after, bool needs_publish)
{
    struct app_follow *f = xcalloc(1, sizeof *f);

    *f = (struct app_follow){ .c = c,
                              .app_id = xstrdup(app_id),
                              .sha = sha ? xstrdup(sha) : NULL,
                              .after = after,
                              .needs_publish = needs_publish,
                              .started_ms = clock_now_ms(c->clock) };
    return f;
}

void app_follow_free(void *follow)
{
    struct app_follow *f = follow;

    free(f->app_id);
    free(f->sha);
    free(f->build_id);
    free(f);
}

/* ---- lines ---- */

static bool send_line(struct rpc_call *call, const char *line, int64_t seq, const json_t *event)
{
    json_t *data = json_pack("{s:s}", "line", line);

    if (seq)
        json_object_set_new(data, "seq", json_integer(seq));
    if (event)
        json_object_set(data, "event", (json_t *)(uintptr_t)event);
    return rpc_call_try_send(call, data);
}

static bool send_log(void *arg, int64_t offset, const char *text)
{
    (void)offset;
    auto_free char *trimmed = xstrdup(text);
    size_t len = strlen(trimmed);

    while (len && trimmed[len - 1] == '\n')
        trimmed[--len] = '\0';
    return len == 0 || send_line(arg, trimmed, 0, NULL);
}

/* The log of the build that the last events spoke of. */
static bool pump_log(struct app_follow *f, struct rpc_call *call, struct tx *tx)
{
    auto_attempt attempt = { 0 };
    struct err none = { 0 };

    if (!f->build_id || store_last_attempt(tx, f->build_id, &attempt, &none))
        return true;
    return log_tail_read(f->c, &f->tail, f->build_id, attempt.number, send_log, call);
}

/* An event that names a build that runs switches to its log; the log before it is sent first. */
static void note_build(struct app_follow *f, const json_t *event)
{
    const char *reason = json_string_value(json_object_get(event, "reason"));
    const char *id = json_string_value(json_object_get(json_object_get(event, "data"), "build"));

    if (!id || strcmp(reason, "BuildStarted") != 0 || (f->build_id && strcmp(f->build_id, id) == 0))
        return;
    free(f->build_id);
    f->build_id = xstrdup(id);
    f->tail = (struct log_tail){ 0 };
}

static int pump_events(struct app_follow *f, struct rpc_call *call, struct tx *tx, struct err *err)
{
    json_auto_t *rows = NULL;
    json_t *row;
    size_t i;

    if (store_list_events(tx, NULL, f->app_id, f->after, BATCH, &rows, err))
        return -1;
    json_array_foreach(rows, i, row) {
        auto_free char *line =
            xasprintf("-----> %s", json_string_value(json_object_get(row, "message")));
        int64_t seq = json_integer_value(json_object_get(row, "seq"));
        if (!pump_log(f, call, tx) || !send_line(call, line, seq, row))
            return 1;
        f->after = seq;
        note_build(f, row);
    }
    return pump_log(f, call, tx) ? 0 : 1;
}

/* ---- the end ---- */

static int load(struct app_follow *f, struct tx *tx, struct state *s, struct err *err)
{
    struct err none = { 0 };

    if (store_get_app(tx, f->app_id, &s->app, err) ||
        store_list_conditions(tx, f->app_id, &s->conditions, err))
        return -1;
    if (s->app.repository_id)
        store_get_ref(tx, s->app.repository_id, s->app.ref, &s->ref, &none);
    if (s->app.wanted_build_id)
        store_get_build(tx, s->app.wanted_build_id, &s->build, &none);
    if (s->app.wanted_release_id &&
        store_get_release(tx, s->app.wanted_release_id, &s->wanted, err))
        return -1;
    return wanted_is_live(tx, &s->app, f->sha, &s->is_live, err);
}

static const char *condition(const struct state *s, const char *type, const char *member)
{
    size_t i;
    json_t *one;

    json_array_foreach(s->conditions, i, one)
        if (strcmp(json_string_value(json_object_get(one, "type")), type) == 0)
            return json_string_value(json_object_get(one, member));
    return "";
}

static json_t *make_result(const struct app_follow *f, const struct state *s, const char *how,
                           const char *message)
{
    bool has_release = s->wanted.id != NULL;

    return json_pack("{s:s, s:s, s:o, s:o}", "result", how, "message", message ? message : "",
                     "release", has_release ? json_integer(s->wanted.number) : json_null(), "urls",
                     app_urls(f->c->config, has_release ? s->wanted.spec : NULL));
}

static bool is_same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static json_t *live_result(const struct app_follow *f, const struct state *s)
{
    bool is_published = !f->needs_publish || is_same(s->ref.published, f->sha);
    auto_free char *message =
        s->is_live ? xasprintf("v%lld is live", (long long)s->wanted.number) : NULL;

    return s->is_live && is_published ? make_result(f, s, "live", message) : NULL;
}

/* A rollback wants a release for its own sake: neither the ref nor a build is asked. */
static bool is_rolled_back(const struct state *s)
{
    return s->app.hold && !s->app.wanted_build_id;
}

/* A build that ended badly, once the registrar has said so: its words are the message, and whoever
 * asks for an explanation afterwards gets the same. */
static bool has_failed_build(const struct state *s)
{
    return (is_same(s->build.state, "failed") || is_same(s->build.state, "cancelled")) &&
           (!s->build.reason || is_same(condition(s, BUILD_READY, "reason"), s->build.reason));
}

/* The build or the spec of the wanted commit is the author's to mend. */
static json_t *failed_result(const struct app_follow *f, const struct state *s)
{
    bool is_looked_at = (!f->sha || is_same(s->app.wanted_sha, f->sha)) &&
                        s->app.observed_generation == s->app.generation;

    bool is_for_build = is_rolled_back(s) || is_same(s->build.artifact, s->wanted.artifact);

    if (!is_looked_at)
        return NULL;
    if (!is_rolled_back(s) && is_same(condition(s, SPEC_VALID, "status"), "false"))
        return make_result(f, s, "failed", condition(s, SPEC_VALID, "message"));
    if (has_failed_build(s)) {
        auto_free char *message =
            xasprintf("build %s %s%s%s", s->build.id, s->build.state, s->build.message ? ": " : "",
                      s->build.message ? s->build.message : "");
        return make_result(f, s, "failed", message);
    }
    if (is_same(s->wanted.state, "rejected") && is_for_build)
        return make_result(f, s, "rejected", s->wanted.message);
    return NULL;
}

static json_t *end_of(const struct app_follow *f, const struct state *s)
{
    if (s->app.hold && f->sha &&
        is_same(json_string_value(json_object_get(s->app.hold, "sha")), f->sha))
        return make_result(f, s, "held", condition(s, HELD, "message"));
    if (s->app.hold && json_is_true(json_object_get(s->app.hold, "is_manual")))
        return make_result(f, s, "held", condition(s, HELD, "message"));
    if (!s->app.running)
        return make_result(f, s, "stopped", "the app is stopped; `evenkeel start` starts it");
    if (f->sha && s->ref.name && !is_same(s->ref.sha, f->sha) && !is_rolled_back(s))
        return make_result(f, s, "superseded", "a newer commit was pushed meanwhile");
    json_t *result = live_result(f, s);
    return result ? result : failed_result(f, s);
}

int app_follow_pump(struct app_follow *f, struct rpc_call *call, json_t **result)
{
    auto_state s = { 0 };
    auto_tx *tx = NULL;
    struct err err = { 0 };

    if (tx_begin(f->c->store, TX_READ, &tx, &err) || load(f, tx, &s, &err)) {
        *result = json_pack("{s:s, s:s}", "result", "failed", "message",
                            err.class == ERR_NOT_FOUND ? "the app was destroyed" : err.text);
        return 1;
    }
    int rc = pump_events(f, call, tx, &err);
    if (rc)
        return -1;
    *result = end_of(f, &s);
    return *result ? 1 : 0;
}

static enum pump_result pump(struct rpc_call *call, void *arg)
{
    json_t *result;
    int rc = app_follow_pump(arg, call, &result);

    if (rc <= 0)
        return rc ? PUMP_FULL : PUMP_WAIT;
    rpc_call_end(call, result);
    return PUMP_END;
}

int apps_follow(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    const char *sha;
    int64_t last;
    (void)result;

    if (api_text(params, "commit", false, &sha, err) ||
        api_app(call, params, TX_READ, &caller, &tx, &app, err) || store_last_event(tx, &last, err))
        return -1;
    tx_rollback(&tx);
    struct app_follow *f =
        app_follow_new(c, app.id, sha, api_number(params, "after", last, 0, INT64_MAX), false);
    feeds_add(c->feeds, call, LOGS_TOPIC, pump, f, app_follow_free);
    return RPC_LATER;
}
