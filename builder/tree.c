#include "builder/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { BLOCK = 64 * 1024 };

struct tree {
    struct archive *archive;
    struct tree_limits limits;
    int fd;
    int64_t offset, size, entries, left_out;
    char *name;
    char block[BLOCK];
};

static la_ssize_t read_block(struct archive *archive, void *arg, const void **data)
{
    struct tree *tree = arg;
    ssize_t n;

    do
        n = pread(tree->fd, tree->block, sizeof tree->block, tree->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        archive_set_error(archive, errno, "reading");
    else
        tree->offset += n;
    *data = tree->block;
    return n;
}

struct tree *tree_open(int fd, const struct tree_limits *limits)
{
    struct tree *tree = xcalloc(1, sizeof *tree);

    tree->fd = fd;
    tree->limits = *limits;
    tree->archive = archive_read_new();
    if (!tree->archive)
        abort();
    archive_read_support_format_tar(tree->archive);
    archive_read_support_format_empty(tree->archive);
    archive_read_open(tree->archive, tree, NULL, read_block, NULL);
    return tree;
}

void tree_close(struct tree *tree)
{
    if (!tree)
        return;
    archive_read_free(tree->archive);
    free(tree->name);
    free(tree);
}

int64_t tree_left_out(const struct tree *tree)
{
    return tree->left_out;
}

char *tree_plain_path(const char *path)
{
    size_t len = strlen(path), n = 0;
    auto_free char *out = NULL;

    if (path[0] == '/' || len >= PATH_MAX)
        return NULL;
    out = xcalloc(len + 1, 1);
    while (*path) {
        size_t name = strcspn(path, "/");
        if (name == 2 && path[0] == '.' && path[1] == '.')
            return NULL;
        if (name && !(name == 1 && path[0] == '.')) {
            if (n)
                out[n++] = '/';
            memcpy(out + n, path, name);
            n += name;
        }
        path += name + (path[name] == '/');
    }
    return take(&out);
}

static int fail(struct tree *tree, struct err *err)
{
    const char *text = archive_error_string(tree->archive);
    return err_set(err, ERR_INVALID, "reading the archive: %s", text ? text : "it is damaged");
}

/* 1: a kind that is taken. */
static int read_kind(struct archive_entry *entry, struct tree_entry *out)
{
    if (archive_entry_hardlink(entry))
        return 0;
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        out->kind = TREE_FILE;
        out->size = archive_entry_size(entry);
        out->is_executable = (archive_entry_perm(entry) & 0111) != 0;
        return 1;
    case AE_IFDIR:
        out->kind = TREE_FOLDER;
        return 1;
    case AE_IFLNK:
        out->kind = TREE_LINK;
        out->target = archive_entry_symlink(entry);
        return out->target != NULL;
    default:
        return 0;
    }
}

static int count(struct tree *tree, const struct tree_entry *entry, struct err *err)
{
    if (++tree->entries > tree->limits.entries_max)
        return err_set(err, ERR_EXHAUSTED, "more than %lld files",
                       (long long)tree->limits.entries_max);
    if (entry->size < 0 || entry->size > tree->limits.size_max - tree->size)
        return err_set(err, ERR_EXHAUSTED, "more than %lld bytes",
                       (long long)tree->limits.size_max);
    tree->size += entry->size;
    return 0;
}

int tree_next(struct tree *tree, struct tree_entry *out, struct err *err)
{
    struct archive_entry *entry;
    int rc;

    while ((rc = archive_read_next_header(tree->archive, &entry)) != ARCHIVE_EOF) {
        struct tree_entry found = { 0 };
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
            return fail(tree, err);
        const char *name = archive_entry_pathname(entry);
        free(take(&tree->name));
        tree->name = name ? tree_plain_path(name) : NULL;
        if (!tree->name)
            return err_set(err, ERR_INVALID, "\"%.100s\" in the archive leads outside of it",
                           name ? name : "");
        bool is_taken = tree->name[0] && read_kind(entry, &found);
        if (count(tree, &found, err) < 0)
            return -1;
        if (is_taken) {
            *out = found;
            out->name = tree->name;
            return 1;
        }
        if (tree->name[0])
            tree->left_out++;
    }
    return 0;
}

int64_t tree_read(struct tree *tree, void *buffer, size_t size, struct err *err)
{
    la_ssize_t n = archive_read_data(tree->archive, buffer, size);
    return n < 0 ? fail(tree, err) : n;
}

int tree_read_all(struct tree *tree, size_t size_max, char **data, size_t *len, struct err *err)
{
    auto_free char *all = xcalloc(size_max + 2, 1);
    size_t n = 0;
    int64_t got;

    while ((got = tree_read(tree, all + n, size_max + 1 - n, err)) > 0)
        if ((n += (size_t)got) > size_max)
            return err_set(err, ERR_EXHAUSTED, "\"%s\" is bigger than %zu bytes", tree->name,
                           size_max);
    if (got < 0)
        return -1;
    all[n] = '\0';
    *data = take(&all);
    *len = n;
    return 0;
}
