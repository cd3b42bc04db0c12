/* A controller for the builder's flow tests: a real lib/rpc server with the methods of a builder,
 * that hands out what it finds in a folder and writes down what it is told. Everything is in files,
 * so it can be killed and started again in the middle of an attempt.
 *
 *     usage: fake-controller SOCKET FOLDER
 *
 *     in    ID.job      the `job` member of a lease; renamed to ID.leased when it is handed out
 *           ID.tar      the source
 *           ID.cancel   its text is sent as the reason of a cancel
 *           ID.gone     the lease is not valid any more
 *           ID.busy     settling it is answered with "unavailable"
 *     out   ID.log      the log, written where its offset says
 *           ID.opens    a byte for every build.attempt
 *           ID.site     the site archive
 *           ID.settled  params of the settle
 *           hello       params of the last hello */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "rpc/rpc.h"

enum { FILE_MAX = 64 << 20, PIECE = 64 * 1024 };

struct fake {
    const char *folder;
    struct loop *loop;
    struct rpc_server *server;
};

/* ---- files ---- */

static char *path_of(const struct rpc_call *call, const char *id, const char *ending)
{
    const struct fake *fake = rpc_call_arg(call);
    return xasprintf("%s/%s%s", fake->folder, id, ending);
}

static bool has(const struct rpc_call *call, const char *id, const char *ending)
{
    auto_free char *path = path_of(call, id, ending);
    return fs_exists(path);
}

static int write_json(const struct rpc_call *call, const char *id, const char *ending,
                      const json_t *value, struct err *err)
{
    auto_free char *path = path_of(call, id, ending);
    auto_free char *text = json_dumps(value, JSON_COMPACT);
    return fs_write(path, text, strlen(text), 0644, err);
}

/* The attempt of a call, if its lease is good. */
static const char *attempt_of(const struct rpc_call *call, const json_t *params, struct err *err)
{
    const char *id = json_string_value(json_object_get(params, "attempt"));
    const char *lease = json_string_value(json_object_get(params, "lease"));
    auto_free char *want = xasprintf("lease-of-%s", id ? id : "");

    if (id && lease && strcmp(lease, want) == 0 && !has(call, id, ".gone"))
        return id;
    err_set(err, ERR_CONFLICT, "the lease is not the attempt's current one");
    return NULL;
}

/* ---- methods ---- */

static int hello(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    json_t *keep = json_array();
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(params, "attempts"), i, item) {
        struct err ignored = { 0 };
        const char *id = attempt_of(call, item, &ignored);
        if (id)
            json_array_append_new(keep, json_string(id));
    }
    *result = json_pack("{s:o}", "keep", keep);
    return write_json(call, "hello", "", params, err);
}

/* Takes one job from the folder; NULL when there is none. */
static char *take_job(const struct rpc_call *call)
{
    const struct fake *fake = rpc_call_arg(call);
    DIR *dir = opendir(fake->folder);
    char *taken = NULL;

    for (struct dirent *entry; dir && !taken && (entry = readdir(dir));) {
        if (!text_ends(entry->d_name, ".job"))
            continue;
        auto_free char *id = xstrndup(entry->d_name, strlen(entry->d_name) - 4);
        auto_free char *from = path_of(call, id, ".job");
        auto_free char *to = path_of(call, id, ".leased");
        if (rename(from, to) == 0)
            taken = take(&id);
    }
    closedir(dir);
    return taken;
}

static int lease(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    int64_t left = json_integer_value(json_object_get(params, "wait_ms"));
    auto_free char *id = NULL;
    auto_free char *text = NULL;

    for (; left > 0 && !rpc_call_is_gone(call) && !(id = take_job(call)); left -= 20)
        if (!work_sleep(20))
            break;
    if (!id)
        return 0;
    auto_free char *path = path_of(call, id, ".leased");
    auto_free char *token = xasprintf("lease-of-%s", id);
    if (fs_read(path, FILE_MAX, &text, NULL, err) < 0)
        return -1;
    *result = json_pack("{s:s, s:s, s:s, s:o}", "attempt", id, "lease", token, "build", id, "job",
                        json_loads(text, 0, NULL));
    return 0;
}

static int source(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const char *id = attempt_of(call, params, err);
    auto_free char *data = NULL;
    size_t len;

    (void)result;
    if (!id)
        return -1;
    auto_free char *path = path_of(call, id, ".tar");
    if (fs_read(path, FILE_MAX, &data, &len, err) < 0)
        return -1;
    for (size_t at = 0; at < len; at += PIECE)
        if (rpc_call_write(call, data + at, len - at < PIECE ? len - at : PIECE, err) < 0)
            return -1;
    return 0;
}

