/* registrar: (app's overlay, commit of its ref) → the release that is wanted.
 *
 *     commit ─► full spec ─► build key ─► build ─► artifact ─► release key ─► release
 *
 * Each arrow is a lookup by content, so going back to an earlier commit or setting finds the
 * earlier build and release. Where there is no build yet one is queued, and its end brings the step
 * here again. The routes of a release are claimed before it becomes wanted. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "controller/builders.h"
#include "controller/conditions.h"
#include "controller/controller.h"
#include "controller/wanted.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/releases.h"
#include "store/repositories.h"
#include "store/sites.h"
#include "store/work.h"

/* What one step knows of its app. */
struct view {
    struct controller *c;
    struct app_row app;
    struct repository_row repository; /* id NULL: none (method image) */
    struct ref_row ref;
    json_t *full;
    char *build_key;
};

static void view_done(struct view *v)
{
    app_row_done(&v->app);
    repository_row_done(&v->repository);
    ref_row_done(&v->ref);
    json_decref(v->full);
    free(v->build_key);
}
#define auto_view __attribute__((__cleanup__(view_done))) struct view

static const struct repository_row *repository_of(const struct view *v)
{
    return v->app.repository_id ? &v->repository : NULL;
}

static int load(struct view *v, const char *app_id, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(v->c->store, TX_READ, &tx, err) || store_get_app(tx, app_id, &v->app, err))
        return -1;
    if (!v->app.repository_id)
        return 0;
    if (store_get_repository(tx, v->app.repository_id, &v->repository, err))
        return -1;
    if (store_get_ref(tx, v->app.repository_id, v->app.ref, &v->ref, err) &&
        err->class != ERR_NOT_FOUND)
        return -1;
    return 0;
}

/* The build that the app wanted before is dropped when nobody else wants it and it has not begun.
 * `build_id` (or NULL) is what it wants now. */
static int supersede(struct tx *tx, struct view *v, const char *build_id, struct err *err)
{
    const char *before = v->app.wanted_build_id;
    bool dropped;

    if (!before || (build_id && strcmp(before, build_id) == 0))
        return 0;
    if (store_drop_unwanted_build(tx, before, &dropped, err))
        return -1;
    return dropped ? note_event(tx, &v->app, "build", "Superseded", NULL, err,
                                "build %s is not needed any more", before)
                   : 0;
}

/* The transaction that writes down what was found. 1: the app is not any more what it was looked at
 * as (a rollback, a hold, another spec came between), so nothing may be written, and the step
 * begins anew. */
static int begin(struct view *v, enum tx_mode mode, struct tx **tx, struct err *err)
{
    auto_app now = { 0 };

    if (tx_begin(v->c->store, mode, tx, err) || store_get_app(*tx, v->app.id, &now, err))
        return -1;
    bool is_same =
        now.generation == v->app.generation && !now.deleting &&
        (now.hold && v->app.hold ? json_equal(now.hold, v->app.hold) : now.hold == v->app.hold);
    if (!is_same)
        return 1;
    app_row_done(&v->app);
    v->app = now;
    now = (struct app_row){ 0 };
    return 0;
}

/* Nothing to go by yet. A remote that was not asked for this ref yet is asked now. */
static int wait_for_source(struct view *v, struct err *err)
{
    auto_free char *message = NULL;
    bool is_asked = v->ref.name != NULL;
    auto_tx *tx = NULL;

    if (!v->repository.url)
        message = xasprintf("nothing was pushed to `%s` yet: git push to %s/git/%s/%s.git",
                            v->app.ref, v->c->config->api_url, v->app.project, v->repository.name);
    else if (is_asked)
        message = xasprintf("the repository has no ref `%s`", v->app.ref);
    else
        message = xasprintf("`%s` is being asked for at %s", v->app.ref, v->repository.url);
    const struct finding finding = { SOURCE_READY,
                                     is_asked || !v->repository.url ? CONDITION_FALSE
                                                                    : CONDITION_UNKNOWN,
                                     is_asked || !v->repository.url ? "RefNotFound" : "NotFetched",
                                     message,
                                     0,
                                     "source" };
    int rc = begin(v, TX_OBSERVE, &tx, err);
    if (rc)
        return rc;
    if (v->repository.url && !is_asked && store_add_work(tx, "fetcher", v->repository.id, 0, err))
        return -1;
    bool keep = is_asked && v->repository.url; /* the fetcher has said it, perhaps with more */
    if ((!keep && find_condition(tx, &v->app, &finding, err)) ||
        store_set_wanted(tx, v->app.id, v->app.generation, NULL, NULL, v->app.wanted_release_id,
                         err) ||
        supersede(tx, v, NULL, err))
        return -1;
    return tx_commit(&tx, err);
}

