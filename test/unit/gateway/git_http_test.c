/* Pushes and clones by the real git, and what must not be possible. */
#include "world.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/work.h"
#include "http/client.h"

static const char shop[] = "/git/default/shop.git";

/* The push's exit code. */
static int push(const char *token, const char *refspec, char **said)
{
    auto_free char *url = world_url(token, shop);

    return fixture_try(world.f->work, said, "push", url, refspec, NULL);
}

static void hosted_ref_is(const char *ref, const char *expected)
{
    char sha[GIT_SHA_LEN + 1] = "";
    struct err err = { 0 };

    git_local_ref(world.hosted, ref, sha, &err);
    assert_string_equal(sha, expected);
}

static void says(const char *said, const char *expected)
{
    if (!strstr(said, expected))
        fail_msg("\"%s\" is not in: %s", expected, said);
}

static char *commit_file(const char *path, const char *text)
{
    fixture_write(world.f, path, text);
    free(fixture_git(world.f->work, "add", "--all", NULL));
    free(fixture_git(world.f->work, "commit", "--quiet", "-m", path, NULL));
    return fixture_git(world.f->work, "rev-parse", "HEAD", NULL);
}

static void a_push_is_shown_and_published(void **state)
{
    auto_free char *said = NULL, *sha = commit_file("a", "1"), *url = world_url("x:reader", shop),
                   *copy = fs_join(world.f->dir, "copy");

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/main", &said), 0);
    says(said, "remote: building  [31m3/7"); /* without the escape */
    says(said, "remote: live at http://shop.localhost");
    says(said, "[new branch]");
    assert_null(strstr(said, "link up")); /* its log is not the pusher's */
    hosted_ref_is("refs/heads/main", sha);
    free(fixture_git(world.f->dir, "clone", "--quiet", url, copy, NULL));
    auto_free char *got = fixture_git(copy, "rev-parse", "HEAD", NULL);
    assert_string_equal(got, sha);
}

static void a_second_and_a_forced_push(void **state)
{
    auto_free char *before = fixture_git(world.f->work, "rev-parse", "HEAD", NULL),
                   *sha = commit_file("a", "2"), *said = NULL, *forced = NULL;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/main", &said), 0);
    hosted_ref_is("refs/heads/main", sha);
    free(fixture_git(world.f->work, "reset", "--quiet", "--hard", before, NULL));
    assert_int_equal(push("x:good", "+HEAD:refs/heads/main", &forced), 0);
    says(forced, "forced update");
    hosted_ref_is("refs/heads/main", before);
}

static void a_rejected_push_says_why_and_moves_nothing(void **state)
{
    auto_free char *bad = NULL, *denied = NULL;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/bad", &bad), 1);
    says(bad, "[remote rejected] HEAD -> bad (build failed: exit code 1 see the log)");
    hosted_ref_is("refs/heads/bad", "");
    assert_int_equal(push("x:good", "HEAD:refs/heads/denied", &denied), 1);
    says(denied, "(this token may not deploy)");
}

static void branches_of_one_push_are_answered_each(void **state)
{
    auto_free char *url = world_url("x:good", shop), *said = NULL, *atomic = NULL,
                   *sha = fixture_git(world.f->work, "rev-parse", "HEAD", NULL);

    (void)state;
    assert_int_equal(fixture_try(world.f->work, &said, "push", url, "HEAD:refs/heads/bad",
                                 "HEAD:refs/heads/fine", NULL),
                     1);
    says(said, "HEAD -> bad (build failed");
    hosted_ref_is("refs/heads/fine", sha);
    assert_int_equal(fixture_try(world.f->work, &atomic, "push", "--atomic", url,
                                 "HEAD:refs/heads/one", "HEAD:refs/heads/two", NULL),
                     1);
    hosted_ref_is("refs/heads/one", "");
    hosted_ref_is("refs/heads/two", "");
}

static void a_wrong_spec_is_refused_before_anything(void **state)
{
    auto_free char *sha = commit_file("evenkeel.yaml",
                                      "app: shop\nprocesses:\n  web:\n    replcas: 2\n"),
                   *said = NULL;
    unsigned calls = world.received;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/wrong", &said), 1);
    says(said, "remote: evenkeel.yaml:4:");
    says(said, "replicas"); /* the nearest */
    says(said, "pre-receive hook declined");
    assert_int_equal(world.received, calls);
    hosted_ref_is("refs/heads/wrong", "");
    free(sha);
    sha = commit_file("evenkeel.yaml", "app: shop\n");
}

