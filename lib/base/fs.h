/* Files: whole reads with a bound, writes that are there whole or not at all, trees. Blocking; not
 * for the loop thread except for small files at start. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Written beside, fsynced, renamed, the folder fsynced: after a crash the old or the new content,
 * never half. */
int fs_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err);

/* The whole file, NUL-terminated (`len` may be NULL). ERR_NOT_FOUND; ERR_EXHAUSTED above
 * `size_max`. */
int fs_read(const char *path, size_t size_max, char **data, size_t *len, struct err *err);

/* mkdir -p. Folders that exist are left as they are. */
int fs_make_dirs(const char *path, mode_t mode, struct err *err);

/* rm -rf; does not follow links and does not leave the tree. Absent is fine. */
int fs_remove_tree(const char *path, struct err *err);

/* Opens `path` below the folder `dirfd`; nothing that leads outside (.., absolute, links out) opens
 * (openat2 RESOLVE_BENEATH, Linux 5.6). */
int fs_open_beneath(int dirfd, const char *path, int flags, struct err *err);

/* Writes all of it, whatever the chunks. */
int fs_write_all(int fd, const void *data, size_t len, struct err *err);

bool fs_exists(const char *path);

/* "a/b", in one allocation. */
char *fs_join(const char *dir, const char *name);

/* Locks a file for this process until it ends; ERR_CONFLICT when another holds it. The fd is the
 * caller's. */
int fs_lock(const char *path, int *fd, struct err *err);

#endif