static int note_invalid(struct view *v, const struct err *failure, struct err *err)
{
    auto_free char *message = *failure->hint ? xasprintf("%s (%s)", failure->text, failure->hint)
                                             : xstrdup(failure->text);
    const struct finding finding = { SPEC_VALID,
                                     CONDITION_FALSE,
                                     failure->class == ERR_EXISTS ? "HostTaken" : "SpecInvalid",
                                     message,
                                     0,
                                     "source" };
    auto_tx *tx = NULL;

    int rc = begin(v, TX_WRITE, &tx, err);
    if (rc)
        return rc;
    if (find_condition(tx, &v->app, &finding, err) ||
        store_set_wanted(tx, v->app.id, v->app.generation, v->ref.sha, NULL,
                         v->app.wanted_release_id, err) ||
        supersede(tx, v, NULL, err))
        return -1;
    return tx_commit(&tx, err);
}

/* It may be gone: a mirror that was lost (a database put back without its folder), or a commit that
 * the janitor forgot in the moment in which the ref came back to it. */
static int have_commit(struct view *v, struct err *err)
{
    const struct source *source = v->c->source;

    return repository_of(v)
               ? source->fetch(source->self, &v->repository, v->ref.sha, v->ref.sha, err)
               : 0;
}

/* The spec and the build key. ERR_INVALID is the author's to mend. */
static int make_key(struct view *v, struct err *err)
{
    char tree[GIT_SHA_LEN + 1] = "";
    struct build_spec build;

    if (have_commit(v, err) ||
        wanted_spec(v->c, &v->app, repository_of(v), v->ref.sha, &v->full, NULL, err))
        return -1;
    spec_build(v->full, &build);
    bool has_source = repository_of(v) && strcmp(build.method, "image") != 0;
    if (has_source && v->c->source->tree_id(v->c->source->self, &v->repository, v->ref.sha,
                                            build.context, tree, err))
        return err->class != ERR_NOT_FOUND
                   ? -1
                   : err_field(err, "build.context",
                               "set build.context to a folder of the repository",
                               "the commit has no folder `%s`", build.context);
    v->build_key = spec_build_key(v->full, tree, "", "");
    return 0;
}

/* A hold by a person stays until `resume`; one by a rollback until there is another commit than the
 * one it was placed on. An app without a repository has its overlay in the place of commits. */
static bool is_held(const struct view *v)
{
    const json_t *hold = v->app.hold;
    const char *sha = json_string_value(json_object_get(hold, "sha"));

    if (!hold)
        return false;
    if (json_is_true(json_object_get(hold, "is_manual")))
        return true;
    if (!v->app.repository_id)
        return json_integer_value(json_object_get(hold, "generation")) == v->app.generation;
    return (!sha && !v->ref.sha) || (sha && v->ref.sha && strcmp(sha, v->ref.sha) == 0);
}

static int note_held(struct view *v, struct err *err)
{
    auto_tx *tx = NULL;

    int rc = begin(v, TX_OBSERVE, &tx, err);
    if (rc)
        return rc;
    const char *message = json_string_value(json_object_get(v->app.hold, "message"));
    const char *reason = json_string_value(json_object_get(v->app.hold, "reason"));
    const struct finding finding = {
        HELD, CONDITION_TRUE, reason ? reason : "Held", message ? message : "held", 0, "app"
    };
    if (find_condition(tx, &v->app, &finding, err) ||
        store_set_wanted(tx, v->app.id, v->app.generation, v->app.wanted_sha,
                         v->app.wanted_build_id, v->app.wanted_release_id, err) ||
        store_add_work(tx, "synchronizer", v->app.id, 0, err) ||
        (v->app.repository_id && store_add_work(tx, "fetcher", v->app.repository_id, 0, err)))
        return -1;
    return tx_commit(&tx, err);
}