static int send_cancel(struct rpc_call *call, const char *id, bool *is_sent, struct err *err)
{
    auto_free char *path = path_of(call, id, ".cancel");
    auto_free char *text = NULL;

    if (*is_sent || !fs_exists(path))
        return 0;
    *is_sent = true;
    if (fs_read(path, 1000, &text, NULL, err) < 0)
        return -1;
    return rpc_call_send(call, json_pack("{s:s}", "cancel", text), err);
}

static int keep_log(struct rpc_call *call, const char *id, int fd, int64_t offset, struct err *err)
{
    bool is_cancel_sent = false;
    int rc;

    do {
        struct rpc_item item = { 0 };
        if (has(call, id, ".gone"))
            return err_set(err, ERR_CONFLICT, "the lease is gone");
        if (send_cancel(call, id, &is_cancel_sent, err) < 0)
            return -1;
        rc = rpc_call_read(call, 50, &item, err);
        if (rc < 0 && err->class == ERR_TIMEOUT)
            rc = 1;
        else if (rc == 1) {
            if (item.bytes && pwrite(fd, item.bytes, item.len, offset) != (ssize_t)item.len)
                return err_errno(err, errno, "writing the log");
            offset += (int64_t)item.len;
            rpc_item_done(&item);
        }
    } while (rc == 1);
    return rc;
}

static int attempt(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const char *id = attempt_of(call, params, err);

    (void)result;
    if (!id)
        return -1;
    auto_free char *path = path_of(call, id, ".log");
    auto_free char *opens = path_of(call, id, ".opens");
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    auto_fd int count = open(opens, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || fs_write_all(count, "x", 1, err) < 0)
        return err_errno(err, errno, "opening %s", path);
    return keep_log(call, id, fd, json_integer_value(json_object_get(params, "offset")), err);
}

static int site(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const char *id = attempt_of(call, params, err);
    const char *want = json_string_value(json_object_get(params, "sha256"));
    auto_sha256 *sha = sha256_new();
    int rc;

    if (!id)
        return -1;
    auto_free char *path = path_of(call, id, ".site");
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct rpc_item item = { 0 };
    while ((rc = rpc_call_read(call, 10000, &item, err)) == 1) {
        sha256_add(sha, item.bytes, item.len);
        rc = fs_write_all(fd, item.bytes, item.len, err);
        rpc_item_done(&item);
        if (rc < 0)
            return -1;
    }
    auto_free char *got = sha256_end(sha);
    if (rc < 0 || !want || strcmp(got, want) != 0)
        return rc < 0 ? -1 : err_set(err, ERR_INVALID, "got %s instead of %s", got, want);
    auto_free char *artifact = xasprintf("sha256:%s", got);
    *result = json_pack("{s:s}", "artifact", artifact);
    return 0;
}

static int settle(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const char *id = attempt_of(call, params, err);

    (void)result;
    if (!id)
        return -1;
    if (has(call, id, ".busy"))
        return err_set(err, ERR_UNAVAILABLE, "busy");
    return write_json(call, id, ".settled", params, err);
}

/* All on the bulk pool: they wait by polling. */
static const struct rpc_method table[] = {
    { "build.attempt", RPC_BUILDER, RPC_ON_BULK, attempt },
    { "build.lease", RPC_BUILDER, RPC_ON_BULK, lease },
    { "build.settle", RPC_BUILDER, RPC_ON_BULK, settle },
    { "build.site", RPC_BUILDER, RPC_ON_BULK, site },
    { "build.source", RPC_BUILDER, RPC_ON_BULK, source },
    { "builder.hello", RPC_BUILDER, RPC_ON_POOL, hello },
};

static void stop(void *arg)
{
    struct fake *fake = arg;

    work_stop();
    rpc_server_stop(fake->server);
    loop_stop(fake->loop);
}

int main(int argc, char **argv)
{
    struct fake fake = { .folder = argc == 3 ? argv[2] : NULL };
    struct err err = { 0 };

    if (argc != 3)
        return fputs("usage: fake-controller SOCKET FOLDER\n", stderr), 2;
    fake.loop = loop_new(stop, &fake);
    struct pool *pool = pool_start(2, 64), *bulk = pool_start(16, 64);
    struct rpc_server_config config = { .unix_path = argv[1],
                                        .methods = table,
                                        .method_count = countof(table),
                                        .arg = &fake,
                                        .pool = pool,
                                        .bulk = bulk };
    int rc = rpc_server_start(fake.loop, &config, &fake.server, &err);
    if (rc < 0)
        log_error("the fake controller cannot run", E(&err));
    else
        loop_run(fake.loop);
    pool_stop(pool);
    pool_stop(bulk);
    loop_free(fake.loop);
    return rc < 0;
}
