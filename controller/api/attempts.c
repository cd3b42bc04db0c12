/* builder.hello, build.*: what builders say. Every message of an attempt carries its lease; a stale
 * one is refused, so a build has one result. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/api/resources.h"
#include "controller/builders.h"
#include "controller/conditions.h"
#include "controller/feeds.h"
#include "controller/files.h"
#include "store/builds.h"
#include "store/work.h"

enum { SLOTS_MAX = 64, SITE_MAX = 1 << 30, READ_MS = 60000 };

/* ERR_CONFLICT when the attempt is not running under this lease any more. */
static int check_lease(struct tx *tx, const json_t *params, struct attempt_row *attempt,
                       struct err *err)
{
    const char *id, *lease;

    if (api_text(params, "attempt", true, &id, err) || api_text(params, "lease", true, &lease, err))
        return -1;
    if (store_get_attempt(tx, id, attempt, err))
        return err->class == ERR_NOT_FOUND ? err_set(err, ERR_CONFLICT, "the attempt is not known")
                                           : -1;
    auto_free char *hash = sha256_hex(lease, strlen(lease));
    if (!secret_equal(hash, attempt->lease_hash))
        return err_set(err, ERR_CONFLICT, "the lease is not the attempt's");
    return 0;
}

static int check_running(struct tx *tx, const json_t *params, struct attempt_row *attempt,
                         struct err *err)
{
    if (check_lease(tx, params, attempt, err))
        return -1;
    return strcmp(attempt->state, "running") == 0
               ? 0
               : err_set(err, ERR_CONFLICT, "the attempt has ended: %s", attempt->state);
}

static int add_detector_work(struct controller *c, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_add_work(tx, "crash_detector", "leases", 0, err) ||
        store_add_work(tx, "dispatcher", "queue", 0, err))
        return -1;
    return tx_commit(&tx, err);
}

/* What the builder still works on and may go on with. */
static json_t *keep_attempts(struct rpc_call *call, struct tx *tx, const json_t *named)
{
    struct controller *c = api_controller(call);
    json_t *keep = json_array(), *one;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)named, i, one) {
        auto_attempt attempt = { 0 };
        struct err refused = { 0 };
        if (check_running(tx, one, &attempt, &refused) ||
            strcmp(attempt.builder, rpc_session_name(rpc_call_session(call))) != 0)
            continue;
        builders_hold(c->builders, attempt.id, rpc_call_session(call));
        json_array_append_new(keep, json_string(attempt.id));
    }
    return keep;
}

/* Running attempts of this builder that it does not name any more are away at once: it lost them.
 */
static int forget_unnamed(struct rpc_call *call, struct tx *tx, const json_t *keep, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_id_list running = { 0 };

    if (store_running_attempts(tx, &running, err))
        return -1;
    for (size_t i = 0; i < running.count; i++) {
        auto_attempt attempt = { 0 };
        bool is_kept = false;
        size_t k;
        json_t *id;
        if (store_get_attempt(tx, running.items[i], &attempt, err))
            return -1;
        json_array_foreach((json_t *)(uintptr_t)keep, k, id)
            is_kept = is_kept || strcmp(json_string_value(id), attempt.id) == 0;
        if (!is_kept && strcmp(attempt.builder, rpc_session_name(rpc_call_session(call))) == 0)
            builders_expire(c->builders, attempt.id);
    }
    return 0;
}

int builder_hello(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_tx *tx = NULL;

    builders_add(c->builders, rpc_call_session(call), api_number(params, "slots", 1, 1, SLOTS_MAX));
    if (tx_begin(c->store, TX_READ, &tx, err))
        return -1;
    json_auto_t *keep = keep_attempts(call, tx, json_object_get(params, "attempts"));
    if (forget_unnamed(call, tx, keep, err))
        return -1;
    tx_rollback(&tx);
    if (add_detector_work(c, err))
        return -1;
    *result = json_pack("{s:O}", "keep", keep);
    return 0;
}

