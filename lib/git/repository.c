/* Bare repositories of ours: how they are made, and their refs.
 *
 * A repository is written here file by file, HEAD last (a folder without HEAD is no repository
 * yet), so a crash in the middle leaves something that the next call completes. The layout is
 * gitrepository-layout(5). Its configuration is a file of ours: nothing else writes it, and it is
 * rewritten when it is not what this program would write.
 *
 * Lock files: git and libgit2 create NAME.lock beside what they change and leave it when killed.
 * One that is older than anything here may take is removed and the change tried again; else a crash
 * at the wrong moment would block a ref for ever. */
#include "git/repository.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"
#include "git/listing.h"
#include "git/run.h"

enum { CONFIG_MAX = 64 * 1024, LOCK_LOOK_MS = 50, REF_LOCK_STALE_S = 30 };

static const char keep_prefix[] = "refs/evenkeel/";

/* Bytes leave as they were committed: nothing left out, nothing filled in, no filter, no other line
 * ends, no other encoding. */
static const char attributes[] =
    "* -export-ignore -export-subst !filter -ident -text !eol !working-tree-encoding\n";

void git_setup(void)
{
    static const int levels[] = { GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                  GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL };

    if (git_libgit2_init() < 0)
        abort();
    for (size_t i = 0; i < countof(levels); i++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 1);
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION,
                     0); /* paths are named by this program, never discovered */
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)4 << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)64 << 20);
}

int git_failure(struct err *err, int code, const char *fmt, ...)
{
    static const struct {
        int code;
        enum err_class class;
    } classes[] = {
        { GIT_ENOTFOUND, ERR_NOT_FOUND },  { GIT_ELOCKED, ERR_UNAVAILABLE },
        { GIT_EINVALIDSPEC, ERR_INVALID }, { GIT_EEXISTS, ERR_CONFLICT },
        { GIT_EDIRECTORY, ERR_CONFLICT },
    };
    enum err_class class = ERR_INTERNAL;
    const git_error *last = git_error_last();
    auto_free char *doing = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&doing, fmt, args) < 0)
        abort();
    va_end(args);
    for (size_t i = 0; i < countof(classes); i++)
        if (classes[i].code == code)
            class = classes[i].class;
    auto_free char *said = last && last->message ? text_utf8(last->message, strlen(last->message))
                                                 : xstrdup("no reason given");
    return err_set(err, class, "%s: %.400s", doing, said);
}

int git_open(const char *path, git_repository **repository, struct err *err)
{
    int rc = path ? git_repository_open_bare(repository, path)
                  : git_repository_open_ext(repository, NULL,
                                            GIT_REPOSITORY_OPEN_FROM_ENV | GIT_REPOSITORY_OPEN_BARE,
                                            NULL);

    return rc ? git_failure(err, rc, "opening the repository %s",
                            path ? path : "of the environment")
              : 0;
}

int git_parse_sha(const char *sha, git_oid *id, struct err *err)
{
    return strlen(sha) == GIT_SHA_LEN && git_oid_fromstr(id, sha) == 0
               ? 0
               : err_set(err, ERR_INVALID, "\"%.60s\" is not the id of a commit", sha);
}

/* ---- making ---- */

static int write_if_changed(const char *path, const char *text, struct err *err)
{
    auto_free char *old = NULL;
    struct err ignored = { 0 };

    if (fs_read(path, CONFIG_MAX, &old, NULL, &ignored) == 0 && strcmp(old, text) == 0)
        return 0;
    return fs_write(path, text, strlen(text), 0644, err);
}

static int make(const char *path, const char *config, struct err *err)
{
    static const char *const folders[] = { "objects/info", "objects/pack", "refs/heads",
                                           "refs/tags", "info" };
    auto_free char *head = fs_join(path, "HEAD"), *config_file = fs_join(path, "config"),
                   *attribute_file = fs_join(path, "info/attributes");

    for (size_t i = 0; i < countof(folders); i++) {
        auto_free char *folder = fs_join(path, folders[i]);
        if (fs_make_dirs(folder, 0755, err))
            return -1;
    }
    if (write_if_changed(config_file, config, err) ||
        write_if_changed(attribute_file, attributes, err))
        return -1;
    return fs_exists(head) ? 0
                           : fs_write(head, "ref: refs/heads/main\n",
                                      strlen("ref: refs/heads/main\n"), 0644, err);
}

static const char core_config[] = "# Written by Evenkeel, and written again when changed.\n"
                                  "[core]\n"
                                  "\trepositoryformatversion = 0\n"
                                  "\tfilemode = true\n"
                                  "\tbare = true\n"
                                  "\tlogAllRefUpdates = false\n"
                                  "\tfsync = committed,reference\n"
                                  "\tbigFileThreshold = 1m\n"
                                  "[gc]\n"
                                  "\tauto = 0\n"
                                  "[pack]\n"
                                  "\tthreads = 1\n"
                                  "\twindowMemory = 64m\n";

