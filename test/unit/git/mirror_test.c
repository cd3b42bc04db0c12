/* Mirrors: fetching from real servers, keeping, refs, and what is left by a fetch that was killed.
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <utime.h>

#include "base/clock.h"

#define FETCH_MS 30000

static const char absent_sha[] = "0123456789012345678901234567890123456789";

static char *new_mirror(const struct fixture *f, const char *name)
{
    char *mirror = fs_join(f->dir, name);
    struct err err = { 0 };

    assert_int_equal(git_init(mirror, &err), 0);
    return mirror;
}

static void fetch(const char *mirror, const char *url, const char *password, const char *sha)
{
    const struct git_credentials credentials = { "ann", password };
    struct err err = { 0 };

    if (git_fetch(mirror, url, password ? &credentials : NULL, "refs/heads/main", sha, FETCH_MS,
                  &err))
        fail_msg("%s", err.text);
}

static void is_whole(const char *mirror, const char *sha)
{
    auto_free char *ref = xasprintf("refs/evenkeel/%s", sha);
    char kept[GIT_SHA_LEN + 1], tree[GIT_SHA_LEN + 1];
    struct err err = { 0 };

    assert_int_equal(git_local_ref(mirror, ref, kept, &err), 0);
    assert_string_equal(kept, sha);
    assert_int_equal(git_read_tree_id(mirror, sha, ".", tree, &err), 0);
    free(fixture_git(mirror, "rev-list", "--objects", sha, NULL));
}

static size_t count_commits(const char *mirror, const char *sha)
{
    auto_free char *count = fixture_git(mirror, "rev-list", "--count", sha, NULL);

    return strtoul(count, NULL, 10);
}

static void making_twice_is_making_once(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "twice.git"), *head = fs_join(mirror, "HEAD"),
                   *config = fs_join(mirror, "config");
    struct err err = { 0 };

    assert_int_equal(unlink(head), 0); /* as after a crash in the middle */
    assert_int_equal(unlink(config), 0);
    assert_int_equal(git_init(mirror, &err), 0);
    assert_int_equal(git_init(mirror, &err), 0);
    auto_free char *is_bare = fixture_git(mirror, "rev-parse", "--is-bare-repository", NULL);
    assert_string_equal(is_bare, "true");
    free(fixture_git(mirror, "fsck", "--strict", NULL));
}

static void a_commit_comes_alone(void **state)
{
    static const struct {
        const char *way;
        const char *password;
        size_t commits;
    } ways[] = {
        { "smart", NULL, 1 }, { "v0", NULL, 1 }, { "auth", "s3cret", 1 }, { "dumb", NULL, 2 }
    };
    const struct fixture *f = *state;
    auto_free char *sha = fixture_git(f->work, "rev-parse", "main", NULL);

    for (size_t i = 0; i < countof(ways); i++) {
        auto_free char *mirror = new_mirror(f, ways[i].way), *url = fixture_url(f, ways[i].way);
        fetch(mirror, url, ways[i].password, sha);
        is_whole(mirror, sha);
        assert_int_equal(count_commits(mirror, sha), ways[i].commits);
        fs_remove_tree(mirror, &(struct err){ 0 });
    }
}

static void what_is_there_is_not_asked_for(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "there.git"), *url = fixture_url(f, "smart"),
                   *away = fixture_url(f, "away");
    auto_free char *sha = fixture_git(f->work, "rev-parse", "main", NULL);

    fetch(mirror, url, NULL, sha);
    fetch(mirror, away, NULL, sha);
}

static void a_second_commit_joins_the_first(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "second.git"), *url = fixture_url(f, "smart");
    auto_free char *first = fixture_git(f->work, "rev-parse", "main", NULL);

    fetch(mirror, url, NULL, first);
    fixture_write(f, "file", "again\n");
    auto_free char *second = fixture_commit(f, "another");
    fetch(mirror, url, NULL, second);
    is_whole(mirror, first);
    is_whole(mirror, second);
}

/* The commit that was wanted was replaced on the branch. A server that hands out bare commits still
 * has it. */
