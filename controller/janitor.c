/* janitor: the keep policy → what is not needed any more goes: artifacts, logs, sites, old events,
 * old releases and builds, instances that the store does not know. Only what Evenkeel made, and
 * only what the store says is not kept. When the store looks wrong beside what runs, nothing is
 * removed. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/conditions.h"
#include "controller/controller.h"
#include "controller/files.h"
#include "store/builds.h"
#include "store/instances.h"
#include "store/projects.h"
#include "store/releases.h"
#include "store/repositories.h"
#include "store/sites.h"
#include "store/work.h"

enum {
    BATCH = 100,
    AGAIN_MS = 1000,
    ORPHANS_MIN = 2,
    ORPHANS_SHARE = 10,
    ATTEMPTS_KEEP = 10,
    UPLOAD_S = 3600
};

/* ---- instances that the store does not know ---- */

static int list_orphans(struct controller *c, const struct owned_list *owned, bool *is_orphan,
                        size_t *count, int64_t *known, struct err *err)
{
    auto_tx *tx = NULL;

    *count = 0;
    if (tx_begin(c->store, TX_READ, &tx, err) || store_count_instances(tx, known, err))
        return -1;
    for (size_t i = 0; i < owned->count; i++) {
        auto_free char *app = NULL;
        struct err missing = { 0 };
        is_orphan[i] = store_instance_app(tx, owned->items[i].name, &app, &missing) != 0;
        if (is_orphan[i] && missing.class != ERR_NOT_FOUND) {
            *err = missing;
            return -1;
        }
        *count += is_orphan[i];
    }
    return 0;
}

static int note_too_many(struct controller *c, size_t count, size_t total, struct err *err)
{
    auto_free char *message = xasprintf(
        "%zu of %zu running instances are not in the database; nothing is removed until an "
        "operator has "
        "looked: `evenkeel-controller --stop-all` removes all, restoring the database keeps them",
        count, total);
    const struct event event = { NULL, NULL, "system", "TooManyOrphans", message, NULL };
    auto_tx *tx = NULL;

    log_error("too many orphans", S("message", message));
    if (tx_begin(c->store, TX_WRITE, &tx, err) || store_add_event(tx, &event, err))
        return -1;
    return tx_commit(&tx, err);
}

/* One that does not go away does not keep the others. */
static int remove_each(struct controller *c, const struct owned_list *owned, const bool *is_orphan,
                       struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < owned->count; i++) {
        struct err failure = { 0 };
        if (!is_orphan[i])
            continue;
        log_info("removing an instance that nothing wants", S("name", owned->items[i].name));
        if (c->backend->remove(c->backend->self, owned->items[i].name, 10000, &failure) &&
            rc == 0) {
            *err = failure;
            rc = -1;
        }
    }
    return rc;
}

static int remove_orphans(struct controller *c, struct err *err)
{
    struct owned_list owned = { 0 };
    size_t count;
    int64_t known;

    if (c->backend->list_owned(c->backend->self, &owned, err))
        return -1;
    auto_free bool *is_orphan = xcalloc(owned.count, sizeof *is_orphan);
    int rc = list_orphans(c, &owned, is_orphan, &count, &known, err);
    size_t allowed =
        owned.count / ORPHANS_SHARE > ORPHANS_MIN ? owned.count / ORPHANS_SHARE : ORPHANS_MIN;
    if (rc == 0 && count > allowed)
        rc = note_too_many(c, count, owned.count, err);
    else if (rc == 0)
        rc = remove_each(c, &owned, is_orphan, err);
    owned_list_done(&owned);
    return rc;
}

/* ---- artifacts ---- */

/* The archive goes within the transaction that forgets it, so that a builder that stores the same
 * one again comes before, and is seen, or after (publish_site in api/attempts.c). A stop in between
 * leaves the row, and the next pass finds no archive any more, which is fine. */
static int remove_site(struct controller *c, const char *digest, struct err *err)
{
    auto_free char *path = files_site(c->config, digest);
    auto_tx *tx = NULL;
    bool changed, retired;

    if (tx_begin(c->store, TX_WRITE, &tx, err) || store_retire_artifact(tx, digest, &retired, err))
        return -1;
    if (!retired)
        return 0; /* somebody wants it by now */
    if (store_want_site(tx, digest, false, &changed, err) ||
        store_remove_retired_artifact(tx, digest, err))
        return -1;
    if (path && unlink(path) && fs_exists(path))
        return err_set(err, ERR_INTERNAL, "removing %s", path);
    return tx_commit(&tx, err);
}

/* An image is asked for over a socket, for which no transaction waits. So it is retired first: from
 * then on nobody begins to use it; then it goes, then its row, so that a stop in between, or an
 * image still in use, leaves it on the list. Built again meanwhile the row stays; if it was the new
 * image that went, that is noticed when it is run, and it is built once more. */
