/* git: what a remote's refs point to, and bare mirrors in which commits and trees are read.
 *
 * Asking for refs speaks protocol v2 with ref-prefix over libcurl (one warm connection per client;
 * DESIGN section 8); fetching is the `git` program (argv, no hooks, no configuration from the
 * repository, only the protocols http, https, ssh); reading is libgit2. Blocking, for worker
 * threads. Everything that comes from a repository is hostile. */
#ifndef GIT_GIT_H
#define GIT_GIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { GIT_SHA_LEN = 40 };

/* Lets addresses be file:///…; off, so that nobody reads this machine's files through a repository.
 * For tests, before other threads. */
extern bool git_allow_file;

struct git_credentials { /* both NULL: none */
    const char *user, *password;
};

struct git_ref {
    char *name; /* as it was asked for, or the full name */
    char sha[GIT_SHA_LEN +
             1]; /* of the commit: annotated tags are peeled; "" when the remote has no such ref */
};
struct git_refs {
    struct git_ref *items;
    size_t count;
};
void git_refs_done(struct git_refs *refs);

/* What `names` ("main", "v1.0", "refs/pull/7/head", "HEAD") point to now; an answer for each, in
 * order. A short name means refs/heads/NAME, else refs/tags/NAME. ERR_UNAVAILABLE, ERR_DENIED
 * (credentials), ERR_NOT_FOUND (no such repository), ERR_TIMEOUT. */
int git_remote_refs(const char *url, const struct git_credentials *credentials,
                    const char *const *names, size_t count, int64_t timeout_ms,
                    struct git_refs *refs, struct err *err);

/* Makes a bare repository at `path` if there is none. With info/attributes that switch off
 * export-ignore, export-subst and filters for git_archive. */
int git_init(const char *path, struct err *err);

/* The same for a repository that people push to: smart HTTP, hooks from `hooks_dir` (programs
 * pre-receive and proc-receive; every branch goes by proc-receive), pushed objects checked and
 * bounded, HEAD at main. Also brings an existing one up to date. */
int git_init_hosted(const char *path, const char *hooks_dir, struct err *err);

/* Packs what is loose and removes what nothing keeps and is older than an hour. Nothing else does:
 * git's own housekeeping is off. */
int git_collect_garbage(const char *repository, int64_t timeout_ms, struct err *err);

/* Fetches one commit shallowly into the mirror and keeps it: refs/evenkeel/SHA. Nothing to do when
 * it is there whole. `ref` is what resolved to it (full name), used when the server does not hand
 * out bare commits. */
int git_fetch(const char *mirror, const char *url, const struct git_credentials *credentials,
              const char *ref, const char *sha, int64_t timeout_ms, struct err *err);

/* Keeps / no longer keeps a commit from being pruned. */
int git_keep(const char *repository, const char *sha, struct err *err);
int git_unkeep(const char *repository, const char *sha, struct err *err);

struct git_commit_info {
    char *author, *message; /* valid UTF-8; the message cut at 4 KiB */
    int64_t authored_ms;
};
int git_read_commit(const char *repository, const char *sha, struct git_commit_info *commit,
                    struct err *err);
void git_commit_info_done(struct git_commit_info *commit);

/* The tree id of a folder ("." or "web/app") of a commit: hex. ERR_NOT_FOUND names the folder. */
int git_read_tree_id(const char *repository, const char *sha, const char *folder,
                     char tree[GIT_SHA_LEN + 1], struct err *err);

/* A file of a commit. ERR_NOT_FOUND; ERR_EXHAUSTED above size_max; a link is ERR_INVALID.
 * `repository` NULL is that of the environment (GIT_DIR and GIT_OBJECT_DIRECTORY), as a git hook
 * has it. NUL-terminated; `len` may be NULL. */
int git_read_file(const char *repository, const char *sha, const char *path, size_t size_max,
                  char **data, size_t *len, struct err *err);

/* The folder of a commit as a tar stream, entries relative to the folder. `write` may refuse
 * (non-zero, err). */
int git_archive(const char *repository, const char *sha, const char *folder,
                int (*write)(void *arg, const void *data, size_t len, struct err *err), void *arg,
                int64_t timeout_ms, struct err *err);

/* A local ref (hosted repositories). ERR_NOT_FOUND. Setting is atomic; `sha` "" deletes. */
int git_local_ref(const char *repository, const char *name, char sha[GIT_SHA_LEN + 1],
                  struct err *err);
int git_set_ref(const char *repository, const char *name, const char *sha, struct err *err);

/* Once per process, before other threads. */
void git_setup(void);

#endif