static int lift_hold(struct tx *tx, struct view *v, struct err *err)
{
    if (!v->app.hold)
        return 0;
    if (store_set_hold(tx, v->app.id, NULL, err) || store_clear_condition(tx, v->app.id, HELD, err))
        return -1;
    return note_event(tx, &v->app, "app", "Resumed", NULL, err,
                      "the hold ended: there is a newer commit");
}

/* ---- from key to build ---- */

/* The build row for the key: found, brought back into the queue when its artifact is gone or it was
 * superseded, or made. */
static int want_build(struct tx *tx, struct view *v, struct build_row *build, struct err *err)
{
    if (store_find_build(tx, v->build_key, build, err) == 0) {
        bool is_lost = strcmp(build->state, "succeeded") == 0 && !build->artifact;
        bool is_superseded = strcmp(build->state, "cancelled") == 0 && build->reason &&
                             strcmp(build->reason, "Superseded") == 0;
        if (!is_lost && !is_superseded)
            return 0;
        auto_free char *id = xstrdup(build->id);
        build_row_done(build);
        *build = (struct build_row){ 0 };
        if (store_retry_build(tx, id, &v->app, v->ref.sha, err) ||
            store_get_build(tx, id, build, err))
            return -1;
    } else {
        json_auto_t *part = spec_build_part(v->full);
        const struct build_wanted wanted = { v->build_key,         v->app.project_id, v->app.id,
                                             v->app.repository_id, v->ref.sha,        part };
        if (err->class != ERR_NOT_FOUND || store_add_build(tx, &wanted, build, err))
            return -1;
    }
    json_auto_t *data = json_pack("{s:s}", "build", build->id);
    return note_event(tx, &v->app, "build", "BuildQueued", data, err, "build %s is queued",
                      build->id);
}

/* For a queued build the dispatcher says the same, and its place. */
static int find_build(struct tx *tx, struct view *v, const struct build_row *build, struct err *err)
{
    static const struct {
        const char *state, *reason, *text;
        enum condition_status status;
        bool is_with_builder; /* holds only while one is connected */
        bool has_own_reason;  /* the build's, when it has one, goes before this one */
    } table[] = {
        { "queued", "BuildQueued", "waits for a builder", CONDITION_FALSE, true, true },
        { "queued", "NoBuilder", "waits, but no builder is connected", CONDITION_FALSE, false,
          false },
        { "running", "Building", "is running", CONDITION_FALSE, false, true },
        { "succeeded", "Built", "made the artifact", CONDITION_TRUE, false, false },
        { "failed", "BuildFailed", "failed", CONDITION_FALSE, false, true },
        { "cancelled", "BuildCancelled", "was cancelled", CONDITION_FALSE, false, true },
    };
    for (size_t i = 0; i < countof(table); i++) {
        if (strcmp(build->state, table[i].state) != 0 ||
            (table[i].is_with_builder && builders_count(v->c->builders) == 0))
            continue;
        bool has_message = build->message && *build->message;
        auto_free char *text =
            xasprintf("build %s %s%s%s", build->id, table[i].text, has_message ? ": " : "",
                      has_message ? build->message : "");
        const char *own = table[i].has_own_reason ? build->reason : NULL;
        const struct finding finding = {
            /* its end is an event already */
            BUILD_READY, table[i].status, own ? own : table[i].reason, text, 0, NULL
        };
        return find_condition(tx, &v->app, &finding, err);
    }
    return err_set(err, ERR_INTERNAL, "build %s has the state %s", build->id, build->state);
}

/* ---- from artifact to release ---- */

static int claim_routes(struct tx *tx, struct view *v, struct err *err)
{
    for (size_t i = 0; i < spec_route_count(v->full); i++) {
        struct route_spec route;
        spec_route(v->full, i, &route);
        if (store_claim_route(tx, v->app.id, route.host, route.path, err))
            return -1;
    }
    return 0;
}

