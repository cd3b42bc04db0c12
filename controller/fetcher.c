/* fetcher: refs of repositories → refs and commits in the store.
 *
 * A remote repository has a row in the work queue for as long as it exists: the step asks the
 * remote what the followed refs point to, fetches what moved, and comes back after the interval. A
 * webhook or `repos refresh` only makes the row due.
 *
 * A hosted repository is moved by pushes alone (api/git.c records them); here its branches are
 * published: the branch in git follows to the pushed commit once every app on it is live there. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "controller/conditions.h"
#include "controller/controller.h"
#include "controller/wanted.h"
#include "store/repositories.h"
#include "store/work.h"

static const char *reason_of(const struct err *err)
{
    switch (err->class) {
    case ERR_DENIED:
    case ERR_UNAUTHENTICATED:
        return "AuthFailed";
    case ERR_NOT_FOUND:
        return "RepositoryNotFound";
    case ERR_TIMEOUT:
        return "RemoteTimeout";
    default:
        return "RemoteUnreachable";
    }
}

static int find_on_ref(struct tx *tx, const char *repository_id, const char *ref,
                       const struct finding *finding, struct err *err)
{
    auto_id_list apps = { 0 };

    if (store_apps_on_ref(tx, repository_id, ref, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count; i++) {
        auto_app app = { 0 };
        if (store_get_app(tx, apps.items[i], &app, err) || find_condition(tx, &app, finding, err))
            return -1;
    }
    return 0;
}

/* The remote could not be asked: every app of the repository says so; what is live stays. */
static int note_failure(struct controller *c, const char *id, const struct ref_list *refs,
                        const struct err *failure, struct err *err)
{
    const struct finding finding = { SOURCE_READY,  CONDITION_FALSE,     reason_of(failure),
                                     failure->text, c->config->fetch_ms, "source" };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_note_poll(tx, id, finding.reason, failure->text, err))
        return -1;
    for (size_t i = 0; i < refs->count; i++)
        if (find_on_ref(tx, id, refs->items[i].name, &finding, err))
            return -1;
    return tx_commit(&tx, err);
}

static int note_missing(struct tx *tx, const char *id, const char *name, struct err *err)
{
    auto_free char *message = xasprintf("the repository has no ref `%s`", name);
    const struct finding finding = { SOURCE_READY, CONDITION_FALSE, "RefNotFound", message, 0,
                                     "source" };
    bool moved;

    return store_set_ref(tx, id, name, NULL, &moved, err) ||
                   find_on_ref(tx, id, name, &finding, err)
               ? -1
               : 0;
}

/* The ref is where it was: only what is said of it may have to change. */
static int note_same(struct tx *tx, const struct repository_row *repository,
                     const struct ref_row *known, struct err *err)
{
    auto_free char *message = xasprintf("`%s` is at %.12s", known->name, known->sha);
    const struct finding finding = { SOURCE_READY, CONDITION_TRUE, "CommitSeen", message, 0, NULL };

    return find_on_ref(tx, repository->id, known->name, &finding, err);
}

static int note_commit(struct tx *tx, const struct repository_row *repository, const char *name,
                       const char *sha, const struct git_commit_info *commit, struct err *err)
{
    const struct ref_row now = { .name = (char *)(uintptr_t)name, .sha = (char *)(uintptr_t)sha };
    bool moved;

    return store_add_commit(tx, repository->id, sha, commit->author, commit->message,
                            commit->authored_ms, err) ||
                   store_set_ref(tx, repository->id, name, sha, &moved, err) ||
                   note_same(tx, repository, &now, err) ||
                   store_add_work_on_ref(tx, "registrar", repository->id, name, err) ||
                   janitor_want_repository(tx, repository->id, JANITOR_TIDY_MS, err)
               ? -1
               : 0;
}

/* Fetched first, recorded after. */
static int move(struct controller *c, const struct repository_row *repository, const char *name,
                const struct git_ref *now, struct err *err)
{
    struct git_commit_info commit = { 0 };
    auto_tx *tx = NULL;

    if (c->source->fetch(c->source->self, repository, now->name, now->sha, err) ||
        c->source->read_commit(c->source->self, repository, now->sha, &commit, err))
        return err_prefix(err, "fetching `%s`", name);
    int rc = tx_begin(c->store, TX_WRITE, &tx, err) ||
             note_commit(tx, repository, name, now->sha, &commit, err) || tx_commit(&tx, err);
    git_commit_info_done(&commit);
    return rc ? -1 : 0;
}

/* One ref as the remote has it now. */
static int follow(struct controller *c, const struct repository_row *repository,
                  const struct ref_row *known, const struct git_ref *now, struct err *err)
{
    bool is_same = known->sha && strcmp(known->sha, now->sha) == 0;
    auto_tx *tx = NULL;

    if (*now->sha && !is_same)
        return move(c, repository, known->name, now, err);
    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        (is_same ? note_same(tx, repository, known, err)
                 : note_missing(tx, repository->id, known->name, err)))
        return -1;
    return tx_commit(&tx, err);
}

