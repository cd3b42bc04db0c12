#include "builder/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "builder/builder.h"

enum { PIECE = 64 * 1024, READ_MS = 500, CALL_MS = 3600 * 1000 };

/* The link was lost, or the controller was just stopping: the same call may succeed later. */
static bool is_worth_retry(const struct attempt *a, const struct err *err)
{
    bool is_away = err->class == ERR_UNAVAILABLE || err->class == ERR_STOPPED;
    return is_away && !attempt_is_stopped(a) && !work_stopping;
}

/* One item; 1, or 0 at the end of the call. Looks at the stop in between. */
static int read_item(const struct attempt *a, struct rpc_exchange *x, struct rpc_item *item,
                     struct err *err)
{
    int rc;

    while ((rc = rpc_exchange_read(x, READ_MS, item, err)) < 0 && err->class == ERR_TIMEOUT) {
        if (attempt_is_stopped(a))
            return err_set(err, ERR_STOPPED, "stopped");
        err->class = ERR_NONE;
    }
    return rc;
}

/* ---- source ---- */

static int receive(struct attempt *a, struct rpc_exchange *x, int fd, struct err *err)
{
    /* A tar is bigger than its files: a header and padding for each. */
    int64_t room = a->builder->config->source_max + 2048 * a->builder->config->entries_max;
    struct rpc_item item = { 0 };
    int rc;

    while ((rc = read_item(a, x, &item, err)) == 1) {
        room -= (int64_t)item.len;
        if (room < 0)
            rc = err_set(err, ERR_EXHAUSTED, "the source is bigger than %lld bytes",
                         (long long)a->builder->config->source_max);
        else if (item.bytes)
            rc = fs_write_all(fd, item.bytes, item.len, err);
        rpc_item_done(&item);
        if (rc < 0)
            return -1;
    }
    return rc < 0 ? -1 : rpc_exchange_result(x, NULL, err);
}

static int fetch(struct attempt *a, const char *path, struct err *err)
{
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    json_auto_t *params = attempt_params(a);
    auto_rpc_exchange *x = NULL;

    if (fd < 0)
        return err_errno(err, errno, "creating %s", path);
    if (rpc_client_open(a->builder->client, "build.source", params, CALL_MS, &x, err) < 0 ||
        receive(a, x, fd, err) < 0)
        return -1;
    a->source = take_fd(&fd);
    return 0;
}

int source_fetch(struct attempt *a)
{
    auto_free char *path = fs_join(a->dir, "source.tar");
    struct err err = { 0 };

    for (;;) {
        while (!builder_wait_link(a->builder, READ_MS))
            if (attempt_is_stopped(a))
                return attempt_fail_text(a, "SourceUnavailable", "stopped");
        err = (struct err){ 0 };
        if (fetch(a, path, &err) == 0)
            return 0;
        if (!is_worth_retry(a, &err))
            break;
        work_sleep(READ_MS);
    }
    err_prefix(&err, "fetching the source");
    if (err.class == ERR_NOT_FOUND)
        return attempt_fail(a, "ContextMissing", &err);
    return attempt_fail(a, err.class == ERR_EXHAUSTED ? "BuildFailed" : "SourceUnavailable", &err);
}

/* ---- site ---- */

static int send_file(struct attempt *a, struct rpc_exchange *x, int fd, struct err *err)
{
    auto_free char *piece = xcalloc(PIECE, 1);
    ssize_t n;

    while ((n = read(fd, piece, PIECE)) > 0) {
        if (attempt_is_stopped(a))
            return err_set(err, ERR_STOPPED, "stopped");
        if (rpc_exchange_write(x, piece, (size_t)n, err) < 0)
            return -1;
    }
    if (n < 0)
        return err_errno(err, errno, "reading the site archive");
    return rpc_exchange_finish(x, err);
}

/* A write that fails because the call has ended is explained by how it ended. */
static int send_site(struct attempt *a, int fd, const json_t *params, json_t **result,
                     struct err *err)
{
    auto_rpc_exchange *x = NULL;
    struct rpc_item item = { 0 };
    struct err how = { 0 };
    int rc;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(err, errno, "reading the site archive");
    if (rpc_client_open(a->builder->client, "build.site", params, CALL_MS, &x, err) < 0)
        return -1;
    int sent = send_file(a, x, fd, err);
    if (sent < 0 && attempt_is_stopped(a))
        return -1;
    while ((rc = read_item(a, x, &item, &how)) == 1)
        rpc_item_done(&item);
    if (rc == 0)
        rc = rpc_exchange_result(x, result, &how);
    if (rc < 0 && (sent == 0 || how.class))
        *err = how;
    return rc < 0 || sent < 0 ? -1 : 0;
}

static int keep_artifact(struct attempt *a, const char *sha256, int64_t size, const json_t *result)
{
    auto_free char *digest = xasprintf("sha256:%s", sha256);
    const char *stored = json_string_value(json_object_get(result, "artifact"));

    if (!stored || strcmp(stored, digest) != 0)
        return attempt_fail_text(a, "PushFailed", "the controller stored %.80s instead of %s",
                                 stored ? stored : "nothing", digest);
    a->outcome.kind = "site";
    a->outcome.ref = xstrdup(digest);
    a->outcome.digest = take(&digest);
    a->outcome.size = size;
    return 0;
}

int site_send(struct attempt *a, const char *path, const char *sha256, int64_t size)
{
    json_auto_t *params = attempt_params(a);
    json_auto_t *result = NULL;
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct err err = { 0 };

    json_object_set_new(params, "sha256", json_string(sha256));
    json_object_set_new(params, "size", json_integer(size));
    if (fd < 0) {
        err_errno(&err, errno, "opening %s", path);
        return attempt_fail(a, "DiskFull", &err);
    }
    for (;;) {
        err = (struct err){ 0 };
        if (builder_wait_link(a->builder, READ_MS) && send_site(a, fd, params, &result, &err) == 0)
            return keep_artifact(a, sha256, size, result);
        if (attempt_is_stopped(a) || (err.class && !is_worth_retry(a, &err)))
            break;
        work_sleep(READ_MS);
    }
    err_prefix(&err, "sending the site");
    return attempt_fail(a, err.class == ERR_EXHAUSTED ? "SiteTooLarge" : "PushFailed", &err);
}
