/* Reading commits, trees and files. Sizes are asked for before an object is loaded: a commit
 * message or a folder may be made to be a gigabyte. A path is walked name by name through the
 * trees, so nothing in it can lead outside. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "git/repository.h"

enum {
    COMMIT_MAX = 1 << 20,
    TREE_MAX = 16 << 20,
    MESSAGE_MAX = 4096,
    AUTHOR_MAX = 512,
    PATH_MAX_LEN = 4096
};

static int check_size(git_repository *repo, const git_oid *id, git_object_t type, size_t size_max,
                      struct err *err)
{
    auto_git_odb *odb = NULL;
    git_object_t found;
    size_t size;
    int rc = git_repository_odb(&odb, repo);

    if (rc == 0)
        rc = git_odb_read_header(&size, &found, odb, id);
    if (rc)
        return git_failure(err, rc, "reading an object");
    if (found != type)
        return err_set(err, ERR_INVALID, "object %.12s is a %s, not a %s", git_oid_tostr_s(id),
                       git_object_type2string(found), git_object_type2string(type));
    if (size > size_max)
        return err_set(err, ERR_EXHAUSTED, "the %s has %zu bytes, %zu are allowed",
                       git_object_type2string(type), size, size_max);
    return 0;
}

static int load_commit(git_repository *repo, const char *sha, git_commit **commit, struct err *err)
{
    git_oid id;

    if (git_parse_sha(sha, &id, err) || check_size(repo, &id, GIT_OBJECT_COMMIT, COMMIT_MAX, err))
        return err_prefix(err, "commit %.12s", sha);
    int rc = git_commit_lookup(commit, repo, &id);
    return rc ? git_failure(err, rc, "reading commit %.12s", sha) : 0;
}

static int load_tree(git_repository *repo, const git_oid *id, git_tree **tree, struct err *err)
{
    if (check_size(repo, id, GIT_OBJECT_TREE, TREE_MAX, err))
        return -1;
    int rc = git_tree_lookup(tree, repo, id);
    return rc ? git_failure(err, rc, "reading a folder") : 0;
}

/* Cuts at `max` bytes, between characters. */
static char *cut_text(const char *text, size_t max)
{
    size_t len = strlen(text);

    if (len <= max)
        return text_utf8(text, len);
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return text_utf8(text, max);
}

int git_read_commit(const char *repository, const char *sha, struct git_commit_info *commit,
                    struct err *err)
{
    auto_git_repository *repo = NULL;
    auto_git_commit *loaded = NULL;

    if (git_open(repository, &repo, err) || load_commit(repo, sha, &loaded, err))
        return -1;
    const git_signature *author = git_commit_author(loaded);
    const char *message = git_commit_message(loaded);
    auto_free char *name = author ? cut_text(author->name, AUTHOR_MAX) : xstrdup("");
    auto_free char *email = author ? cut_text(author->email, AUTHOR_MAX) : xstrdup("");
    commit->author = email[0] ? xasprintf("%s <%s>", name, email) : xstrdup(name);
    commit->message = message ? cut_text(message, MESSAGE_MAX) : xstrdup("");
    commit->authored_ms = 0;
    if (author && author->when.time > -(INT64_C(1) << 40) && author->when.time < INT64_C(1) << 40)
        commit->authored_ms = author->when.time * 1000;
    return 0;
}

void git_commit_info_done(struct git_commit_info *commit)
{
    free(commit->author);
    free(commit->message);
    *commit = (struct git_commit_info){ 0 };
}

/* ---- paths ---- */

/* One step of a walk. */
struct place {
    git_oid id;
    git_filemode_t mode;
};

static int check_path(const char *path, struct err *err)
{
    if (path[0] == '/' || strlen(path) > PATH_MAX_LEN)
        return err_set(err, ERR_INVALID, "\"%.100s\" is not a path below the repository", path);
    return 0;
}

static int step_into(git_repository *repo, struct place *place, const char *name, const char *path,
                     struct err *err)
{
    auto_git_tree *tree = NULL;

