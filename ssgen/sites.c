#include "ssgen/sites.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

enum { REVISION_SIZE_MAX = 16 * 1024 * 1024 };

static int empty_folder(const char *root, const char *name, struct err *err)
{
    auto_free char *path = fs_join(root, name);

    return fs_remove_tree(path, err) || fs_make_dirs(path, 0700, err) ? -1 : 0;
}

int sites_open(const char *root, struct err *err)
{
    if (fs_make_dirs(root, 0755, err) || empty_folder(root, ".incoming", err) ||
        empty_folder(root, ".trash", err))
        return err_prefix(err, "opening the sites in %s", root);
    return 0;
}

const char *site_hex(const char *digest)
{
    const char *hex = digest && text_starts(digest, "sha256:") ? digest + 7 : digest;

    if (!hex || strlen(hex) != SITE_DIGEST_LEN ||
        strspn(hex, "0123456789abcdef") != SITE_DIGEST_LEN)
        return NULL;
    return hex;
}

bool sites_have(const char *root, const char *hex)
{
    auto_free char *path = fs_join(root, hex);
    return fs_exists(path);
}

int sites_list(const char *root, json_t **digests, struct err *err)
{
    DIR *dir = opendir(root);

    if (!dir)
        return err_errno(err, errno, "listing %s", root);
    *digests = json_array();
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (site_hex(entry->d_name) == entry->d_name)
            json_array_append_new(*digests, json_sprintf("sha256:%s", entry->d_name));
    closedir(dir);
    return 0;
}

char *sites_incoming(const char *root, const char *hex)
{
    return xasprintf("%s/.incoming/%s.tar", root, hex);
}

static const char *reason_of(const struct err *err, bool is_disk_full)
{
    if (is_disk_full)
        return "DiskFull";
    return err->class == ERR_INVALID     ? "ArchiveInvalid"
           : err->class == ERR_EXHAUSTED ? "TooLarge"
                                         : "Internal";
}

static int sync_folder(const char *path, struct err *err)
{
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) ? err_errno(err, errno, "syncing %s", path) : 0;
}

int sites_publish(const char *root, const char *hex, const struct unpack_limits *limits,
                  const char **reason, struct err *err)
{
    auto_free char *archive = sites_incoming(root, hex);
    auto_free char *beside = xasprintf("%s/.incoming/%s.tmp", root, hex);
    auto_free char *final = fs_join(root, hex);
    struct err ignored = { 0 }, why = { 0 };
    bool is_disk_full = false;

    fs_remove_tree(beside, &ignored);
    int rc = unpack_archive(archive, beside, limits, &is_disk_full, &why);
    if (rc == 0 && rename(beside, final))
        rc = err_errno(&why, errno, "publishing %s", final);
    if (rc == 0)
        rc = sync_folder(root, &why);
    unlink(archive);
    if (rc == 0)
        return 0;
    fs_remove_tree(beside, &ignored);
    *reason = reason_of(&why, is_disk_full);
    *err = why;
    return -1;
}

int sites_remove(const char *root, const char *hex, struct err *err)
{
    auto_free char *path = fs_join(root, hex);
    auto_free char *trash = xasprintf("%s/.trash/%s", root, hex);

    if (fs_remove_tree(trash, err))
        return -1;
    if (rename(path, trash) && errno != ENOENT)
        return err_errno(err, errno, "removing %s", path);
    return fs_remove_tree(trash, err);
}

json_t *sites_read_revision(const char *root)
{
    auto_free char *path = fs_join(root, ".revision");
    auto_free char *text = NULL;
    struct err ignored = { 0 };

    if (fs_read(path, REVISION_SIZE_MAX, &text, NULL, &ignored) == 0) {
        json_auto_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_integer(json_object_get(read, "revision")) &&
            json_is_object(json_object_get(read, "failed")))
            return json_incref(read);
    }
    return json_pack("{s:i, s:{}}", "revision", 0, "failed");
}

int sites_write_revision(const char *root, const json_t *revision, struct err *err)
{
    auto_free char *path = fs_join(root, ".revision");
    auto_free char *text = json_dumps(revision, JSON_COMPACT);

    return fs_write(path, text, strlen(text), 0600, err);
}