int build_lease(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_tx *tx = NULL;
    (void)params;
    (void)result;

    if (!builders_offer(c->builders, call))
        return err_set(err, ERR_CONFLICT, "say builder.hello first");
    if (tx_begin(c->store, TX_OBSERVE, &tx, err) ||
        store_add_work(tx, "dispatcher", "queue", 0, err) || tx_commit(&tx, err))
        return -1;
    return RPC_LATER;
}

/* ---- source ---- */

static int write_to_call(void *arg, const void *data, size_t len, struct err *err)
{
    return rpc_call_write(arg, data, len, err);
}

int build_source(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_attempt attempt = { 0 };
    auto_build build = { 0 };
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;
    (void)result;

    if (tx_begin(c->store, TX_READ, &tx, err) || check_running(tx, params, &attempt, err) ||
        store_get_build(tx, attempt.build_id, &build, err))
        return -1;
    if (!build.repository_id || !build.sha)
        return err_set(err, ERR_NOT_FOUND, "this build has no source");
    if (store_get_repository(tx, build.repository_id, &repository, err))
        return -1;
    tx_rollback(&tx);
    const char *context = json_string_value(json_object_get(build.spec, "context"));
    if (c->source->fetch(c->source->self, &repository, build.sha, build.sha,
                         err)) /* nothing to do when it is here */
        return -1;
    return c->source->archive(c->source->self, &repository, build.sha, context ? context : ".",
                              write_to_call, call, err);
}

/* ---- log ---- */

/* The long call of an attempt. Its items arrive on the loop thread and are appended there. */
struct attempt_log {
    struct controller *c;
    struct rpc_call *call;
    char *attempt_id, *build_id;
    int fd;
    int64_t offset;
};

static void attempt_log_free(struct attempt_log *log)
{
    rpc_call_unref(log->call);
    if (log->fd >= 0)
        close(log->fd);
    free(log->attempt_id);
    free(log->build_id);
    free(log);
}

/* Small appends to a local file, on the loop thread: they do not wait for the disk (no fsync; the
 * log is not an acknowledgement). */
static void on_log(void *arg, struct rpc_item *item)
{
    struct attempt_log *log = arg;

    if (!item) {
        rpc_call_end(log->call, NULL);
        attempt_log_free(log);
        return;
    }
    if (item->bytes && log->offset + (int64_t)item->len <= log->c->config->log_max) {
        if (pwrite(log->fd, item->bytes, item->len, log->offset) == (ssize_t)item->len)
            log->offset += (int64_t)item->len;
        else
            log_warn("appending to a build's log", S("attempt", log->attempt_id));
        feeds_kick(log->c->feeds, log->build_id);
        feeds_kick(log->c->feeds, LOGS_TOPIC);
    }
    rpc_call_consumed(log->call, item->len);
    rpc_item_done(item);
}

static void on_log_gone(void *arg)
{
    attempt_log_free(arg);
}

/* After a lost link the builder sends the log again from its start: the same bytes land in the same
 * place. */
static int open_log(struct controller *c, const struct attempt_row *attempt, int *fd,
                    struct err *err)
{
    auto_free char *dir = files_log_dir(c->config, attempt->build_id),
                   *path = files_log(c->config, attempt->build_id, attempt->number);

    if (fs_make_dirs(dir, 0700, err))
        return -1;
    *fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_set(err, ERR_INTERNAL, "opening %s", path);
    return 0;
}

/* A build that was cancelled before its call was here to be told by. Read after the call was
 * attached: of a cancel at this moment at least one side sees the other. */
static int pass_cancel(struct controller *c, const struct attempt_row *attempt, struct err *err)
{
    auto_build build = { 0 };
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err) ||
        store_get_build(tx, attempt->build_id, &build, err))
        return -1;
    if (build.cancel)
        builders_cancel(c->builders, attempt->id, build.cancel);
    return 0;
}