static int remove_image(struct controller *c, const struct artifact_row *artifact, struct err *err)
{
    auto_tx *tx = NULL;
    bool retired;

    if (tx_begin(c->store, TX_WRITE, &tx, err) ||
        store_retire_artifact(tx, artifact->digest, &retired, err))
        return -1;
    if (!retired)
        return 0; /* somebody wants it by now */
    if (tx_commit(&tx, err) || c->backend->remove_image(c->backend->self, artifact->ref, err) ||
        tx_begin(c->store, TX_WRITE, &tx, err) ||
        store_remove_retired_artifact(tx, artifact->digest, err))
        return -1;
    return tx_commit(&tx, err);
}

static int remove_artifact(struct controller *c, const char *digest, struct err *err)
{
    auto_artifact artifact = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err) || store_get_artifact(tx, digest, &artifact, err))
        return err->class == ERR_NOT_FOUND ? 0 : -1;
    tx_rollback(&tx);
    log_info("removing an artifact", S("digest", digest), I("bytes", artifact.size));
    return strcmp(artifact.kind, "site") == 0 ? remove_site(c, digest, err)
                                              : remove_image(c, &artifact, err);
}

/* Of one app, or of all (NULL). */
static int remove_artifacts(struct controller *c, const char *app_id, bool *more, struct err *err)
{
    auto_id_list digests = { 0 };
    auto_tx *tx = NULL;
    size_t removed = 0;

    if (tx_begin(c->store, TX_READ, &tx, err) ||
        store_unkept_artifacts(tx, app_id, BATCH, &digests, err))
        return -1;
    tx_rollback(&tx);
    for (size_t i = 0; i < digests.count; i++) {
        struct err failure = { 0 };
        if (remove_artifact(c, digests.items[i], &failure) == 0)
            removed++;
        else
            log_warn("removing an artifact; the next pass tries again",
                     S("digest", digests.items[i]), E(&failure));
    }
    *more = *more || (digests.count == BATCH && removed > 0);
    return 0;
}

/* Sites that are only kept for a rollback need not be unpacked. */
static int unwant_sites(struct controller *c, struct err *err)
{
    json_auto_t *digests = NULL;
    auto_tx *tx = NULL;
    bool changed;
    size_t i;
    json_t *row;

    if (tx_begin(c->store, TX_WRITE, &tx, err) || store_unneeded_sites(tx, BATCH, &digests, err))
        return -1;
    json_array_foreach(digests, i, row)
        if (store_want_site(tx, json_string_value(json_object_get(row, "digest")), false, &changed,
                            err))
            return -1;
    return tx_commit(&tx, err);
}

/* ---- builds, releases, events ---- */

static int remove_builds(struct controller *c, bool *more, struct err *err)
{
    auto_id_list builds = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err) ||
        store_old_builds(tx, c->config->builds_keep, BATCH, &builds, err))
        return -1;
    tx_rollback(&tx);
    for (size_t i = 0; i < builds.count; i++) {
        auto_free char *dir = files_log_dir(c->config, builds.items[i]);
        if (fs_remove_tree(dir, err) || tx_begin(c->store, TX_OBSERVE, &tx, err) ||
            store_remove_build(tx, builds.items[i], err) || tx_commit(&tx, err))
            return -1;
    }
    *more = *more || builds.count == BATCH;
    return 0;
}

/* With their logs; the builds stay. */
static int remove_attempts(struct controller *c, bool *more, struct err *err)
{
    auto_id_list attempts = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err) ||
        store_old_attempts(tx, ATTEMPTS_KEEP, BATCH, &attempts, err))
        return -1;
    tx_rollback(&tx);
    for (size_t i = 0; i < attempts.count; i++) {
        auto_attempt attempt = { 0 };
        if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
            store_get_attempt(tx, attempts.items[i], &attempt, err))
            return -1;
        auto_free char *log = files_log(c->config, attempt.build_id, attempt.number);
        if (unlink(log) && fs_exists(log))
            return err_set(err, ERR_INTERNAL, "removing %s", log);
        if (store_remove_attempt(tx, attempt.id, err) || tx_commit(&tx, err))
            return -1;
    }
    *more = *more || attempts.count == BATCH;
    return 0;
}

/* Rows of which nothing else is left. */
static int trim(struct controller *c, bool *more, struct err *err)
{
    bool more_releases;
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_trim_events(tx, c->config->events_keep, err) ||
        store_trim_releases(tx, c->config->releases_keep, BATCH, &more_releases, err) ||
        store_trim_specs(tx, c->config->releases_keep, err) || store_trim_served(tx, err))
        return -1;
    *more = *more || more_releases;
    return tx_commit(&tx, err);
}

/* The network of a project that was removed, unless there is one of that name again. */
static int remove_network(struct controller *c, const char *name, struct err *err)
{
    auto_project project = { 0 };
    struct err missing = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err))
        return -1;
    if (store_find_project(tx, name, &project, &missing) == 0)
        return 0;
    if (missing.class != ERR_NOT_FOUND) {
        *err = missing;
        return -1;
    }
    tx_rollback(&tx);
    return c->backend->remove_network(c->backend->self, name, err);
}

