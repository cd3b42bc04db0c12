/* Refs of remotes, asked of real servers. */
#include "fixture.h"

#include "base/clock.h"
#include "http/client.h"

#define ASK_MS 20000

static int ask(const char *url, const char *user, const char *password, const char *const *names,
               size_t count, struct git_refs *refs, struct err *err)
{
    const struct git_credentials credentials = { user, password };

    return git_remote_refs(url, password ? &credentials : NULL, names, count, ASK_MS, refs, err);
}

static enum err_class ask_wrong(const struct fixture *f, const char *way)
{
    static const char *const names[] = { "main" };
    auto_free char *url = fixture_url(f, way);
    struct git_refs refs = { 0 };
    struct err err = { 0 };

    assert_int_equal(ask(url, NULL, NULL, names, 1, &refs, &err), -1);
    assert_true(err.text[0] != '\0');
    return err.class;
}

/* Everything that a listing must get right, asked one way. */
static void check_names(const char *url, const char *user, const char *password,
                        const struct fixture *f)
{
    static const char *const names[] = { "main",   "v1",   "light", "refs/heads/main",
                                         "absent", "HEAD", "both",  "refs/tags/v1",
                                         "mai" };
    auto_free char *main_sha = fixture_git(f->work, "rev-parse", "main", NULL);
    auto_free char *tagged = fixture_git(f->work, "rev-parse", "v1^{commit}", NULL);
    auto_free char *branch = fixture_git(f->work, "rev-parse", "refs/heads/both", NULL);
    const char *const expected[] = { main_sha, tagged, tagged, main_sha, "",
                                     main_sha, branch, tagged, "" };
    struct git_refs refs = { 0 };
    struct err err = { 0 };

    if (ask(url, user, password, names, countof(names), &refs, &err))
        fail_msg("%s", err.text);
    assert_int_equal(refs.count, countof(names));
    for (size_t i = 0; i < countof(names); i++) {
        assert_string_equal(refs.items[i].name, names[i]);
        assert_string_equal(refs.items[i].sha, expected[i]);
    }
    git_refs_done(&refs);
}

static void every_way_gives_the_same_answer(void **state)
{
    static const char *const ways[] = { "smart", "v0", "dumb", "moved" };
    const struct fixture *f = *state;

    for (size_t i = 0; i < countof(ways); i++) {
        auto_free char *url = fixture_url(f, ways[i]);
        check_names(url, NULL, NULL, f);
    }
    auto_free char *file = xasprintf("file://%s", f->bare),
                   *slash = xasprintf("http://127.0.0.1:%d/smart/shop.git/", f->port);
    check_names(file, NULL, NULL, f);
    check_names(slash, NULL, NULL, f);
}

static void protocol_2_is_spoken(void **state)
{
    const struct fixture *f = *state;
    auto_free char *url = xasprintf("http://127.0.0.1:%d/seen/", f->port);
    auto_http_client *client = http_client_new(NULL);
    auto_http_answer answer = { 0 };
    const struct http_call call = { .method = "GET", .url = url, .timeout_ms = ASK_MS };
    struct err err = { 0 };

    every_way_gives_the_same_answer(state);
    assert_int_equal(http_client_run(client, &call, &answer, &err), 0);
    assert_non_null(strstr(answer.body, "POST /smart/shop.git/git-upload-pack version=2"));
    assert_null(strstr(answer.body, "POST /v0/"));
}

static void a_password_is_needed_and_used(void **state)
{
    static const char *const names[] = { "main" };
    const struct fixture *f = *state;
    auto_free char *url = fixture_url(f, "auth");
    struct git_refs refs = { 0 };
    struct err err = { 0 };

    check_names(url, "ann", "s3cret", f);
    assert_int_equal(ask(url, "ann", "wrong", names, 1, &refs, &err), -1);
    assert_int_equal(err.class, ERR_DENIED);
    assert_null(strstr(err.text, "wrong"));
    assert_int_equal(ask_wrong(f, "auth"), ERR_DENIED);
}

static void a_password_follows_no_redirect(void **state)
{
    static const char *const names[] = { "main" };
    const struct fixture *f = *state;
    auto_free char *url = fixture_url(f, "moved");
    struct git_refs refs = { 0 };
    struct err err = { 0 };

    assert_int_equal(ask(url, "ann", "s3cret", names, 1, &refs, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "redirects"));
}