int build_attempt(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    int64_t offset = api_number(params, "offset", 0, 0, c->config->log_max);
    auto_attempt attempt = { 0 };
    auto_tx *tx = NULL;
    auto_fd int fd = -1;
    (void)result;

    if (tx_begin(c->store, TX_READ, &tx, err) || check_running(tx, params, &attempt, err))
        return -1;
    tx_rollback(&tx);
    if (open_log(c, &attempt, &fd, err))
        return -1;
    builders_attach(c->builders, attempt.id, call);
    if (pass_cancel(c, &attempt, err))
        return -1;
    struct attempt_log *log = xcalloc(1, sizeof *log);
    *log = (struct attempt_log){
        c, rpc_call_ref(call), xstrdup(attempt.id), xstrdup(attempt.build_id), take_fd(&fd), offset
    };
    rpc_call_on_gone(call, on_log_gone, log);
    rpc_call_on_item(call, on_log, log);
    return RPC_LATER;
}

/* ---- result ---- */

static int receive(struct rpc_call *call, int fd, int64_t size_max, struct sha256 *sha,
                   int64_t *size, struct err *err)
{
    struct rpc_item item = { 0 };
    int rc;

    *size = 0;
    while ((rc = rpc_call_read(call, READ_MS, &item, err)) > 0) {
        int failed = item.bytes ? fs_write_all(fd, item.bytes, item.len, err) : 0;
        if (item.bytes)
            sha256_add(sha, item.bytes, item.len);
        *size += (int64_t)item.len;
        rpc_item_done(&item);
        if (failed)
            return -1;
        if (*size > size_max)
            return err_set(err, ERR_EXHAUSTED, "the site archive is larger than was said");
    }
    return rc;
}

/* So that the new name, too, outlives a loss of power. */
static int sync_folder(const char *path)
{
    auto_free char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    auto_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) ? -1 : 0;
}

/* The name and the artifact appear in one transaction, as the janitor removes both in one: whoever
 * comes second finds what the first one did. An artifact is young when it was stored again, so the
 * janitor leaves it for an hour: until then the build has said that it is its own. */
static int publish_site(struct controller *c, const char *digest, int64_t size, const char *beside,
                        const char *path, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_WRITE, &tx, err) ||
        store_add_artifact(tx, digest, "site", digest, size, err))
        return -1;
    if (rename(beside, path) || sync_folder(path))
        return err_set(err, ERR_INTERNAL, "storing %s", path);
    return tx_commit(&tx, err);
}

/* Received beside, verified, synced, renamed: the archive is there whole, or not. */
static int store_site(struct rpc_call *call, const char *digest, int64_t size, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_free char *path = files_site(c->config, digest),
                   *beside = xasprintf("%s.%s", path, "incoming-XXXXXX");
    auto_fd int fd = mkostemp(beside, O_CLOEXEC);
    auto_sha256 *sha = sha256_new();
    int64_t received;

    if (fd < 0)
        return err_set(err, ERR_INTERNAL, "making %s", beside);
    int rc = receive(call, fd, size, sha, &received, err);
    auto_free char *hex = sha256_end(sha);
    if (rc == 0 && (received != size || strcmp(hex, digest + 7) != 0))
        rc = err_set(err, ERR_INVALID, "the site archive is not what its digest says");
    if (rc == 0 && fsync(fd))
        rc = err_set(err, ERR_INTERNAL, "storing %s", beside);
    rc = rc || publish_site(c, digest, size, beside, path, err) ? -1 : 0;
    if (rc)
        unlink(beside);
    return rc;
}

int build_site(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    int64_t size = api_number(params, "size", -1, -1, INT64_MAX);
    auto_attempt attempt = { 0 };
    auto_tx *tx = NULL;
    const char *hex;

    if (tx_begin(c->store, TX_READ, &tx, err) || check_running(tx, params, &attempt, err) ||
        api_text(params, "sha256", true, &hex, err))
        return -1;
    tx_rollback(&tx);
    auto_free char *digest = xasprintf("sha256:%s", hex);
    if (!files_is_digest(digest) || size < 0 || size > SITE_MAX)
        return err_set(err, ERR_INVALID, "sha256 must be 64 hex digits, size 0 to %d", SITE_MAX);
    if (store_site(call, digest, size, err))
        return -1;
    *result = json_pack("{s:s}", "artifact", digest);
    return 0;
}

