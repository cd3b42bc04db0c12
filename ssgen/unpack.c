/* libarchive reads; the writing is done here, with descriptors only. Every path is taken apart and
 * walked from the folder's own descriptor one component at a time, never through a link, so an
 * entry cannot be written outside whatever links were unpacked before it. Files are made with
 * O_EXCL after removing what has the name (the last of two entries wins), so nothing is written
 * into a link or a hard link either.
 *
 * Links: a hard link joins two regular files of the archive. A symbolic link must be relative;
 * whether it stays inside can depend on other links, so the kernel is asked at the end, about each
 * of them (openat2 with RESOLVE_BENEATH). One that leads out makes the whole archive invalid.
 * Modes, owners, times, attributes of the archive are not used; devices, pipes and sockets make it
 * invalid. */
#include "ssgen/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/work.h"

enum { READ_BLOCK = 64 * 1024, LINK_TARGET_MAX = 1024 };

struct unpack {
    const struct unpack_limits *limits;
    struct archive *archive;
    int root;
    int64_t entries, bytes;
    bool is_over; /* a bound of ours was reached, not the disk's */
    char **links; /* paths of symbolic links, to be checked at the end */
    size_t link_count;
};

static void unpack_done(struct unpack *u)
{
    archive_read_free(u->archive);
    for (size_t i = 0; i < u->link_count; i++)
        free(u->links[i]);
    free(u->links);
    if (u->root >= 0)
        close(u->root);
}
#define auto_unpack __attribute__((__cleanup__(unpack_done))) struct unpack

static int over(struct unpack *u, int64_t max, const char *what, struct err *err)
{
    u->is_over = true;
    return err_set(err, ERR_EXHAUSTED, "the archive has more than %lld %s", (long long)max, what);
}

/* A path in its parts: "./a//b/" is a, b. None: the folder itself. */
struct path {
    char *copy, *parts[1024 + 1];
    size_t count;
};

static void path_done(struct path *path)
{
    free(path->copy);
}
#define auto_path __attribute__((__cleanup__(path_done))) struct path

static int split_path(struct unpack *u, const char *text, struct path *path, struct err *err)
{
    if (!text || text[0] == '/')
        return err_set(err, ERR_INVALID, "the path \"%.200s\" is absolute or missing",
                       text ? text : "");
    if ((int64_t)strlen(text) > u->limits->path_max)
        return over(u, u->limits->path_max, "bytes in a path", err);
    path->copy = xstrdup(text);
    for (char *rest = path->copy, *part; (part = strsep(&rest, "/"));) {
        if (part[0] == '\0' || strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0)
            return err_set(err, ERR_INVALID, "the path \"%.200s\" contains \"..\"", text);
        if ((int64_t)path->count > u->limits->depth_max || path->count == countof(path->parts))
            return over(u, u->limits->depth_max, "folders in a path", err);
        path->parts[path->count++] = part;
    }
    return 0;
}

/* The folder that holds the path's last part, made when missing. */
static int open_parent(const struct unpack *u, const struct path *path, size_t depth,
                       struct err *err)
{
    auto_fd int fd = fcntl(u->root, F_DUPFD_CLOEXEC, 0);

    for (size_t i = 0; fd >= 0 && i < depth; i++) {
        if (mkdirat(fd, path->parts[i], 0755) && errno != EEXIST)
            return err_errno(err, errno, "making the folder \"%.200s\"", path->parts[i]);
        int next = openat(fd, path->parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && (errno == ELOOP || errno == ENOTDIR))
            return err_set(err, ERR_INVALID, "\"%.200s\" is a link or a file, and used as a folder",
                           path->parts[i]);
        int saved = errno;
        close(fd);
        fd = next;
        errno = saved;
    }
    return fd < 0 ? err_errno(err, errno, "opening a folder") : take_fd(&fd);
}

/* Takes away a file or link that has the name; a folder stays, and is an error. */
static int clear_name(int parent, const char *name, struct err *err)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR || errno == EPERM)
        return err_set(err, ERR_INVALID, "\"%.200s\" is a folder and something else", name);
    return err_errno(err, errno, "replacing \"%.200s\"", name);
}

static int archive_err(const struct unpack *u, struct err *err)
{
    const char *why = archive_error_string(u->archive);
    return err_set(err, ERR_INVALID, "the archive is broken: %.200s",
                   why ? why : "no reason given");
}

static int copy_data(struct unpack *u, int fd, struct err *err)
{
    auto_free char *block = xcalloc(1, READ_BLOCK);

    for (;;) {
        la_ssize_t n = archive_read_data(u->archive, block, READ_BLOCK);
        if (n == 0)
            return 0;
        if (n < 0)
            return archive_err(u, err);
        u->bytes += n;
        if (u->bytes > u->limits->bytes_max)
            return over(u, u->limits->bytes_max, "bytes", err);
        if (work_stopping)
            return err_set(err, ERR_STOPPED, "stopping");
        if (fs_write_all(fd, block, (size_t)n, err))
            return -1;
    }
}

static int make_file(struct unpack *u, int parent, const char *name, struct err *err)
{
    auto_fd int fd =
        openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (fd < 0)
        return err_errno(err, errno, "making \"%.200s\"", name);
    return copy_data(u, fd, err);
}

static int make_hard_link(struct unpack *u, int parent, const char *name, const char *target,
                          struct err *err)
{
    auto_path path = { 0 };
    struct stat st;

