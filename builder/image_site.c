#include "builder/image_site.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "builder/builder.h"
#include "builder/site.h"
#include "builder/source.h"
#include "builder/tree.h"

#define LABEL "sh.evenkeel.builder"

/* ---- packing ---- */

static int explain_pack(struct attempt *a, struct err *err)
{
    if (err->class == ERR_EXHAUSTED) {
        bool is_disk = strstr(err->text, strerror(ENOSPC)) != NULL;
        return attempt_fail(a, is_disk ? "DiskFull" : "SiteTooLarge", err);
    }
    err_prefix(err, "the site \"%s\"", a->build.site ? a->build.site : ".");
    return attempt_fail(a, err->class == ERR_NOT_FOUND ? "SiteMissing" : "BuildFailed", err);
}

int image_site_pack(struct attempt *a, int tar, const char *folder)
{
    const struct builder_config *config = a->builder->config;
    struct tree_limits limits = { config->site_max, config->site_entries_max };
    auto_free char *path = fs_join(a->dir, "site.tar.gz");
    auto_site_archive site = { 0 };
    struct err err = { 0 };

    if (site_pack(tar, folder, path, &limits, &site, &err) < 0)
        return explain_pack(a, &err);
    if (site.left_out)
        build_log_say(a->log, "%" PRId64 " links or special files of the site are left out",
                      site.left_out);
    build_log_say(a->log, "site of %" PRId64 " files, %" PRId64 " bytes packed", site.files,
                  site.size);
    return site_send(a, path, site.sha256, site.size);
}

/* ---- reading ---- */

struct copy {
    int fd;
    int64_t room;
};

static int on_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct copy *copy = arg;

    copy->room -= (int64_t)len;
    if (copy->room < 0)
        return err_set(err, ERR_EXHAUSTED, "the site is bigger than a site may be");
    return fs_write_all(copy->fd, data, len, err);
}

static int copy_out(struct attempt *a, const char *container, const char *path, int fd,
                    struct err *err)
{
    const struct builder_config *config = a->builder->config;
    auto_free char *escaped = text_url_escape(path);
    auto_free char *url = xasprintf("/containers/%s/archive?path=%s", container, escaped);
    struct copy copy = { fd, config->site_max + 2048 * config->site_entries_max };
    struct engine_stream stream = {
        .method = "GET", .path = url, .data = on_data, .arg = &copy, .cancelled = &a->is_stopped
    };

    int rc = engine_stream(a->builder->engine, &stream, err);
    /* "/." behind a file is an internal error of the engine, that names a folder of the host */
    if (rc < 0 && err->class == ERR_INTERNAL && strstr(err->text, "not a directory"))
        return err_set(err, ERR_NOT_FOUND, "it is not a folder");
    if (rc < 0 && err->class == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "there is no such folder");
    return rc;
}

static int create(struct attempt *a, const char *image, char **container, struct err *err)
{
    json_auto_t *body =
        json_pack("{s:s, s:[s], s:[], s:b, s:{s:s}}", "Image", image, "Cmd", "never-started",
                  "Entrypoint", "NetworkDisabled", 1, "Labels", LABEL, a->builder->config->name);
    json_auto_t *answer = NULL;

    if (engine_post(a->builder->engine, body, &answer, err, "/containers/create") < 0)
        return -1;
    const char *id = json_string_value(json_object_get(answer, "Id"));
    if (!id)
        return err_set(err, ERR_UNAVAILABLE, "the engine named no container");
    *container = xstrdup(id);
    return 0;
}

/* The folder in the image: absolute as it is, else below the image's working folder. */
static int site_path(struct attempt *a, const char *image, char **path, struct err *err)
{
    json_auto_t *seen = NULL;
    const char *site = a->build.site ? a->build.site : ".";
    auto_free char *plain = tree_plain_path(site + strspn(site, "/"));

    if (!plain)
        return err_set(err, ERR_NOT_FOUND, "the path leads outside");
    if (engine_inspect_image(a->builder->engine, image, &seen, err) < 0)
        return -1;
    const char *dir =
        json_string_value(json_object_get(json_object_get(seen, "Config"), "WorkingDir"));
    if (!dir || *site == '/')
        dir = "";
    dir += strspn(dir, "/");
    /* "/." at the end: a link that is the folder itself is followed, names begin below it */
    *path = xasprintf("/%s%s%s/.", dir, *dir ? "/" : "", plain);
    return 0;
}

static int copy_site(struct attempt *a, const char *image, int fd, struct err *err)
{
    auto_free char *path = NULL;
    auto_free char *container = NULL;
    struct err ignored = { 0 };

    if (site_path(a, image, &path, err) < 0 || create(a, image, &container, err) < 0)
        return -1;
    int rc = copy_out(a, container, path, fd, err);
    if (engine_delete(a->builder->engine, &ignored, "/containers/%s?force=1&v=1", container) < 0)
        log_warn("removing the container of a site", S("attempt", a->id), E(&ignored));
    return rc;
}

int image_site(struct attempt *a, const char *image)
{
    auto_free char *path = fs_join(a->dir, "site.tar");
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct err err = { 0 };

    if (fd < 0) {
        err_errno(&err, errno, "creating %s", path);
        return attempt_fail(a, "DiskFull", &err);
    }
    if (copy_site(a, image, fd, &err) == 0)
        return image_site_pack(a, fd, "");
    if (err.class == ERR_UNAVAILABLE || err.class == ERR_TIMEOUT || err.class == ERR_INTERNAL)
        return attempt_fail(a, "EngineUnavailable", &err);
    return explain_pack(a, &err);
}

/* ---- what was left behind ---- */

void image_site_clean(struct builder *builder)
{
    auto_free char *label = xasprintf(LABEL "=%s", builder->config->name);
    auto_free char *filters = engine_filters(json_pack("{s:[s]}", "label", label));
    json_auto_t *list = NULL;
    struct err err = { 0 };
    const json_t *container;
    size_t i;

    if (engine_get(builder->engine, &list, &err, "/containers/json?all=1&filters=%s", filters) <
        0) {
        log_warn("looking for containers left behind", E(&err));
        return;
    }
    json_array_foreach(list, i, container) {
        const char *id = json_string_value(json_object_get(container, "Id"));
        if (id && engine_delete(builder->engine, &err, "/containers/%s?force=1&v=1", id) < 0)
            log_warn("removing a container left behind", S("container", id), E(&err));
    }
}
