#include "builder/site.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

enum { PIECE = 64 * 1024 };

struct packer {
    struct archive *out;
    int fd;
    struct sha256 *sha;
    struct err err; /* why write_bytes refused */
    struct site_archive site;
    bool is_found;
    char *piece;
};

void site_archive_done(struct site_archive *site)
{
    free(take(&site->sha256));
}

static la_ssize_t write_bytes(struct archive *archive, void *arg, const void *data, size_t len)
{
    struct packer *p = arg;

    if (fs_write_all(p->fd, data, len, &p->err) < 0) {
        archive_set_error(archive, EIO, "%s", p->err.text);
        return -1;
    }
    sha256_add(p->sha, data, len);
    p->site.size += (int64_t)len;
    return (la_ssize_t)len;
}

static int fail(const struct packer *p, struct err *err)
{
    if (p->err.class) {
        *err = p->err;
        return err_prefix(err, "writing the site archive");
    }
    return err_set(err, ERR_INVALID, "writing the site archive: %s",
                   archive_error_string(p->out) ? archive_error_string(p->out) : "damaged");
}

/* The name below the folder, "" for the folder itself, NULL when it lies elsewhere. */
static const char *name_below(const char *name, const char *folder)
{
    if (!*folder)
        return name;
    if (!text_starts(name, folder))
        return NULL;
    const char *rest = name + strlen(folder);
    return *rest == '/' ? rest + 1 : *rest ? NULL : rest;
}

static int put_header(struct packer *p, const char *name, const struct tree_entry *from,
                      struct err *err)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_copy_pathname(entry, name);
    archive_entry_set_filetype(entry, from->kind == TREE_FILE ? AE_IFREG : AE_IFDIR);
    archive_entry_set_perm(entry, from->kind == TREE_FILE ? 0644 : 0755);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_size(entry, from->kind == TREE_FILE ? from->size : 0);
    int rc = archive_write_header(p->out, entry);
    archive_entry_free(entry);
    return rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? 0 : fail(p, err);
}

static int put_file(struct packer *p, struct tree *tree, struct err *err)
{
    int64_t n;

    p->site.files++;
    while ((n = tree_read(tree, p->piece, PIECE, err)) > 0)
        if (archive_write_data(p->out, p->piece, (size_t)n) != n)
            return fail(p, err);
    return (int)n;
}

static int put_entry(struct packer *p, struct tree *tree, const struct tree_entry *entry,
                     const char *folder, struct err *err)
{
    const char *name = name_below(entry->name, folder);

    if (!name)
        return 0;
    if (!*name && entry->kind != TREE_FOLDER)
        return err_set(err, ERR_NOT_FOUND, "it is not a folder");
    p->is_found = true;
    if (entry->kind == TREE_LINK)
        p->site.left_out++;
    if (!*name || entry->kind == TREE_LINK)
        return 0;
    if (put_header(p, name, entry, err) < 0)
        return -1;
    return entry->kind == TREE_FILE ? put_file(p, tree, err) : 0;
}

static int pack(struct packer *p, struct tree *tree, const char *folder, struct err *err)
{
    struct tree_entry entry;
    int rc;

    while ((rc = tree_next(tree, &entry, err)) == 1)
        if (put_entry(p, tree, &entry, folder, err) < 0)
            return -1;
    if (rc < 0)
        return -1;
    if (!p->is_found && *folder)
        return err_set(err, ERR_NOT_FOUND, "there is no such folder");
    if (archive_write_close(p->out) != ARCHIVE_OK)
        return fail(p, err);
    p->site.left_out += tree_left_out(tree);
    return 0;
}

static struct archive *open_writer(struct packer *p)
{
    struct archive *out = archive_write_new();

    if (!out)
        abort();
    archive_write_set_format_pax_restricted(out);
    archive_write_add_filter_gzip(out);
    archive_write_set_filter_option(out, "gzip", "timestamp", NULL); /* none: the same bytes */
    archive_write_set_bytes_per_block(out, 0);
    archive_write_open(out, p, NULL, write_bytes, NULL);
    return out;
}

int site_pack(int tar, const char *folder, const char *path, const struct tree_limits *limits,
              struct site_archive *site, struct err *err)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    auto_free char *piece = xcalloc(PIECE, 1);

    if (fd < 0)
        return err_errno(err, errno, "creating %s", path);
    auto_tree *tree = tree_open(tar, limits);
    auto_sha256 *sha = sha256_new();
    struct packer p = { .fd = fd, .sha = sha, .piece = piece };
    p.out = open_writer(&p);
    int rc = pack(&p, tree, folder, err);
    archive_write_free(p.out);
    if (rc < 0)
        return -1;
    *site = p.site;
    site->sha256 = sha256_end(sha);
    return 0;
}