static void failures_have_their_class(void **state)
{
    static const char *const names[] = { "main" };
    const struct fixture *f = *state;
    auto_free char *absent = xasprintf("http://127.0.0.1:%d/smart/absent.git", f->port);
    auto_free char *no_file = xasprintf("http://127.0.0.1:%d/dumb/absent.git", f->port);
    struct git_refs refs = { 0 };
    struct err err = { 0 };

    assert_int_equal(ask_wrong(f, "denied"), ERR_DENIED);
    assert_int_equal(ask_wrong(f, "away"), ERR_UNAVAILABLE);
    assert_int_equal(ask_wrong(f, "page"), ERR_NOT_FOUND);
    assert_int_equal(ask_wrong(f, "cut"), ERR_UNAVAILABLE);
    assert_int_equal(ask(absent, NULL, NULL, names, 1, &refs, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_int_equal(ask(no_file, NULL, NULL, names, 1, &refs, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_int_equal(ask("http://127.0.0.1:9/x.git", NULL, NULL, names, 1, &refs, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    assert_int_equal(ask("file:///nonexistent/x.git", NULL, NULL, names, 1, &refs, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
}

static void a_silent_remote_is_given_up(void **state)
{
    static const char *const names[] = { "main" };
    auto_free char *url = fixture_url(*state, "hang");
    int64_t begun_ms = clock_mono_ms(clock_system());
    struct git_refs refs = { 0 };
    struct err err = { 0 };

    assert_int_equal(git_remote_refs(url, NULL, names, 1, 300, &refs, &err), -1);
    assert_int_equal(err.class, ERR_TIMEOUT);
    assert_true(clock_mono_ms(clock_system()) - begun_ms < 5000);
}

static void wrong_addresses_are_refused(void **state)
{
    static const char *const urls[] = { "-oProxyCommand=x",
                                        "--upload-pack=x:y",
                                        "ext::sh -c x",
                                        "ext::sh",
                                        "http://u:p@h/x",
                                        "http://u@h/x",
                                        "http:///x",
                                        "http://",
                                        "ssh://-oProxyCommand=x/y",
                                        "ssh://a@-o/y",
                                        "a@-oX:y",
                                        "-a@b:c",
                                        "ftp://h/x",
                                        "git://h/x",
                                        "http://h/a b",
                                        "http://h/\nx",
                                        "/etc",
                                        "x",
                                        "",
                                        "ssh://u:p@h/x",
                                        ":x",
                                        "h:" };
    static const char *const names[] = { "main" };
    struct git_refs refs = { 0 };

    (void)state;
    for (size_t i = 0; i < countof(urls); i++) {
        struct err err = { 0 };
        assert_int_equal(ask(urls[i], NULL, NULL, names, 1, &refs, &err), -1);
        if (err.class != ERR_INVALID)
            fail_msg("%s: %s", urls[i], err.text);
    }
}

static void files_are_refused_unless_allowed(void **state)
{
    static const char *const names[] = { "main" };
    const struct fixture *f = *state;
    auto_free char *url = xasprintf("file://%s", f->bare);
    struct git_refs refs = { 0 };
    struct err err = { 0 };

    git_allow_file = false;
    int rc = ask(url, NULL, NULL, names, 1, &refs, &err);
    git_allow_file = true;
    assert_int_equal(rc, -1);
    assert_int_equal(err.class, ERR_DENIED);
}

static void wrong_names_are_refused(void **state)
{
    static const char *const wrong[] = { "",    "-x",   "a b",    "a..b",  "a~1", "a^{}",
                                         "a:b", "*",    "a.lock", "/a",    "a/",  "a//b",
                                         ".a",  "a/.b", "@",      "a@{1}", "a\nb" };
    auto_free char *url = fixture_url(*state, "smart");
    struct git_refs refs = { 0 };

    for (size_t i = 0; i < countof(wrong); i++) {
        struct err err = { 0 };
        assert_int_equal(ask(url, NULL, NULL, &wrong[i], 1, &refs, &err), -1);
        assert_int_equal(err.class, ERR_INVALID);
    }
}

static void an_empty_repository_has_no_refs(void **state)
{
    static const char *const names[] = { "main", "HEAD" }, *const ways[] = { "smart", "v0" };
    const struct fixture *f = *state;
    auto_free char *bare = fs_join(f->dir, "empty.git");

    free(fixture_git(f->dir, "init", "--quiet", "--bare", bare, NULL));
    for (size_t i = 0; i < countof(ways); i++) {
        auto_free char *url = xasprintf("http://127.0.0.1:%d/%s/empty.git", f->port, ways[i]);
        struct git_refs refs = { 0 };
        struct err err = { 0 };
        if (ask(url, NULL, NULL, names, 2, &refs, &err))
            fail_msg("%s: %s", ways[i], err.text);
        assert_string_equal(refs.items[0].sha, "");
        assert_string_equal(refs.items[1].sha, "");
        git_refs_done(&refs);
    }
}

/* Tags with and without an object of their own, a tag and a branch of one name, a neighbour with a
 * name that begins alike. */
static int start(void **state)
{
    fixture_start(state);
    const struct fixture *f = *state;
    free(fixture_git(f->work, "tag", "-a", "-m", "one", "v1", NULL));
    free(fixture_git(f->work, "tag", "light", NULL));
    free(fixture_git(f->work, "tag", "both", NULL));
    free(fixture_git(f->work, "branch", "main2", NULL));
    fixture_write(f, "file", "more\n");
    free(fixture_commit(f, "the second"));
    free(fixture_git(f->work, "branch", "both", NULL));
    fixture_push(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_the_same_answer),
        cmocka_unit_test(protocol_2_is_spoken),
        cmocka_unit_test(a_password_is_needed_and_used),
        cmocka_unit_test(a_password_follows_no_redirect),
        cmocka_unit_test(failures_have_their_class),
        cmocka_unit_test(a_silent_remote_is_given_up),
        cmocka_unit_test(wrong_addresses_are_refused),
        cmocka_unit_test(files_are_refused_unless_allowed),
        cmocka_unit_test(wrong_names_are_refused),
        cmocka_unit_test(an_empty_repository_has_no_refs),
    };

    return cmocka_run_group_tests(tests, start, fixture_stop);
}