    if (split_path(u, target, &path, err))
        return -1;
    if (path.count == 0)
        return err_set(err, ERR_INVALID, "\"%.200s\" is a hard link to a folder", name);
    const char *last = path.parts[path.count - 1];
    auto_fd int from = open_parent(u, &path, path.count - 1, err);
    if (from < 0)
        return -1;
    if (fstatat(from, last, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "\"%.200s\" is a hard link to no file of the archive",
                       name);
    if (linkat(from, last, parent, name, 0))
        return err_errno(err, errno, "linking \"%.200s\"", name);
    return 0;
}

static int make_link(struct unpack *u, int parent, const char *name, const char *whole,
                     const char *target, struct err *err)
{
    if (!target || target[0] == '/' || target[0] == '\0' || strlen(target) > LINK_TARGET_MAX)
        return err_set(err, ERR_INVALID, "the link \"%.200s\" leads to \"%.200s\"", whole,
                       target ? target : "");
    if (symlinkat(target, parent, name))
        return err_errno(err, errno, "linking \"%.200s\"", whole);
    u->links = xreallocarray(u->links, u->link_count + 1, sizeof *u->links);
    u->links[u->link_count++] = xstrdup(whole);
    return 0;
}

/* The locale does not matter to the UTF-8 forms; names that are not UTF-8 come as their bytes. */
static const char *or_bytes(const char *utf8, const char *bytes)
{
    return utf8 ? utf8 : bytes;
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry, struct err *err)
{
    const char *whole = or_bytes(archive_entry_pathname_utf8(entry), archive_entry_pathname(entry));
    const char *hard = or_bytes(archive_entry_hardlink_utf8(entry), archive_entry_hardlink(entry));
    auto_path path = { 0 };

    if (split_path(u, whole, &path, err))
        return -1;
    bool is_folder = !hard && archive_entry_filetype(entry) == AE_IFDIR;
    if (path.count == 0 && !is_folder)
        return err_set(err, ERR_INVALID, "the path \"%.200s\" names no file", whole);
    auto_fd int parent = open_parent(u, &path, is_folder ? path.count : path.count - 1, err);
    if (parent < 0 || is_folder)
        return parent < 0 ? -1 : 0;
    const char *name = path.parts[path.count - 1];
    if (hard && strcmp(hard, whole) == 0)
        return err_set(err, ERR_INVALID, "\"%.200s\" is a hard link to itself", whole);
    if (clear_name(parent, name, err))
        return -1;
    if (hard)
        return make_hard_link(u, parent, name, hard, err);
    if (archive_entry_filetype(entry) == AE_IFREG)
        return make_file(u, parent, name, err);
    if (archive_entry_filetype(entry) == AE_IFLNK)
        return make_link(u, parent, name, whole,
                         or_bytes(archive_entry_symlink_utf8(entry), archive_entry_symlink(entry)),
                         err);
    return err_set(err, ERR_INVALID, "\"%.200s\" is neither file, folder nor link", whole);
}

/* A link may have been replaced by a later entry, or lead to nothing; it may not lead out. */
static int check_links(const struct unpack *u, struct err *err)
{
    for (size_t i = 0; i < u->link_count; i++) {
        struct err why = { 0 };
        auto_fd int fd = fs_open_beneath(u->root, u->links[i], O_PATH, &why);
        if (fd < 0 && why.class == ERR_INVALID)
            return err_set(err, ERR_INVALID, "the link \"%.200s\" leads outside or in a circle",
                           u->links[i]);
        if (fd < 0 && why.class != ERR_NOT_FOUND) {
            *err = why;
            return -1;
        }
    }
    return 0;
}

static int unpack_entries(struct unpack *u, struct err *err)
{
    struct archive_entry *entry;

    for (;;) {
        int rc = archive_read_next_header(u->archive, &entry);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return archive_err(u, err);
        if (++u->entries > u->limits->entries_max)
            return over(u, u->limits->entries_max, "entries", err);
        if (work_stopping)
            return err_set(err, ERR_STOPPED, "stopping");
        if (unpack_entry(u, entry, err))
            return -1;
    }
    return check_links(u, err);
}

static int run(struct unpack *u, const char *archive, const char *folder, struct err *err)
{
    archive_read_support_filter_gzip(u->archive);
    archive_read_support_filter_none(u->archive);
    archive_read_support_format_tar(u->archive);
    archive_read_support_format_empty(u->archive); /* no entries: a site without files */
    if (mkdir(folder, 0755))
        return err_errno(err, errno, "making %s", folder);
    u->root = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (u->root < 0)
        return err_errno(err, errno, "opening %s", folder);
    if (archive_read_open_filename(u->archive, archive, READ_BLOCK) != ARCHIVE_OK)
        return archive_err(u, err);
    if (unpack_entries(u, err))
        return -1;
    if (fchmod(u->root, 0755) || syncfs(u->root)) /* one call for all the files */
        return err_errno(err, errno, "syncing %s", folder);
    return 0;
}

int unpack_archive(const char *archive, const char *folder, const struct unpack_limits *limits,
                   bool *is_disk_full, struct err *err)
{
    auto_unpack u = { .limits = limits, .archive = archive_read_new(), .root = -1 };

    struct err why = { 0 };

    *is_disk_full = false;
    if (run(&u, archive, folder, &why) == 0)
        return 0;
    *is_disk_full = why.class == ERR_EXHAUSTED && !u.is_over;
    *err = why;
    return -1;
}