/* A ref that cannot be followed does not stop the others; *first is the first such failure. */
static int follow_all(struct controller *c, const struct repository_row *repository,
                      const struct ref_list *wanted, const struct git_refs *now, struct err *first,
                      struct err *err)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct ref_list one = { &wanted->items[i], 1 };
        struct err failure = { 0 };
        if (follow(c, repository, &wanted->items[i], &now->items[i], &failure) == 0)
            continue;
        if (!first->class)
            *first = failure;
        if (failure.class == ERR_STOPPED)
            return 0;
        if (note_failure(c, repository->id, &one, &failure, err))
            return -1;
    }
    return 0;
}

static int poll_remote(struct controller *c, const struct repository_row *repository,
                       const struct ref_list *wanted, struct err *err)
{
    auto_free const char **names = xcalloc(wanted->count, sizeof *names);
    struct err failure = { 0 };
    struct git_refs now = { 0 };
    int rc = 0;

    for (size_t i = 0; i < wanted->count; i++)
        names[i] = wanted->items[i].name;
    if (c->source->refs(c->source->self, repository, names, wanted->count, &now, &failure) == 0)
        rc = follow_all(c, repository, wanted, &now, &failure, err);
    else if (failure.class != ERR_STOPPED)
        rc = note_failure(c, repository->id, wanted, &failure, err);
    git_refs_done(&now);
    if (rc || !failure.class)
        return rc;
    *err = failure;
    return -1;
}

static int step_remote(struct controller *c, const struct repository_row *repository,
                       const struct ref_list *wanted, struct err *err)
{
    auto_tx *tx = NULL;

    if (wanted->count && poll_remote(c, repository, wanted, err))
        return -1;
    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_note_poll(tx, repository->id, NULL, NULL, err))
        return -1;
    return tx_commit(&tx, err);
}

/* Is every app on the ref where the commit put it? Apps that stand still on purpose do not keep a
 * push waiting. */
static int is_settled(struct tx *tx, const char *repository_id, const struct ref_row *ref,
                      bool *settled, struct err *err)
{
    auto_id_list apps = { 0 };

    *settled = true;
    if (store_apps_on_ref(tx, repository_id, ref->name, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count; i++) {
        auto_app app = { 0 };
        if (store_get_app(tx, apps.items[i], &app, err))
            return -1;
        bool is_live;
        if (wanted_is_live(tx, &app, ref->sha, &is_live, err))
            return -1;
        if (!is_live && !app.hold && app.running && !app.deleting)
            *settled = false;
    }
    return 0;
}

static int publish(struct controller *c, const struct repository_row *repository,
                   const struct ref_row *ref, struct err *err)
{
    auto_tx *tx = NULL;
    bool settled;

    if (!ref->sha || (ref->published && strcmp(ref->sha, ref->published) == 0))
        return 0;
    if (tx_begin(c->store, TX_READ, &tx, err) || is_settled(tx, repository->id, ref, &settled, err))
        return -1;
    tx_rollback(&tx);
    if (!settled)
        return 0;
    if (c->source->publish(c->source->self, repository, ref->name, ref->sha, err))
        return err_prefix(err, "publishing `%s`", ref->name);
    const struct event event = {
        repository->project_id, NULL, "source", "Published", ref->name, NULL
    };
    if (tx_begin(c->store, TX_WRITE, &tx, err) ||
        store_publish_ref(tx, repository->id, ref->name, ref->sha, err) ||
        store_add_event(tx, &event, err))
        return -1;
    return tx_commit(&tx, err);
}

/* A branch that cannot be moved does not stop the others. */
static int publish_all(struct controller *c, const struct repository_row *repository,
                       const struct ref_list *refs, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < refs->count; i++) {
        struct err failure = { 0 };
        if (publish(c, repository, &refs->items[i], &failure) && rc == 0) {
            *err = failure;
            rc = -1;
        }
    }
    return rc;
}

int fetcher_step(struct controller *c, const char *repository_id, int64_t *again_ms,
                 struct err *err)
{
    auto_repository repository = { 0 };
    auto_ref_list wanted = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err))
        return -1;
    if (store_get_repository(tx, repository_id, &repository, err))
        return err->class == ERR_NOT_FOUND ? 0 : -1;
    if (store_wanted_refs(tx, repository_id, &wanted, err))
        return -1;
    tx_rollback(&tx);
    if (repository.url) {
        *again_ms = c->config->fetch_ms;
        return step_remote(c, &repository, &wanted, err);
    }
    return publish_all(c, &repository, &wanted, err);
}

int fetcher_pass(struct controller *c, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || store_add_missing_polls(tx, err))
        return -1;
    return tx_commit(&tx, err);
}