    if (strcmp(name, "..") == 0)
        return err_set(err, ERR_INVALID, "\"%.100s\" leads outside the repository", path);
    if (place->mode == GIT_FILEMODE_LINK)
        return err_set(err, ERR_INVALID, "a part of %.200s is a link", path);
    if (place->mode != GIT_FILEMODE_TREE)
        return err_set(err, ERR_NOT_FOUND, "there is no %.200s in the commit", path);
    if (load_tree(repo, &place->id, &tree, err))
        return -1;
    const git_tree_entry *entry = git_tree_entry_byname(tree, name);
    if (!entry)
        return err_set(err, ERR_NOT_FOUND, "there is no %.200s in the commit", path);
    git_oid_cpy(&place->id, git_tree_entry_id(entry));
    place->mode = git_tree_entry_filemode(entry);
    return 0;
}

/* From the top of a commit to `path`; "." and empty parts stand for nothing. */
static int walk(git_repository *repo, const git_commit *commit, const char *path,
                struct place *place, struct err *err)
{
    auto_free char *copy = xstrdup(path);
    char *rest = copy;

    if (check_path(path, err))
        return -1;
    git_oid_cpy(&place->id, git_commit_tree_id(commit));
    place->mode = GIT_FILEMODE_TREE;
    for (char *name; (name = strsep(&rest, "/"));)
        if (name[0] && strcmp(name, ".") != 0 && step_into(repo, place, name, path, err))
            return -1;
    return 0;
}

int git_find_folder(git_repository *repo, const char *sha, const char *folder, git_commit **commit,
                    git_oid *tree, struct err *err)
{
    struct place place;

    if (load_commit(repo, sha, commit, err) || walk(repo, *commit, folder, &place, err))
        return -1;
    if (place.mode == GIT_FILEMODE_LINK)
        return err_set(err, ERR_INVALID, "%.200s is a link, not a folder", folder);
    if (place.mode == GIT_FILEMODE_COMMIT)
        return err_set(err, ERR_INVALID, "%.200s is a submodule", folder);
    if (place.mode != GIT_FILEMODE_TREE)
        return err_set(err, ERR_NOT_FOUND, "%.200s is a file, not a folder", folder);
    git_oid_cpy(tree, &place.id);
    return 0;
}

int git_read_tree_id(const char *repository, const char *sha, const char *folder,
                     char tree[GIT_SHA_LEN + 1], struct err *err)
{
    auto_git_repository *repo = NULL;
    auto_git_commit *commit = NULL;
    git_oid id;

    if (git_open(repository, &repo, err) || git_find_folder(repo, sha, folder, &commit, &id, err))
        return -1;
    git_oid_tostr(tree, GIT_SHA_LEN + 1, &id);
    return 0;
}

int git_read_file(const char *repository, const char *sha, const char *path, size_t size_max,
                  char **data, size_t *len, struct err *err)
{
    auto_git_repository *repo = NULL;
    auto_git_commit *commit = NULL;
    auto_git_blob *blob = NULL;
    struct place place;

    if (git_open(repository, &repo, err) || load_commit(repo, sha, &commit, err) ||
        walk(repo, commit, path, &place, err))
        return -1;
    if (place.mode != GIT_FILEMODE_BLOB && place.mode != GIT_FILEMODE_BLOB_EXECUTABLE)
        return err_set(err, ERR_INVALID, "%.200s is a %s, not a file", path,
                       place.mode == GIT_FILEMODE_LINK   ? "link"
                       : place.mode == GIT_FILEMODE_TREE ? "folder"
                                                         : "submodule");
    if (check_size(repo, &place.id, GIT_OBJECT_BLOB, size_max, err))
        return err_prefix(err, "%.200s", path);
    int rc = git_blob_lookup(&blob, repo, &place.id);
    if (rc)
        return git_failure(err, rc, "reading %.200s", path);
    size_t size = (size_t)git_blob_rawsize(blob);
    char *copy = xreallocarray(NULL, size + 1, 1);
    memcpy(copy, git_blob_rawcontent(blob), size);
    copy[size] = '\0';
    *data = copy;
    if (len)
        *len = size;
    return 0;
}