static void a_spec_that_is_a_link_is_refused(void **state)
{
    auto_free char *file = fs_join(world.f->work, "Procfile"), *said = NULL;

    (void)state;
    assert_int_equal(symlink("/etc/passwd", file), 0);
    free(fixture_git(world.f->work, "add", "--all", NULL));
    free(fixture_git(world.f->work, "commit", "--quiet", "-m", "link", NULL));
    assert_int_equal(push("x:good", "HEAD:refs/heads/wrong", &said), 1);
    says(said, "Procfile is a link");
    free(fixture_git(world.f->work, "reset", "--quiet", "--hard", "HEAD~1", NULL));
}

static void a_branch_is_deleted_by_the_controller(void **state)
{
    auto_free char *first = NULL, *second = NULL;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/heads/old", &first), 0);
    assert_int_equal(push("x:good", ":refs/heads/old", &second), 0);
    says(second, "[deleted]");
    hosted_ref_is("refs/heads/old", "");
}

static void tags_go_the_ordinary_way(void **state)
{
    auto_free char *sha = fixture_git(world.f->work, "rev-parse", "HEAD", NULL), *said = NULL,
                   *hidden = NULL;
    unsigned calls = world.received;

    (void)state;
    assert_int_equal(push("x:good", "HEAD:refs/tags/v1", &said), 0);
    hosted_ref_is("refs/tags/v1", sha);
    assert_int_equal(world.received, calls);
    assert_int_equal(push("x:good", "HEAD:refs/evenkeel/x", &hidden), 1);
    hosted_ref_is("refs/evenkeel/x", "");
}

static void an_interrupted_call_is_asked_again(void **state)
{
    auto_free char *sha = commit_file("a", "3"), *said = NULL;
    unsigned calls = world.received;

    (void)state;
    world.flaky = 2;
    assert_int_equal(push("x:good", "HEAD:refs/heads/main", &said), 0);
    assert_int_equal(world.received, calls + 3);
    hosted_ref_is("refs/heads/main", sha);
}

static void a_controller_that_is_away(void **state)
{
    auto_free char *said = NULL;

    (void)state;
    world.is_cut_off = true;
    int rc = push("x:good", "HEAD:refs/heads/away", &said);
    world.is_cut_off = false;
    assert_int_equal(rc, 1);
    says(said, "(the controller is away, nothing was changed; push again)");
    hosted_ref_is("refs/heads/away", "");
}

static void a_push_past_the_gateway_is_refused(void **state)
{
    auto_free char *said = NULL;

    (void)state;
    assert_int_equal(
        fixture_try(world.f->work, &said, "push", world.hosted, "HEAD:refs/heads/past", NULL), 1);
    says(said, "pushed over HTTP");
    hosted_ref_is("refs/heads/past", "");
}

static pid_t start_push(const char *refspec)
{
    auto_free char *url = world_url("x:good", shop);
    char *argv[] = { (char *)(uintptr_t) "git",
                     (char *)(uintptr_t) "-C",
                     world.f->work,
                     (char *)(uintptr_t) "push",
                     (char *)(uintptr_t) "--quiet",
                     url,
                     (char *)(uintptr_t)refspec,
                     NULL };
    posix_spawnattr_t attr;
    pid_t pid;

    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attr, 0);
    assert_int_equal(posix_spawnp(&pid, "git", NULL, &attr, argv, environ), 0);
    posix_spawnattr_destroy(&attr);
    return pid;
}

static void wait_until(const atomic_uint *count, unsigned value)
{
    int64_t begun_ms = clock_mono_ms(clock_system());

    while (*count < value) {
        if (clock_mono_ms(clock_system()) - begun_ms > 20000)
            fail_msg("nothing happened for 20 s");
        work_sleep(20);
    }
}

static void a_pusher_that_goes_away_ends_the_hook(void **state)
{
    unsigned calls = world.received;
    pid_t pid = start_push("HEAD:refs/heads/slow");

    (void)state;
    wait_until(&world.received, calls + 1);
    assert_int_equal(kill(-pid, SIGKILL), 0);
    waitpid(pid, NULL, 0);
    wait_until(&world.gone, 1);
}

