/* Fetching commits into a mirror with the git program.
 *
 * refs/evenkeel/SHA is the sign that a commit is there whole: git sets nothing before it has
 * checked that all that the commit needs has come, and here the ref is set last. What a fetch that
 * was killed leaves behind (lock files, halves of packs) is removed by the next one, which holds
 * the lock of the mirror.
 *
 * Three ways, in this order: the bare commit, shallowly; the ref that resolved to it, shallowly
 * (servers that do not hand out bare commits); the ref with its history (servers of plain files
 * cannot do less). */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "git/listing.h"
#include "git/repository.h"
#include "git/run.h"

enum { OUTPUT_MAX = 64 * 1024 };
static const int64_t pack_size_max = (int64_t)2 << 30;

struct fetch {
    const char *mirror, *url, *ref, *sha;
    const struct git_credentials *credentials;
    int64_t deadline_ms, timeout_ms;
};

/* Only the lock's holder writes here, but a git whose parent was killed may live on for as long as
 * its time limit: younger files stay. */
static void remove_if_old(int dirfd, const char *name, int64_t age_s)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        time(NULL) - st.st_mtime >= age_s)
        unlinkat(dirfd, name, 0);
}

static void remove_leftovers(const char *mirror, int64_t age_s)
{
    auto_free char *packs = fs_join(mirror, "objects/pack");
    auto_fd int root = open(mirror, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = opendir(packs);

    if (root >= 0)
        remove_if_old(root, "shallow.lock", age_s);
    for (const struct dirent *entry; dir && (entry = readdir(dir));)
        if (text_starts(entry->d_name, "tmp_"))
            remove_if_old(dirfd(dir), entry->d_name, age_s);
    if (dir)
        closedir(dir);
}

static bool is_kept(const char *repository, const char *sha)
{
    auto_free char *name = xasprintf("refs/evenkeel/%s", sha);
    char found[GIT_SHA_LEN + 1];
    struct err ignored = { 0 };

    return git_local_ref(repository, name, found, &ignored) == 0;
}

static int fetch_once(const struct fetch *f, const char *what, bool is_shallow, struct err *err)
{
    const char *shallow[] = { "fetch",
                              "--quiet",
                              "--no-tags",
                              "--no-recurse-submodules",
                              "--no-write-fetch-head",
                              "--no-auto-maintenance",
                              "--depth=1",
                              "--",
                              f->url,
                              what,
                              NULL };
    const char *whole[] = { "fetch",
                            "--quiet",
                            "--no-tags",
                            "--no-recurse-submodules",
                            "--no-write-fetch-head",
                            "--no-auto-maintenance",
                            "--",
                            f->url,
                            what,
                            NULL };
    int64_t left_ms = f->deadline_ms - clock_mono_ms(clock_system());
    const struct git_run run = { .args = is_shallow ? shallow : whole,
                                 .repository = f->mirror,
                                 .credentials = f->credentials,
                                 .timeout_ms = left_ms > 1 ? left_ms : 1,
                                 .output_max = OUTPUT_MAX,
                                 .file_size_max = pack_size_max };

    return git_run(&run, NULL, NULL, err);
}

/* Did what came include the commit? The branch may have moved meanwhile. */
static int check_arrived(const struct fetch *f, struct err *err)
{
    auto_git_repository *repo = NULL;
    auto_git_commit *commit = NULL;
    git_oid id;

    if (git_open(f->mirror, &repo, err) || git_parse_sha(f->sha, &id, err))
        return -1;
    if (git_commit_lookup(&commit, repo, &id))
        return err_set(err, ERR_NOT_FOUND, "%s is not at commit %.12s any more", f->ref, f->sha);
    return 0;
}

/* Another way may help where the remote refused this one; not where it is away, denies, or is too
 * slow or too big. */
static bool is_final(const struct err *err)
{
    return err->class == ERR_DENIED || err->class == ERR_TIMEOUT || err->class == ERR_STOPPED ||
           err->class == ERR_EXHAUSTED || err->class == ERR_INVALID;
}

static int fetch_somehow(const struct fetch *f, struct err *err)
{
    const struct {
        const char *what;
        bool is_shallow;
    } ways[] = { { f->sha, true }, { f->ref, true }, { f->ref, false } };
    struct err failed = { 0 };

    for (size_t i = 0; i < countof(ways); i++) {
        failed = (struct err){ 0 };
        if (fetch_once(f, ways[i].what, ways[i].is_shallow, &failed) == 0 &&
            check_arrived(f, &failed) == 0)
            return 0;
        if (is_final(&failed))
            break;
    }
    *err = failed;
    return -1;
}

static int fetch_locked(const struct fetch *f, struct err *err)
{
    if (is_kept(f->mirror, f->sha))
        return 0;
    remove_leftovers(f->mirror, f->timeout_ms / 1000 + 60);
    if (fetch_somehow(f, err)) {
        if (err->class == ERR_TIMEOUT || err->class == ERR_STOPPED)
            remove_leftovers(f->mirror, 0); /* they are of the git that was killed just now */
        return -1;
    }
    return git_keep(f->mirror, f->sha, err);
}

int git_fetch(const char *mirror, const char *url, const struct git_credentials *credentials,
              const char *ref, const char *sha, int64_t timeout_ms, struct err *err)
{
    const struct fetch f = { .mirror = mirror,
                             .url = url,
                             .ref = ref,
                             .sha = sha,
                             .credentials = credentials,
                             .deadline_ms = clock_mono_ms(clock_system()) + timeout_ms,
                             .timeout_ms = timeout_ms };
    auto_fd int lock = -1;
    enum git_scheme scheme;
    git_oid id;

    if (git_check_url(url, &scheme, err) || git_parse_sha(sha, &id, err))
        return -1;
    if (!git_name_is_ref(ref))
        return err_set(err, ERR_INVALID, "\"%.100s\" cannot be the name of a ref", ref);
    if (git_lock(mirror, f.deadline_ms, &lock, err) || fetch_locked(&f, err))
        return err_prefix(err, "fetching %.12s from %.200s", sha, url);
    return 0;
}

int git_collect_garbage(const char *repository, int64_t timeout_ms, struct err *err)
{
    static const char *const args[] = { "gc", "--quiet", "--prune=1.hour.ago", NULL };
    const struct git_run run = {
        .args = args, .repository = repository, .timeout_ms = timeout_ms, .output_max = OUTPUT_MAX
    };
    auto_fd int lock = -1;

    if (git_lock(repository, clock_mono_ms(clock_system()) + timeout_ms, &lock, err) ||
        git_run(&run, NULL, NULL, err))
        return err_prefix(err, "packing %s", repository);
    return 0;
}
