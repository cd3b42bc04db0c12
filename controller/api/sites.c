/* sites.*, site.fetch: what site agents ask and say. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "controller/api/resources.h"
#include "controller/feeds.h"
#include "controller/files.h"
#include "store/sites.h"

int sites_wanted(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(api_controller(call)->store, TX_READ, &tx, err))
        return -1;
    return store_list_sites(tx, api_number(params, "after", 0, 0, INT64_MAX), api_limit(params),
                            result, err);
}

struct watch {
    struct controller *c;
    int64_t sent; /* -1: nothing yet */
};

static enum pump_result pump_watch(struct rpc_call *call, void *arg)
{
    struct watch *w = arg;
    auto_tx *tx = NULL;
    struct err err = { 0 };
    int64_t revision;

    if (tx_begin(w->c->store, TX_READ, &tx, &err) || store_sites_revision(tx, &revision, &err)) {
        rpc_call_fail(call, &err);
        return PUMP_END;
    }
    if (revision == w->sent) /* it was another event */
        return PUMP_WAIT;
    if (!rpc_call_try_send(call, json_pack("{s:I}", "revision", revision)))
        return PUMP_FULL;
    w->sent = revision;
    return PUMP_WAIT;
}

/* The first notice comes at once: the agent may have missed some. */
int sites_watch(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct watch *w = xcalloc(1, sizeof *w);
    (void)params;
    (void)result;
    (void)err;

    *w = (struct watch){ .c = api_controller(call), .sent = -1 };
    feeds_add(w->c->feeds, call, SITES_TOPIC, pump_watch, w, free);
    return RPC_LATER;
}

int site_fetch(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    enum { PIECE = 128 * 1024 };
    const char *digest;
    (void)result;

    if (api_text(params, "digest", true, &digest, err))
        return -1;
    auto_free char *path = files_site(api_controller(call)->config, digest),
                   *data = xcalloc(PIECE, 1);
    auto_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n;
    if (fd < 0)
        return err_set(err, ERR_NOT_FOUND, "no such site: %s", digest);
    while ((n = read(fd, data, PIECE)) > 0)
        if (rpc_call_write(call, data, (size_t)n, err))
            return -1;
    return n < 0 ? err_set(err, ERR_INTERNAL, "reading %s", path) : 0;
}

/* ---- what is served ---- */

static int note_all(struct tx *tx, const char *agent, const json_t *digests, bool is_served,
                    struct err *err)
{
    size_t i;
    json_t *one;

    json_array_foreach((json_t *)(uintptr_t)digests, i, one) {
        const char *digest = json_string_value(one);
        if (!files_is_digest(digest))
            return err_set(err, ERR_INVALID, "`%s` is no digest", digest ? digest : "?");
        if (is_served ? store_note_served(tx, digest, agent, NULL, NULL, err) ||
                            store_add_work_for_site(tx, digest, err)
                      : store_forget_served(tx, digest, agent, err))
            return -1;
    }
    return 0;
}

static int note_failed(struct tx *tx, const char *agent, const json_t *failed, struct err *err)
{
    size_t i;
    json_t *one;

    json_array_foreach((json_t *)(uintptr_t)failed, i, one) {
        const char *digest, *reason, *message;
        if (api_text(one, "digest", true, &digest, err) ||
            api_text(one, "reason", true, &reason, err) ||
            api_text(one, "message", false, &message, err))
            return -1;
        if (files_is_digest(digest) &&
            (store_note_served(tx, digest, agent, reason, message, err) ||
             store_add_work_for_site(tx, digest, err)))
            return -1;
    }
    return 0;
}

int sites_serving(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const char *agent = rpc_session_name(rpc_call_session(call));
    auto_tx *tx = NULL;
    (void)result;

    if (tx_begin(api_controller(call)->store, TX_WRITE, &tx, err) ||
        (json_is_true(json_object_get(params, "complete")) &&
         store_forget_served(tx, NULL, agent, err)) ||
        note_all(tx, agent, json_object_get(params, "digests"), true, err) ||
        note_all(tx, agent, json_object_get(params, "removed"), false, err) ||
        note_failed(tx, agent, json_object_get(params, "failed"), err))
        return -1;
    return tx_commit(&tx, err);
}