/* ---- repositories ---- */

#define REPOSITORY "repository/"

int janitor_want_repository(struct tx *tx, const char *repository_id, int64_t delay_ms,
                            struct err *err)
{
    auto_free char *subject = xasprintf(REPOSITORY "%s", repository_id);

    return store_add_work(tx, "janitor", subject, delay_ms, err);
}

/* Where it lies only depends on whether it is hosted, which its row no longer says: so both. */
static int forget_repository(struct controller *c, const char *id, struct err *err)
{
    const struct repository_row hosted = { .id = (char *)(uintptr_t)id },
                                mirrored = { .id = hosted.id, .url = hosted.id };

    return c->source->forget(c->source->self, &hosted, err) ||
                   c->source->forget(c->source->self, &mirrored, err)
               ? -1
               : 0;
}

/* A ref that comes back to one of these commits in this moment is no loss: the registrar has it
 * fetched, or kept, again. */
static int forget_commits(struct controller *c, const struct repository_row *repository, bool *more,
                          struct err *err)
{
    auto_id_list shas = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_forget_commits(tx, repository->id, BATCH, &shas, err) || tx_commit(&tx, err))
        return -1;
    for (size_t i = 0; i < shas.count; i++)
        if (c->source->unkeep(c->source->self, repository, shas.items[i], err))
            return -1;
    *more = shas.count == BATCH;
    return 0;
}

static int tidy_repository(struct controller *c, const char *id, bool *more, struct err *err)
{
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err))
        return -1;
    int rc = store_get_repository(tx, id, &repository, err);
    tx_rollback(&tx);
    if (rc)
        return err->class == ERR_NOT_FOUND ? forget_repository(c, id, err) : -1;
    if (forget_commits(c, &repository, more, err))
        return -1;
    return *more ? 0 : c->source->tidy(c->source->self, &repository, err);
}

/* ---- archives of sites ---- */

/* An upload that was cut off, or whose attempt did not end well. */
static int remove_if_nobodys(struct controller *c, const char *folder, const char *name,
                             struct err *err)
{
    auto_free char *path = fs_join(folder, name), *digest = xasprintf("sha256:%.64s", name);
    auto_artifact artifact = { 0 };
    struct err missing = { 0 };
    auto_tx *tx = NULL;
    struct stat st;

    if (stat(path, &st) || !S_ISREG(st.st_mode) || time(NULL) - st.st_mtime < UPLOAD_S)
        return 0;
    if (tx_begin(c->store, TX_WRITE, &tx, err)) /* no builder publishes the same one meanwhile */
        return -1;
    bool is_whole = text_ends(name, ".tar.gz");
    if (is_whole && store_get_artifact(tx, digest, &artifact, &missing) == 0)
        return 0;
    if (is_whole && missing.class != ERR_NOT_FOUND) {
        *err = missing;
        return -1;
    }
    log_info("removing an upload that became nothing", S("file", path));
    return unlink(path) && errno != ENOENT ? err_errno(err, errno, "removing %s", path) : 0;
}

static int sweep_sites(struct controller *c, struct err *err)
{
    auto_free char *folder = fs_join(c->config->data, "sites");
    DIR *dir = opendir(folder);
    auto_tx *tx = NULL;
    int rc = 0;

    for (const struct dirent *entry; dir && rc == 0 && (entry = readdir(dir));)
        rc = remove_if_nobodys(c, folder, entry->d_name, err);
    if (dir)
        closedir(dir);
    if (rc || tx_begin(c->store, TX_OBSERVE, &tx, err) || store_remove_old_sites(tx, BATCH, err))
        return -1;
    return tx_commit(&tx, err);
}

int janitor_step(struct controller *c, const char *subject, int64_t *again_ms, struct err *err)
{
    bool is_all = strcmp(subject, "all") == 0, more = false;

    if (text_starts(subject, JANITOR_NETWORK))
        return remove_network(c, subject + strlen(JANITOR_NETWORK), err);
    if (text_starts(subject, REPOSITORY)) {
        if (tidy_repository(c, subject + strlen(REPOSITORY), &more, err))
            return -1;
        *again_ms = more ? AGAIN_MS : *again_ms;
        return 0;
    }
    if (unwant_sites(c, err) || remove_artifacts(c, is_all ? NULL : subject, &more, err) ||
        (is_all && (remove_builds(c, &more, err) || remove_attempts(c, &more, err) ||
                    trim(c, &more, err) || sweep_sites(c, err) || remove_orphans(c, err))))
        return -1;
    if (more)
        *again_ms = AGAIN_MS;
    return 0;
}

int janitor_pass(struct controller *c, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || store_add_work(tx, "janitor", "all", 0, err))
        return -1;
    return tx_commit(&tx, err);
}
