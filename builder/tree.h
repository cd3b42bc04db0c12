/* Reading a tar that somebody else made: names checked and made plain, kinds limited, counts and
 * sizes bounded. Under both builder/context.h and builder/site.h.
 *
 * Only regular files, folders and symbolic links come out. Devices, sockets and hard links are
 * passed over and counted. A name with "..", or an absolute one, is an error: nobody makes such a
 * tar by accident. One owner, one thread. */
#ifndef BUILDER_TREE_H
#define BUILDER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct tree_limits {
    int64_t size_max;    /* bytes of all files together */
    int64_t entries_max; /* files, folders and links */
};

enum tree_kind { TREE_FILE, TREE_FOLDER, TREE_LINK };

struct tree_entry {
    enum tree_kind kind;
    const char *name; /* relative, no "./", no trailing "/"; never empty; borrowed until the next */
    const char *target; /* of a link */
    int64_t size;       /* of a file */
    bool is_executable;
};

struct tree;

/* Reads the file from its start; `fd` stays the caller's, and its offset is not used. */
struct tree *tree_open(int fd, const struct tree_limits *limits);
void tree_close(struct tree *tree);

/* 1 and an entry, 0 at the end, -1: ERR_INVALID (damaged, a hostile name) or ERR_EXHAUSTED. */
int tree_next(struct tree *tree, struct tree_entry *entry, struct err *err);

/* The bytes of the entry; 0 at its end. */
int64_t tree_read(struct tree *tree, void *buffer, size_t size, struct err *err);

/* The whole entry, NUL-terminated; ERR_EXHAUSTED above `size_max`. */
int tree_read_all(struct tree *tree, size_t size_max, char **data, size_t *len, struct err *err);

int64_t tree_left_out(const struct tree *tree); /* entries of kinds that are passed over */

/* The path made plain, or NULL when it leads outside or is empty or over 4 KiB: "./a//b/" → "a/b",
 * "." → "". For names in specs as well. The caller's to free. */
char *tree_plain_path(const char *path);

static inline void tree_closep(struct tree **tree)
{
    tree_close(*tree);
}
#define auto_tree __attribute__((__cleanup__(tree_closep))) struct tree

#endif