static void a_commit_that_was_pushed_over(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "over.git"), *smart = fixture_url(f, "smart"),
                   *old = fixture_url(f, "v0");
    auto_free char *before = fixture_git(f->work, "rev-parse", "main", NULL);
    fixture_write(f, "file", "regretted\n");
    auto_free char *gone = fixture_commit(f, "regretted");
    struct err err = { 0 };

    free(fixture_git(f->work, "reset", "--hard", "--quiet", before, NULL));
    fixture_push(f);
    fetch(mirror, smart, NULL, gone);
    is_whole(mirror, gone);
    auto_free char *other = new_mirror(f, "over2.git");
    assert_int_equal(git_fetch(other, old, NULL, "refs/heads/main", gone, FETCH_MS, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "not at commit"));
}

static void failures_have_their_class(void **state)
{
    static const struct {
        const char *way, *ref;
        enum err_class class;
    } cases[] = {
        { "smart", "refs/heads/main", ERR_NOT_FOUND },
        { "smart", "refs/heads/absent", ERR_NOT_FOUND },
        { "auth", "refs/heads/main", ERR_DENIED },
        { "denied", "refs/heads/main", ERR_DENIED },
        { "away", "refs/heads/main", ERR_UNAVAILABLE },
        { "smart", "--upload-pack=x", ERR_INVALID },
    };
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "failures.git");

    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *url = fixture_url(f, cases[i].way);
        struct err err = { 0 };
        assert_int_equal(git_fetch(mirror, url, NULL, cases[i].ref, absent_sha, FETCH_MS, &err),
                         -1);
        if (err.class != cases[i].class)
            fail_msg("%s %s: %s: %s", cases[i].way, cases[i].ref, err_code(err.class), err.text);
    }
    struct err err = { 0 };
    assert_int_equal(
        git_fetch(mirror, "--upload-pack=x", NULL, "refs/heads/main", absent_sha, FETCH_MS, &err),
        -1);
    assert_int_equal(err.class, ERR_INVALID);
    assert_int_equal(
        git_fetch(mirror, "http://127.0.0.1:9/x", NULL, "refs/heads/main", "--all", FETCH_MS, &err),
        -1);
    assert_int_equal(err.class, ERR_INVALID);
}

static void a_silent_remote_is_given_up(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "hang.git"), *url = fixture_url(f, "hang");
    int64_t begun_ms = clock_mono_ms(clock_system());
    struct err err = { 0 };

    assert_int_equal(git_fetch(mirror, url, NULL, "refs/heads/main", absent_sha, 500, &err), -1);
    assert_int_equal(err.class, ERR_TIMEOUT);
    assert_true(clock_mono_ms(clock_system()) - begun_ms < 10000);
}

static void touch_old(const char *path, time_t age_s)
{
    struct utimbuf times = { time(NULL) - age_s, time(NULL) - age_s };
    struct err err = { 0 };

    assert_int_equal(fs_write(path, "", 0, 0644, &err), 0);
    assert_int_equal(utime(path, &times), 0);
}

static void leftovers_of_a_killed_fetch_do_not_block(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "killed.git"), *url = fixture_url(f, "smart");
    auto_free char *sha = fixture_git(f->work, "rev-parse", "main", NULL);
    auto_free char *shallow = fs_join(mirror, "shallow.lock"),
                   *pack = fs_join(mirror, "objects/pack/tmp_pack_x");
    auto_free char *young = fs_join(mirror, "objects/pack/tmp_pack_young"),
                   *kept = xasprintf("%s/refs/evenkeel/%s.lock", mirror, sha);
    auto_free char *folder = fs_join(mirror, "refs/evenkeel");
    struct err err = { 0 };

    assert_int_equal(fs_make_dirs(folder, 0755, &err), 0);
    touch_old(shallow, 1000);
    touch_old(pack, 1000);
    touch_old(kept, 1000);
    touch_old(young, 1);
    fetch(mirror, url, NULL, sha);
    is_whole(mirror, sha);
    assert_false(fs_exists(shallow));
    assert_false(fs_exists(pack));
    assert_true(fs_exists(young));
}

