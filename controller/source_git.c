#include "controller/source_git.h"

#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/files.h"

enum { ARCHIVE_MS = 600000, REFS_MS = 30000, TIDY_MS = 600000 };

/* Hosted repositories lie by id, so that a rename of an app or project never moves them. */
static char *path_of(void *self, const struct repository_row *r)
{
    const struct controller_config *config = self;
    return r->url ? files_mirror(config, r->id) : xasprintf("%s/%s.git", config->git_root, r->id);
}

static int refs(void *self, const struct repository_row *r, const char *const *names, size_t count,
                struct git_refs *refs, struct err *err)
{
    const struct git_credentials credentials = { r->user, r->password };
    (void)self;

    return git_remote_refs(r->url, &credentials, names, count, REFS_MS, refs, err);
}

static int fetch(void *self, const struct repository_row *r, const char *ref, const char *sha,
                 struct err *err)
{
    const struct controller_config *config = self;
    const struct git_credentials credentials = { r->user, r->password };
    auto_free char *path = path_of(self, r);

    if (!r->url)
        return git_keep(path, sha, err);
    if (git_init(path, err))
        return -1;
    return git_fetch(path, r->url, &credentials, ref, sha, config->fetch_timeout_ms, err);
}

static int read_commit(void *self, const struct repository_row *r, const char *sha,
                       struct git_commit_info *commit, struct err *err)
{
    auto_free char *path = path_of(self, r);
    return git_read_commit(path, sha, commit, err);
}

static int tree_id(void *self, const struct repository_row *r, const char *sha, const char *folder,
                   char tree[GIT_SHA_LEN + 1], struct err *err)
{
    auto_free char *path = path_of(self, r);
    return git_read_tree_id(path, sha, folder, tree, err);
}

static int read_file(void *self, const struct repository_row *r, const char *sha, const char *file,
                     size_t size_max, char **data, size_t *len, struct err *err)
{
    auto_free char *path = path_of(self, r);
    return git_read_file(path, sha, file, size_max, data, len, err);
}

static int archive(void *self, const struct repository_row *r, const char *sha, const char *folder,
                   int (*write)(void *arg, const void *data, size_t len, struct err *err),
                   void *arg, struct err *err)
{
    auto_free char *path = path_of(self, r);
    return git_archive(path, sha, folder, write, arg, ARCHIVE_MS, err);
}

static int host(void *self, const struct repository_row *r, const char *project, struct err *err)
{
    const struct controller_config *config = self;
    auto_free char *path = path_of(self, r);
    (void)project;

    return git_init_hosted(path, config->git_hooks, err);
}

static int publish(void *self, const struct repository_row *r, const char *branch, const char *sha,
                   struct err *err)
{
    auto_free char *path = path_of(self, r);
    auto_free char *name =
        text_starts(branch, "refs/") ? xstrdup(branch) : xasprintf("refs/heads/%s", branch);
    return git_set_ref(path, name, sha, err);
}

static int unkeep(void *self, const struct repository_row *r, const char *sha, struct err *err)
{
    auto_free char *path = path_of(self, r);
    return fs_exists(path) ? git_unkeep(path, sha, err) : 0;
}

static int tidy(void *self, const struct repository_row *r, struct err *err)
{
    auto_free char *path = path_of(self, r);
    return fs_exists(path) ? git_collect_garbage(path, TIDY_MS, err) : 0;
}

static int forget(void *self, const struct repository_row *r, struct err *err)
{
    auto_free char *path = path_of(self, r);
    return fs_remove_tree(path, err);
}

void source_git_init(struct source *source, const struct controller_config *config)
{
    *source = (struct source){ refs,
                               fetch,
                               read_commit,
                               tree_id,
                               read_file,
                               archive,
                               host,
                               publish,
                               unkeep,
                               tidy,
                               forget,
                               path_of,
                               (void *)(uintptr_t)config };
}