static int want_release(struct tx *tx, struct view *v, const struct build_row *build,
                        struct release_row *release, struct err *err)
{
    auto_free char *key = spec_release_key(v->full, build->artifact);
    const struct release_wanted wanted = { v->app.id,         key,    build->artifact, v->ref.sha,
                                           v->app.generation, v->full };
    bool is_new, changed;

    if (store_want_release(tx, &wanted, release, &is_new, err))
        return -1;
    if (spec_is_site(v->full) && store_want_site(tx, build->artifact, true, &changed, err))
        return -1;
    if (!is_new)
        return 0;
    return note_event(tx, &v->app, "rollout", "ReleaseMade", NULL, err, "v%lld: commit %.12s",
                      (long long)release->number, v->ref.sha ? v->ref.sha : "-");
}

/* The build is there: its release becomes the wanted one. */
static int move_on(struct tx *tx, struct view *v, const struct build_row *build, struct err *err)
{
    const struct finding valid = { SPEC_VALID,  CONDITION_TRUE,
                                   "SpecValid", "the spec is valid and its hosts are free",
                                   0,           NULL };
    auto_release release = { 0 };

    if (claim_routes(tx, v, err) || want_release(tx, v, build, &release, err) ||
        find_condition(tx, &v->app, &valid, err) ||
        store_set_wanted(tx, v->app.id, v->app.generation, v->ref.sha, build->id, release.id,
                         err) ||
        store_release_routes(tx, v->app.id, err))
        return -1;
    if (v->app.repository_id && store_add_work(tx, "fetcher", v->app.repository_id, 0,
                                               err)) /* perhaps it is live already: publish */
        return -1;
    return store_add_work(tx, "synchronizer", v->app.id, 0, err);
}

/* A remote's fetcher says itself how the source is. */
static int find_source(struct tx *tx, struct view *v, struct err *err)
{
    const struct finding source = {
        SOURCE_READY, CONDITION_TRUE, "CommitSeen", v->ref.sha ? v->ref.sha : "an image", 0, NULL
    };

    return v->repository.url ? 0 : find_condition(tx, &v->app, &source, err);
}

static int settle(struct view *v, struct err *err)
{
    const struct finding valid = { SPEC_VALID, CONDITION_TRUE, "SpecValid", "the spec is valid", 0,
                                   NULL };
    auto_build build = { 0 };
    auto_tx *tx = NULL;

    int rc = begin(v, TX_WRITE, &tx, err);
    if (rc)
        return rc;
    if (lift_hold(tx, v, err) || want_build(tx, v, &build, err) || find_source(tx, v, err) ||
        find_build(tx, v, &build, err))
        return -1;
    if (build.artifact) {
        if (move_on(tx, v, &build, err))
            return -1;
    } else if (find_condition(tx, &v->app, &valid, err) ||
               store_add_work(tx, "synchronizer", v->app.id, 0, err) ||
               store_set_wanted(tx, v->app.id, v->app.generation, v->ref.sha, build.id,
                                v->app.wanted_release_id, err)) {
        return -1;
    }
    if (supersede(tx, v, build.id, err))
        return -1;
    return tx_commit(&tx, err);
}

/* 1: the app changed meanwhile. */
static int look(struct view *v, struct err *err)
{
    struct err failure = { 0 };

    if (v->app.repository_id && !v->ref.sha)
        return wait_for_source(v, err);
    if (is_held(v))
        return note_held(v, err);
    int rc = make_key(v, &failure);
    if (rc == 0)
        rc = settle(v, &failure);
    bool is_authors =
        failure.class == ERR_INVALID || (failure.class == ERR_EXISTS && *failure.field);
    if (rc < 0 && is_authors)
        return note_invalid(v, &failure, err);
    if (rc < 0)
        *err = failure;
    return rc;
}

int registrar_step(struct controller *c, const char *app_id, int64_t *again_ms, struct err *err)
{
    auto_view v = { .c = c };

    if (load(&v, app_id, err))
        return err->class == ERR_NOT_FOUND ? 0 : -1;
    if (v.app.deleting)
        return 0;
    int rc = look(&v, err);
    if (rc > 0)
        *again_ms = 0;
    return rc < 0 ? -1 : 0;
}

int registrar_pass(struct controller *c, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || store_add_unobserved(tx, err))
        return -1;
    return tx_commit(&tx, err);
}