static void what_is_kept_survives_collection(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "garbage.git"), *url = fixture_url(f, "smart");
    auto_free char *sha = fixture_git(f->work, "rev-parse", "main", NULL);
    struct err err = { 0 };

    fetch(mirror, url, NULL, sha);
    assert_int_equal(git_collect_garbage(mirror, FETCH_MS, &err), 0);
    is_whole(mirror, sha);
    assert_int_equal(git_unkeep(mirror, sha, &err), 0);
    assert_int_equal(git_unkeep(mirror, sha, &err), 0); /* a second time changes nothing */
    free(fixture_git(mirror, "gc", "--quiet", "--prune=now", NULL));
    struct git_commit_info commit;
    assert_int_equal(git_read_commit(mirror, sha, &commit, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    fetch(mirror, url, NULL, sha);
    is_whole(mirror, sha);
}

static void refs_are_set_and_deleted(void **state)
{
    const struct fixture *f = *state;
    auto_free char *mirror = new_mirror(f, "refs.git"), *url = fixture_url(f, "smart");
    auto_free char *sha = fixture_git(f->work, "rev-parse", "main", NULL);
    auto_free char *lock = fs_join(mirror, "refs/heads/main.lock");
    char found[GIT_SHA_LEN + 1];
    struct err err = { 0 };

    fetch(mirror, url, NULL, sha);
    assert_int_equal(git_local_ref(mirror, "refs/heads/main", found, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_int_equal(git_set_ref(mirror, "refs/heads/main", absent_sha, &err), -1);
    assert_int_equal(git_set_ref(mirror, "refs/heads/main", sha, &err), 0);
    assert_int_equal(git_set_ref(mirror, "refs/heads/main/below", sha, &err), -1);
    assert_int_equal(git_set_ref(mirror, "main", sha, &err), -1);
    assert_int_equal(err.class, ERR_INVALID);
    assert_int_equal(git_set_ref(mirror, "refs/../HEAD", sha, &err), -1);
    assert_int_equal(err.class, ERR_INVALID);
    assert_int_equal(git_local_ref(mirror, "HEAD", found, &err), 0);
    assert_string_equal(found, sha);
    touch_old(lock, 5);
    assert_int_equal(git_set_ref(mirror, "refs/heads/main", "", &err),
                     -1); /* somebody may be at it */
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    touch_old(lock, 1000);
    assert_int_equal(git_set_ref(mirror, "refs/heads/main", "", &err), 0);
    assert_int_equal(git_set_ref(mirror, "refs/heads/main", "", &err), 0);
    assert_int_equal(git_local_ref(mirror, "refs/heads/main", found, &err), -1);
}

static int start(void **state)
{
    fixture_start(state);
    const struct fixture *f = *state;
    fixture_write(f, "file", "more\n");
    free(fixture_commit(f, "the second"));
    return 0;
}

struct keeper {
    const char *repository, *sha;
    pthread_barrier_t *start;
    struct err err;
};

static void *keep_at_once(void *arg)
{
    struct keeper *keeper = arg;

    pthread_barrier_wait(keeper->start);
    git_keep(keeper->repository, keeper->sha, &keeper->err);
    return NULL;
}

/* The fetcher and the registrar of two apps may want the same commit in the same moment. */
static void one_commit_is_kept_by_many_at_once(void **state)
{
    enum { ROUNDS = 100, KEEPERS = 4 };
    const struct fixture *f = *state;
    auto_free char *sha = fixture_git(f->bare, "rev-parse", "refs/heads/main", NULL);
    struct keeper keepers[KEEPERS];
    pthread_t threads[KEEPERS];
    pthread_barrier_t start;
    struct err err = { 0 };

    pthread_barrier_init(&start, NULL, KEEPERS);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < KEEPERS; i++) {
            keepers[i] = (struct keeper){ f->bare, sha, &start, { 0 } };
            assert_int_equal(pthread_create(&threads[i], NULL, keep_at_once, &keepers[i]), 0);
        }
        for (int i = 0; i < KEEPERS; i++) {
            pthread_join(threads[i], NULL);
            assert_string_equal(keepers[i].err.text, "");
        }
        assert_int_equal(git_unkeep(f->bare, sha, &err), 0);
    }
    pthread_barrier_destroy(&start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making_twice_is_making_once),
        cmocka_unit_test(a_commit_comes_alone),
        cmocka_unit_test(what_is_there_is_not_asked_for),
        cmocka_unit_test(a_second_commit_joins_the_first),
        cmocka_unit_test(a_commit_that_was_pushed_over),
        cmocka_unit_test(failures_have_their_class),
        cmocka_unit_test(a_silent_remote_is_given_up),
        cmocka_unit_test(leftovers_of_a_killed_fetch_do_not_block),
        cmocka_unit_test(what_is_kept_survives_collection),
        cmocka_unit_test(refs_are_set_and_deleted),
        cmocka_unit_test(one_commit_is_kept_by_many_at_once),
    };

    return cmocka_run_group_tests(tests, start, fixture_stop);
}
