#include "ssgen/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ssgen/sites.h"

enum { OPEN_TIMEOUT_MS = 3600 * 1000, READ_TIMEOUT_MS = 500, SILENT_MAX_MS = 60 * 1000 };

struct fetch {
    int fd;
    int64_t size, size_max;
    struct sha256 *sha;
};

static int take_bytes(struct fetch *fetch, const struct rpc_item *item, const char **reason,
                      struct err *err)
{
    fetch->size += (int64_t)item->len;
    if (fetch->size > fetch->size_max) {
        *reason = "TooLarge";
        return err_set(err, ERR_EXHAUSTED, "the archive is larger than %lld bytes",
                       (long long)fetch->size_max);
    }
    sha256_add(fetch->sha, item->bytes, item->len);
    if (fs_write_all(fetch->fd, item->bytes, item->len, err)) {
        *reason = errno == ENOSPC || errno == EDQUOT ? "DiskFull" : "Internal";
        return -1;
    }
    return 0;
}

/* Everything the controller sends. Waits in short pieces, so that stopping is noticed. */
static int read_all(struct rpc_exchange *x, struct fetch *fetch, const char **reason,
                    struct err *err)
{
    int64_t heard = clock_mono_ms(clock_system());

    for (;;) {
        struct rpc_item item = { 0 };
        struct err why = { 0 };
        int rc = rpc_exchange_read(x, READ_TIMEOUT_MS, &item, &why);
        if (rc == 0)
            return rpc_exchange_result(x, NULL, err);
        if (work_stopping || (rc < 0 && (why.class != ERR_TIMEOUT ||
                                         clock_mono_ms(clock_system()) - heard > SILENT_MAX_MS))) {
            rpc_item_done(&item);
            return work_stopping ? err_set(err, ERR_STOPPED, "stopping")
                                 : err_set(err, why.class, "reading the archive: %s", why.text);
        }
        if (rc < 0)
            continue;
        heard = clock_mono_ms(clock_system());
        rc = item.bytes ? take_bytes(fetch, &item, reason, err) : 0;
        rpc_item_done(&item);
        if (rc)
            return -1;
    }
}

static int fetch_into(struct rpc_client *client, const char *path, const char *hex,
                      int64_t size_max, const char **reason, struct err *err)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    auto_sha256 *sha = sha256_new();
    auto_rpc_exchange *x = NULL;
    struct fetch fetch = { .fd = fd, .size_max = size_max, .sha = sha };

    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    json_auto_t *params = json_pack("{s:o}", "digest", json_sprintf("sha256:%s", hex));
    *reason = "Unavailable";
    if (rpc_client_open(client, "site.fetch", params, OPEN_TIMEOUT_MS, &x, err) ||
        read_all(x, &fetch, reason, err))
        return -1;
    auto_free char *got = sha256_end(sha);
    if (strcmp(got, hex) == 0)
        return 0;
    *reason = "DigestMismatch";
    return err_set(err, ERR_INVALID, "the archive's digest is %s", got);
}

int fetch_site(struct rpc_client *client, const char *root, const char *hex, int64_t size_max,
               const char **reason, struct err *err)
{
    auto_free char *path = sites_incoming(root, hex);

    *reason = "Internal";
    if (fetch_into(client, path, hex, size_max, reason, err) == 0)
        return 0;
    unlink(path);
    return err_prefix(err, "fetching the site");
}
