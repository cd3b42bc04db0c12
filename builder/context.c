#include "builder/context.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { DOCKERFILE_MAX = 1 << 20, IGNORE_FILE_MAX = 256 * 1024, PIECE = 64 * 1024 };

/* ---- looking ---- */

void context_facts_done(struct context_facts *facts)
{
    free(take(&facts->dockerfile));
    ignore_free(take(&facts->ignore));
}

/* A file of the source, as the first pass finds it. */
struct wanted {
    char *name;
    size_t size_max;
    char *text;
    size_t len;
};

static int keep_if_wanted(struct tree *tree, const struct tree_entry *entry, struct wanted *wanted,
                          struct err *err)
{
    if (!wanted->name || entry->kind != TREE_FILE || strcmp(entry->name, wanted->name) != 0)
        return 0;
    free(take(&wanted->text));
    return tree_read_all(tree, wanted->size_max, &wanted->text, &wanted->len, err);
}

static int look(struct tree *tree, struct wanted *wanted, size_t count, struct err *err)
{
    struct tree_entry entry;
    int rc;

    while ((rc = tree_next(tree, &entry, err)) == 1)
        for (size_t i = 0; i < count; i++)
            if (keep_if_wanted(tree, &entry, &wanted[i], err) < 0)
                return -1;
    return rc;
}

int context_look(int source, const struct tree_limits *limits, const char *dockerfile,
                 struct context_facts *facts, struct err *err)
{
    auto_tree *tree = tree_open(source, limits);
    /* "Dockerfile.dockerignore" beside the Dockerfile goes before the general one. */
    struct wanted wanted[] = {
        { dockerfile ? xstrdup(dockerfile) : NULL, DOCKERFILE_MAX, NULL, 0 },
        { dockerfile ? xasprintf("%s.dockerignore", dockerfile) : NULL, IGNORE_FILE_MAX, NULL, 0 },
        { xstrdup(".dockerignore"), IGNORE_FILE_MAX, NULL, 0 },
    };
    struct ignore *ignore = NULL;
    int rc = look(tree, wanted, countof(wanted), err);
    const struct wanted *rules = wanted[1].text ? &wanted[1] : &wanted[2];

    if (rc == 0 && rules->text)
        rc = ignore_parse(rules->text, rules->len, &ignore, err);
    if (rc == 0)
        *facts = (struct context_facts){ take(&wanted[0].text), wanted[0].len, ignore,
                                         tree_left_out(tree) };
    for (size_t i = 0; i < countof(wanted); i++) {
        free(wanted[i].name);
        free(wanted[i].text);
    }
    return rc;
}

/* ---- writing ---- */

struct context {
    struct context_options options;
    struct tree *tree;
    struct archive *out;
    char *buffer; /* what the archive writer gave and nobody has fetched */
    size_t start, end, size;
    bool is_in_file, is_begun, is_over;
};

/* libarchive's writer calls this; it keeps the bytes for context_read. */
static la_ssize_t keep_bytes(struct archive *archive, void *arg, const void *data, size_t len)
{
    struct context *c = arg;

    (void)archive;
    if (c->start == c->end)
        c->start = c->end = 0;
    if (c->end + len > c->size) {
        c->size = (c->end + len) * 2;
        c->buffer = xreallocarray(c->buffer, c->size, 1);
    }
    memcpy(c->buffer + c->end, data, len);
    c->end += len;
    return (la_ssize_t)len;
}

struct context *context_open(const struct context_options *options)
{
    struct context *c = xcalloc(1, sizeof *c);

    c->options = *options;
    c->tree = tree_open(options->source, &options->limits);
    c->out = archive_write_new();
    if (!c->out)
        abort();
    archive_write_set_format_pax_restricted(c->out);
    archive_write_set_bytes_per_block(c->out, 0);
    archive_write_open(c->out, c, NULL, keep_bytes, NULL);
    return c;
}

