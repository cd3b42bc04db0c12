/* An open bare repository (libgit2), for one call; inside lib/git. */
#ifndef GIT_REPOSITORY_H
#define GIT_REPOSITORY_H

#include <git2.h>

#include "git/git.h"

/* `path` NULL: the repository of the environment. ERR_NOT_FOUND when there is none. */
int git_open(const char *path, git_repository **repository, struct err *err);

/* What libgit2 says after `doing`; GIT_ENOTFOUND and the like become their class. Returns -1. */
int git_failure(struct err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

int git_parse_sha(const char *sha, git_oid *id, struct err *err);

/* The commit (the caller's to free, also after a failure) and the tree of a folder of it. */
int git_find_folder(git_repository *repository, const char *sha, const char *folder,
                    git_commit **commit, git_oid *tree, struct err *err);

/* Waits for the lock of the repository's folder, which whoever runs a git that writes there holds;
 * `deadline_ms` is monotonic. */
int git_lock(const char *repository, int64_t deadline_ms, int *fd, struct err *err);

static inline void git_commit_freep(git_commit **commit)
{
    git_commit_free(*commit);
}
static inline void git_tree_freep(git_tree **tree)
{
    git_tree_free(*tree);
}
static inline void git_blob_freep(git_blob **blob)
{
    git_blob_free(*blob);
}
static inline void git_odb_freep(git_odb **odb)
{
    git_odb_free(*odb);
}
static inline void git_reference_freep(git_reference **reference)
{
    git_reference_free(*reference);
}
static inline void git_repository_freep(git_repository **repository)
{
    git_repository_free(*repository);
}
#define auto_git_commit __attribute__((__cleanup__(git_commit_freep))) git_commit
#define auto_git_tree __attribute__((__cleanup__(git_tree_freep))) git_tree
#define auto_git_blob __attribute__((__cleanup__(git_blob_freep))) git_blob
#define auto_git_odb __attribute__((__cleanup__(git_odb_freep))) git_odb
#define auto_git_reference __attribute__((__cleanup__(git_reference_freep))) git_reference
#define auto_git_repository __attribute__((__cleanup__(git_repository_freep))) git_repository

#endif
