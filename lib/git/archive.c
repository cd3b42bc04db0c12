/* A folder of a commit as a tar, written by `git archive`, which streams large files and so keeps
 * them out of our memory.
 *
 * Of a tree git archive dates the entries now; of a commit, with the commit's date. So that the
 * same commit gives the same bytes each time, a folder is archived through a commit of its own: the
 * folder's tree, with the author and the dates of the real one. It is an unreferenced object, the
 * same for each call, and goes with the next collection of garbage. */
#include <string.h>

#include "base/mem.h"
#include "git/repository.h"
#include "git/run.h"

static int make_commit(git_repository *repo, const git_commit *real, const git_oid *tree_id,
                       git_oid *id, struct err *err)
{
    auto_git_tree *tree = NULL;
    int rc = git_tree_lookup(&tree, repo, tree_id);

    if (rc == 0)
        rc = git_commit_create(id, repo, NULL, git_commit_author(real), git_commit_committer(real),
                               NULL, "folder", tree, 0, NULL);
    return rc ? git_failure(err, rc, "preparing the folder") : 0;
}

static int find(const char *repository, const char *sha, const char *folder, git_oid *id,
                struct err *err)
{
    auto_git_repository *repo = NULL;
    auto_git_commit *commit = NULL;
    git_oid tree;

    if (git_open(repository, &repo, err) || git_find_folder(repo, sha, folder, &commit, &tree, err))
        return -1;
    if (git_oid_equal(&tree, git_commit_tree_id(commit)))
        return git_oid_cpy(id, git_commit_id(commit));
    return make_commit(repo, commit, &tree, id, err);
}

int git_archive(const char *repository, const char *sha, const char *folder,
                int (*write)(void *arg, const void *data, size_t len, struct err *err), void *arg,
                int64_t timeout_ms, struct err *err)
{
    char id_text[GIT_SHA_LEN + 1];
    const char *args[] = { "archive", "--format=tar", "--", id_text, NULL };
    const struct git_run run = { .args = args,
                                 .repository = repository,
                                 .timeout_ms = timeout_ms,
                                 .on_output = write,
                                 .arg = arg };
    git_oid id;

    if (find(repository, sha, folder, &id, err))
        return -1;
    git_oid_tostr(id_text, sizeof id_text, &id);
    return git_run(&run, NULL, NULL, err)
               ? err_prefix(err, "archiving %.200s of %.12s", folder, sha)
               : 0;
}
