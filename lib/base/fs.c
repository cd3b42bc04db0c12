#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

int fs_write_all(int fd, const void *data, size_t len, struct err *err)
{
    for (const char *p = data; len;) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "writing");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int sync_dir_of(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    auto_free char *dir = !slash          ? xstrdup(".")
                          : slash == path ? xstrdup("/")
                                          : xstrndup(path, (size_t)(slash - path));
    auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd))
        return err_errno(err, errno, "syncing %s", dir);
    return 0;
}

int fs_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    auto_free char *beside = xasprintf("%s.XXXXXX", path);
    auto_fd int fd = mkostemp(beside, O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "writing %s", path);
    if (fs_write_all(fd, data, len, err)) {
        unlink(beside);
        return err_prefix(err, "%s", path);
    }
    if (fchmod(fd, mode) || fsync(fd) || rename(beside, path)) {
        err_errno(err, errno, "writing %s", path);
        unlink(beside);
        return -1;
    }
    return sync_dir_of(path, err);
}

int fs_read(const char *path, size_t size_max, char **data, size_t *len, struct err *err)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_free char *buffer = NULL;
    size_t used = 0, room = 0;

    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    for (;;) {
        if (used == room) {
            room = room ? room * 2 : 4096;
            buffer = xreallocarray(take(&buffer), room + 1, 1);
        }
        ssize_t n = read(fd, buffer + used, room - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "reading %s", path);
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > size_max)
            return err_set(err, ERR_EXHAUSTED, "reading %s: larger than %zu bytes", path, size_max);
    }
    buffer[used] = '\0';
    *data = take(&buffer);
    if (len)
        *len = used;
    return 0;
}

int fs_make_dirs(const char *path, mode_t mode, struct err *err)
{
    auto_free char *copy = xstrdup(path);
    struct stat st;

    for (char *p = copy; *p; p++) {
        if (*p != '/' || p == copy)
            continue;
        *p = '\0';
        if (mkdir(copy, mode) && errno != EEXIST)
            return err_errno(err, errno, "making the folder %s", copy);
        *p = '/';
    }
    if (mkdir(copy, mode) == 0)
        return 0;
    if (errno == EEXIST && stat(copy, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(err, ERR_EXISTS, "making the folder %s: it is a file", copy);
    return errno == EEXIST ? 0 : err_errno(err, errno, "making the folder %s", copy);
}

int fs_remove_tree(const char *path, struct err *err)
{
    auto_free char *root = xstrdup(path);
    char *const roots[] = { root, NULL };

    if (!fs_exists(path))
        return 0;
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    if (!fts)
        return err_errno(err, errno, "removing %s", path);
    int rc = 0;
    for (FTSENT *e; rc == 0 && (e = fts_read(fts));) {
        if (e->fts_info == FTS_D)
            chmod(e->fts_accpath, 0700); /* what is inside must be removable */
        else if (remove(e->fts_accpath) && errno != ENOENT)
            rc = err_errno(err, errno, "removing %s", e->fts_path);
    }
    fts_close(fts);
    return rc;
}

int fs_open_beneath(int dirfd, const char *path, int flags, struct err *err)
{
    const struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);

    if (fd < 0 && (errno == EXDEV || errno == ELOOP))
        return err_set(err, ERR_INVALID, "%s leads outside its folder", path);
    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    return fd;
}

bool fs_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

char *fs_join(const char *dir, const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

int fs_lock(const char *path, int *fd, struct err *err)
{
    auto_fd int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (opened < 0)
        return err_errno(err, errno, "opening %s", path);
    if (flock(opened, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK
                   ? err_set(err, ERR_CONFLICT, "%s is held by another process", path)
                   : err_errno(err, errno, "locking %s", path);
    *fd = take_fd(&opened);
    return 0;
}