struct settlement {
    const char *state, *reason, *message, *kind, *digest, *ref;
    int64_t size, log_size;
    bool is_infrastructure;
};

static int read_settlement(const json_t *params, struct settlement *s, struct err *err)
{
    const json_t *artifact = json_object_get(params, "artifact");

    *s = (struct settlement){ .log_size = api_number(params, "log_size", 0, 0, INT64_MAX),
                              .size = api_number(artifact, "size", 0, 0, INT64_MAX),
                              .is_infrastructure =
                                  json_is_true(json_object_get(params, "is_infrastructure")) };
    if (api_text(params, "state", true, &s->state, err) ||
        api_text(params, "reason", false, &s->reason, err) ||
        api_text(params, "message", false, &s->message, err))
        return -1;
    bool has_succeeded = strcmp(s->state, "succeeded") == 0;
    if (!has_succeeded && strcmp(s->state, "failed") != 0 && strcmp(s->state, "cancelled") != 0)
        return err_field(err, "state", NULL, "`%s` is not how a build ends", s->state);
    if (!has_succeeded)
        return 0;
    if (api_text(artifact, "kind", true, &s->kind, err) ||
        api_text(artifact, "digest", true, &s->digest, err) ||
        api_text(artifact, "ref", true, &s->ref, err))
        return -1;
    if (!files_is_digest(s->digest) ||
        (strcmp(s->kind, "image") != 0 && strcmp(s->kind, "site") != 0))
        return err_field(err, "artifact", NULL, "the artifact needs a kind and a sha256 digest");
    return 0;
}

/* A site is only an artifact when its archive is here. Looked at within the transaction, because
 * the janitor removes archives within its own. */
static int check_artifact(const struct controller *c, const struct settlement *s, struct err *err)
{
    auto_free char *path =
        s->digest && strcmp(s->kind, "site") == 0 ? files_site(c->config, s->digest) : NULL;
    return path && !fs_exists(path)
               ? err_set(err, ERR_INVALID, "the site archive was not stored: call build.site first")
               : 0;
}

/* An infrastructure failure counts as an attempt and is tried again; one of the code is final. */
static int accept(struct tx *tx, const struct build_row *build, const struct settlement *s,
                  struct err *err)
{
    bool again = s->is_infrastructure && strcmp(s->state, "failed") == 0 && !build->cancel &&
                 build->attempts + 1 < BUILD_ATTEMPTS_MAX;
    const char *reason = s->reason && *s->reason              ? s->reason
                         : strcmp(s->state, "succeeded") == 0 ? "Built"
                                                              : "BuildFailed";

    if (s->digest && store_add_artifact(tx, s->digest, s->kind, s->ref, s->size, err))
        return -1;
    if (s->is_infrastructure && store_count_attempt(tx, build->id, err))
        return -1;
    if (note_build_end(tx, build, reason, s->message, err))
        return -1;
    return again ? store_requeue_build(tx, build->id, err)
                 : store_end_build(tx, build->id, s->state, reason, s->message, s->digest, err);
}

int build_settle(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_attempt attempt = { 0 };
    auto_build build = { 0 };
    auto_tx *tx = NULL;
    struct settlement s;
    (void)result;

    if (read_settlement(params, &s, err) || tx_begin(c->store, TX_WRITE, &tx, err) ||
        check_artifact(c, &s, err) || check_lease(tx, params, &attempt, err) ||
        store_get_build(tx, attempt.build_id, &build, err))
        return -1;
    if (strcmp(attempt.state, s.state) == 0)
        return 0; /* said before, and accepted */
    if (strcmp(attempt.state, "running") != 0)
        return err_set(err, ERR_CONFLICT, "the attempt has ended: %s", attempt.state);
    if (store_end_attempt(tx, attempt.id, s.state, s.reason, s.message, s.log_size, err) ||
        accept(tx, &build, &s, err) || tx_commit(&tx, err))
        return -1;
    builders_drop(c->builders, attempt.id);
    feeds_kick(c->feeds, build.id);
    return 0;
}
