/* Where commits come from: remotes on other hosts, mirrored here, and repositories hosted here. An
 * interface, so that the simulator can stand in for git. Worker threads; blocking, with time
 * limits. */
#ifndef CONTROLLER_SOURCE_H
#define CONTROLLER_SOURCE_H

#include <stdint.h>

#include "base/err.h"
#include "git/git.h"
#include "store/repositories.h"

struct source {
    /* What the names point to at the remote now. */
    int (*refs)(void *self, const struct repository_row *repository, const char *const *names,
                size_t count, struct git_refs *refs, struct err *err);
    /* Has the commit here, whole and kept, afterwards; nothing to do when it is. Hosted: it must be
     * here already. */
    int (*fetch)(void *self, const struct repository_row *repository, const char *ref,
                 const char *sha, struct err *err);
    int (*read_commit)(void *self, const struct repository_row *repository, const char *sha,
                       struct git_commit_info *commit, struct err *err);
    int (*tree_id)(void *self, const struct repository_row *repository, const char *sha,
                   const char *folder, char tree[GIT_SHA_LEN + 1], struct err *err);
    int (*read_file)(void *self, const struct repository_row *repository, const char *sha,
                     const char *path, size_t size_max, char **data, size_t *len, struct err *err);
    int (*archive)(void *self, const struct repository_row *repository, const char *sha,
                   const char *folder,
                   int (*write)(void *arg, const void *data, size_t len, struct err *err),
                   void *arg, struct err *err);
    /* Hosted only: makes the repository; moves a branch (sha "" deletes it). */
    int (*host)(void *self, const struct repository_row *repository, const char *project,
                struct err *err);
    int (*publish)(void *self, const struct repository_row *repository, const char *branch,
                   const char *sha, struct err *err);
    /* The commit need not be kept any longer; what nothing keeps goes with `tidy`, which also packs
     * what is left. */
    int (*unkeep)(void *self, const struct repository_row *repository, const char *sha,
                  struct err *err);
    int (*tidy)(void *self, const struct repository_row *repository, struct err *err);
    /* Removes what is kept of a repository here. */
    int (*forget)(void *self, const struct repository_row *repository, struct err *err);
    /* The folder on this machine. */
    char *(*path)(void *self, const struct repository_row *repository);
    void *self;
};

#endif