void context_close(struct context *c)
{
    if (!c)
        return;
    archive_write_free(c->out);
    tree_close(c->tree);
    free(c->buffer);
    free(c);
}

static int put_header(struct context *c, const char *name, const struct tree_entry *from,
                      struct err *err)
{
    static const unsigned types[] = { AE_IFREG, AE_IFDIR, AE_IFLNK };
    struct archive_entry *entry = archive_entry_new();
    bool is_plain = from->kind == TREE_FILE && !from->is_executable;

    archive_entry_copy_pathname(entry, name);
    archive_entry_set_filetype(entry, types[from->kind]);
    archive_entry_set_perm(entry, is_plain ? 0644 : 0755);
    archive_entry_set_mtime(entry, 0, 0);
    if (from->kind == TREE_LINK)
        archive_entry_copy_symlink(entry, from->target);
    else if (from->kind == TREE_FILE)
        archive_entry_set_size(entry, from->size);
    int rc = archive_write_header(c->out, entry);
    archive_entry_free(entry);
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
        return err_set(err, ERR_INVALID, "\"%.100s\" does not fit into a tar: %s", name,
                       archive_error_string(c->out));
    return 0;
}

static int put_data(struct context *c, const void *data, size_t len, struct err *err)
{
    if (archive_write_data(c->out, data, len) != (la_ssize_t)len)
        return err_set(err, ERR_INVALID, "writing the context: %s", archive_error_string(c->out));
    return 0;
}

static int put_added(struct context *c, struct err *err)
{
    struct tree_entry entry = { .kind = TREE_FILE, .size = (int64_t)c->options.add_len };

    if (!c->options.add_name)
        return 0;
    if (put_header(c, c->options.add_name, &entry, err) < 0)
        return -1;
    return put_data(c, c->options.add_text, c->options.add_len, err);
}

/* Must the build not see this one? Folders stay: a file in one may be taken back by `!`. */
static bool is_left_out(const struct context_options *o, const char *name,
                        const struct tree_entry *entry)
{
    if (o->add_name && strcmp(name, o->add_name) == 0)
        return true;
    if (o->keep && strcmp(entry->name, o->keep) == 0)
        return false;
    return entry->kind != TREE_FOLDER && ignore_matches(o->ignore, entry->name);
}

/* The next entry of the source, or the end. */
static int advance(struct context *c, struct err *err)
{
    struct tree_entry entry;
    int rc = tree_next(c->tree, &entry, err);

    if (rc < 0)
        return -1;
    if (rc == 0) {
        c->is_over = true;
        if (archive_write_close(c->out) != ARCHIVE_OK)
            return err_set(err, ERR_INTERNAL, "ending the context: %s",
                           archive_error_string(c->out));
        return 0;
    }
    auto_free char *name =
        c->options.folder ? xasprintf("%s/%s", c->options.folder, entry.name) : xstrdup(entry.name);
    if (is_left_out(&c->options, name, &entry))
        return 0;
    c->is_in_file = entry.kind == TREE_FILE;
    return put_header(c, name, &entry, err);
}

static int copy_piece(struct context *c, struct err *err)
{
    auto_free char *piece = xcalloc(PIECE, 1);
    int64_t n = tree_read(c->tree, piece, PIECE, err);

    if (n <= 0) {
        c->is_in_file = false;
        return (int)n;
    }
    return put_data(c, piece, (size_t)n, err);
}

static int produce(struct context *c, struct err *err)
{
    if (!c->is_begun) {
        c->is_begun = true;
        return put_added(c, err);
    }
    return c->is_in_file ? copy_piece(c, err) : advance(c, err);
}

int64_t context_read(void *arg, void *buffer, size_t size, struct err *err)
{
    struct context *c = arg;

    while (c->start == c->end && !c->is_over)
        if (produce(c, err) < 0)
            return -1;
    size_t n = c->end - c->start < size ? c->end - c->start : size;
    if (n)
        memcpy(buffer, c->buffer + c->start, n);
    c->start += n;
    return (int64_t)n;
}