static void who_may_what(void **state)
{
    static const struct {
        const char *user, *path, *refspec, *says;
    } cases[] = {
        { "", "/git/default/shop.git", "HEAD:refs/heads/main", "could not read Username" },
        { "x:wrong", "/git/default/shop.git", "HEAD:refs/heads/main", "Authentication failed" },
        { "x:reader", "/git/default/shop.git", "HEAD:refs/heads/main", "403" },
        { "x:good", "/git/default/other.git", "HEAD:refs/heads/main", "not found" },
        { "x:good", "/git/other/shop.git", "HEAD:refs/heads/main", "not found" },
        { "x:good", "/git/default/SHOP.git", "HEAD:refs/heads/main", "not found" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *url = world_url(cases[i].user, cases[i].path), *said = NULL;
        assert_int_not_equal(fixture_try(world.f->work, &said, "push", url, cases[i].refspec, NULL),
                             0);
        says(said, cases[i].says);
    }
}

static long status_of(const char *method, const char *path, const char *header)
{
    const char *const headers[] = { header, NULL };
    auto_http_client *client = http_client_new(NULL);
    auto_http_answer answer = { 0 };
    auto_free char *url = world_url("", path);
    const struct http_call call = {
        .method = method, .url = url, .headers = headers, .timeout_ms = 20000
    };
    struct err err = { 0 };

    if (http_client_run(client, &call, &answer, &err))
        fail_msg("%s %s: %s", method, path, err.text);
    return answer.status;
}

static void only_the_smart_protocol_is_served(void **state)
{
    static const struct {
        const char *method, *path;
        long status;
    } cases[] = {
        { "GET", "/git/default/shop.git/info/refs?service=git-upload-pack", 200 },
        { "GET", "/git/default/shop.git/info/refs?service=git-receive-pack", 200 },
        { "GET", "/git/default/shop.git/info/refs", 403 },
        { "GET", "/git/default/shop.git/info/refs?service=git-upload-archive", 403 },
        { "GET", "/git/default/shop.git/HEAD", 403 },
        { "GET", "/git/default/shop.git/objects/info/packs", 403 },
        { "GET", "/git/default/shop.git/config", 403 },
        { "GET", "/git/default/shop.git/objects/..%2f..%2fconfig", 403 },
        { "GET", "/git/default/shop.git", 404 },
        { "GET", "/git/default/%73hop.git/info/refs?service=git-upload-pack", 404 },
        { "GET", "/git/../shop.git/info/refs?service=git-upload-pack", 404 },
        { "GET", "/git//shop.git/info/refs?service=git-upload-pack", 404 },
        { "GET", "/git/", 404 },
        { "POST", "/git/default/shop.git/git-upload-pack", 403 }, /* without its type */
        { "DELETE", "/git/default/shop.git/git-upload-pack", 403 },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        long status = status_of(cases[i].method, cases[i].path, "Authorization: Bearer good");
        if (status != cases[i].status)
            fail_msg("%s %s: %ld", cases[i].method, cases[i].path, status);
    }
    assert_int_equal(status_of("GET", cases[0].path, "X: y"), 401);
    assert_int_equal(status_of("GET", cases[0].path, "Authorization: Basic !!!"), 401);
    assert_int_equal(status_of("GET", cases[0].path, "Authorization: Bearer \xff"), 401);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_is_shown_and_published),
        cmocka_unit_test(a_second_and_a_forced_push),
        cmocka_unit_test(a_rejected_push_says_why_and_moves_nothing),
        cmocka_unit_test(branches_of_one_push_are_answered_each),
        cmocka_unit_test(a_wrong_spec_is_refused_before_anything),
        cmocka_unit_test(a_spec_that_is_a_link_is_refused),
        cmocka_unit_test(a_branch_is_deleted_by_the_controller),
        cmocka_unit_test(tags_go_the_ordinary_way),
        cmocka_unit_test(an_interrupted_call_is_asked_again),
        cmocka_unit_test(a_controller_that_is_away),
        cmocka_unit_test(a_push_past_the_gateway_is_refused),
        cmocka_unit_test(a_pusher_that_goes_away_ends_the_hook),
        cmocka_unit_test(who_may_what),
        cmocka_unit_test(only_the_smart_protocol_is_served),
    };

    if (argc != 2)
        return 2;
    world.hook_program = argv[1];
    return cmocka_run_group_tests(tests, world_start, world_stop);
}