int git_init(const char *path, struct err *err)
{
    auto_free char *config =
        xasprintf("%s\thooksPath = /dev/null\n[receive]\n\tautogc = false\n", "[core]\n");
    auto_free char *all = xasprintf("%s%s", core_config, config);

    return make(path, all, err) ? err_prefix(err, "making the repository %s", path) : 0;
}

/* refs/evenkeel is what keeps commits: neither shown nor to be pushed to. */
static const char hosted_config[] = "[http]\n"
                                    "\treceivepack = true\n"
                                    "\tgetanyfile = false\n"
                                    "[transfer]\n"
                                    "\thideRefs = refs/evenkeel\n"
                                    "[receive]\n"
                                    "\tprocReceiveRefs = refs/heads\n"
                                    "\tfsckObjects = true\n"
                                    "\tmaxInputSize = 512m\n"
                                    "\tautogc = false\n"
                                    "\tdenyDeleteCurrent = ignore\n";

int git_init_hosted(const char *path, const char *hooks_dir, struct err *err)
{
    if (strpbrk(hooks_dir, "\"\\\n"))
        return err_set(err, ERR_INVALID,
                       "the folder of hooks, \"%s\", holds a quote, a backslash or a line end",
                       hooks_dir);
    auto_free char *config =
        xasprintf("%s[core]\n\thooksPath = \"%s\"\n%s", core_config, hooks_dir, hosted_config);

    return make(path, config, err) ? err_prefix(err, "making the repository %s", path) : 0;
}

/* ---- locks ---- */

int git_lock(const char *repository, int64_t deadline_ms, int *fd, struct err *err)
{
    auto_free char *path = fs_join(repository, "evenkeel.lock");

    for (;;) {
        struct err failed = { 0 };
        if (fs_lock(path, fd, &failed) == 0)
            return 0;
        if (failed.class != ERR_CONFLICT) {
            *err = failed;
            return -1;
        }
        if (clock_mono_ms(clock_system()) >= deadline_ms)
            return err_set(err, ERR_TIMEOUT, "another fetch into %s is still going on", repository);
        if (!work_sleep(LOCK_LOOK_MS))
            return err_set(err, ERR_STOPPED, "the program is stopping");
    }
}

/* Removes NAME.lock of a ref when whoever made it must be dead: setting a ref takes milliseconds.
 */
static bool remove_stale_lock(const char *repository, const char *name)
{
    auto_free char *path = xasprintf("%s/%s.lock", repository, name);
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           time(NULL) - st.st_mtime > REF_LOCK_STALE_S && unlink(path) == 0;
}

/* ---- refs ---- */

static int check_name(const char *name, struct err *err)
{
    if (!git_name_is_ref(name) || (!text_starts(name, "refs/") && strcmp(name, "HEAD") != 0))
        return err_set(err, ERR_INVALID, "\"%.100s\" is not the full name of a ref", name);
    return 0;
}

int git_local_ref(const char *repository, const char *name, char sha[GIT_SHA_LEN + 1],
                  struct err *err)
{
    auto_git_repository *repo = NULL;
    git_oid id;

    if (check_name(name, err) || git_open(repository, &repo, err))
        return -1;
    int rc = git_reference_name_to_id(&id, repo, name);
    if (rc)
        return git_failure(err, rc, "looking up %s", name);
    git_oid_tostr(sha, GIT_SHA_LEN + 1, &id);
    return 0;
}

static int change_ref(git_repository *repo, const char *name, const char *sha, struct err *err)
{
    auto_git_reference *made = NULL;
    git_oid id;
    int rc;

    if (sha[0] == '\0') {
        rc = git_reference_remove(repo, name);
        rc = rc == GIT_ENOTFOUND ? 0 : rc;
    } else {
        if (git_parse_sha(sha, &id, err))
            return -1;
        rc = git_reference_create(&made, repo, name, &id, 1, NULL);
    }
    return rc ? git_failure(err, rc, sha[0] ? "setting %s" : "deleting %s", name) : 0;
}

int git_set_ref(const char *repository, const char *name, const char *sha, struct err *err)
{
    auto_git_repository *repo = NULL;
    struct err failed = { 0 };

    if (check_name(name, err) || git_open(repository, &repo, err))
        return -1;
    if (change_ref(repo, name, sha, &failed) == 0)
        return 0;
    if (failed.class == ERR_UNAVAILABLE && remove_stale_lock(repository, name))
        return change_ref(repo, name, sha, err);
    *err = failed;
    return -1;
}

/* The ref's name says its value: whoever comes second finds it done. Two at once would meet at
 * libgit2's lock file, and one of them fail. */
int git_keep(const char *repository, const char *sha, struct err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    auto_free char *name = xasprintf("%s%.60s", keep_prefix, sha);
    char found[GIT_SHA_LEN + 1];
    struct err ignored = { 0 };

    pthread_mutex_lock(&lock);
    int rc = git_local_ref(repository, name, found, &ignored)
                 ? git_set_ref(repository, name, sha, err)
                 : 0;
    pthread_mutex_unlock(&lock);
    return rc;
}

int git_unkeep(const char *repository, const char *sha, struct err *err)
{
    auto_free char *name = xasprintf("%s%.60s", keep_prefix, sha);

    return git_set_ref(repository, name, "", err);
}
