/* Reading commits, trees, files and archives of repositories whose authors mean no good. */
#include "fixture.h"

#include <unistd.h>

#include "base/proc.h"

#define ARCHIVE_MS 30000

static char *head_of(const struct fixture *f)
{
    return fixture_git(f->work, "rev-parse", "HEAD", NULL);
}

static void a_commit_tells_who_and_what(void **state)
{
    const struct fixture *f = *state;
    auto_free char *sha = head_of(f);
    struct git_commit_info commit = { 0 };
    struct err err = { 0 };

    assert_int_equal(git_read_commit(f->bare, sha, &commit, &err), 0);
    assert_string_equal(commit.author, "Ann Example <ann@example.org>");
    assert_string_equal(commit.message, "the tree of these tests\n");
    assert_int_equal(commit.authored_ms, INT64_C(1769846400000));
    git_commit_info_done(&commit);
}

/* Made with hash-object: git commit would not. */
static char *make_commit(const struct fixture *f, const char *text, size_t len)
{
    auto_free char *file = fs_join(f->dir, "commit");
    struct err err = { 0 };

    assert_int_equal(fs_write(file, text, len, 0644, &err), 0);
    return fixture_git(f->bare, "hash-object", "-t", "commit", "-w", "--literally", file, NULL);
}

static void a_long_or_wrong_message_is_cut_and_made_valid(void **state)
{
    const struct fixture *f = *state;
    auto_free char *tree = fixture_git(f->work, "rev-parse", "HEAD^{tree}", NULL),
                   *filler = xcalloc(5000, 1);
    struct git_commit_info commit = { 0 };
    struct err err = { 0 };

    memset(filler, 'x', 4094);
    auto_free char *text = xasprintf(
        "tree %s\nauthor A\xff <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n%s\xe2\x82\xac-end",
        tree, filler);
    auto_free char *sha = make_commit(f, text, strlen(text));
    assert_int_equal(git_read_commit(f->bare, sha, &commit, &err), 0);
    assert_string_equal(commit.author, "A\xef\xbf\xbd <a@b>");
    assert_int_equal(strlen(commit.message), 4094); /* the euro sign did not fit whole */
    git_commit_info_done(&commit);
}

static void a_huge_commit_is_not_loaded(void **state)
{
    const struct fixture *f = *state;
    auto_free char *tree = fixture_git(f->work, "rev-parse", "HEAD^{tree}", NULL),
                   *filler = xcalloc((2 << 20) + 1, 1);
    struct git_commit_info commit = { 0 };
    struct err err = { 0 };

    memset(filler, 'x', 2 << 20);
    auto_free char *text =
        xasprintf("tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n%s", tree, filler);
    auto_free char *sha = make_commit(f, text, strlen(text));
    assert_int_equal(git_read_commit(f->bare, sha, &commit, &err), -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
}

static void what_is_no_commit_is_refused(void **state)
{
    const struct fixture *f = *state;
    auto_free char *blob = fixture_git(f->work, "rev-parse", "HEAD:evenkeel.yaml", NULL);
    const struct {
        const char *sha;
        enum err_class class;
    } cases[] = { { blob, ERR_INVALID },
                  { "main", ERR_INVALID },
                  { "", ERR_INVALID },
                  { "012345678901234567890123456789012345678g", ERR_INVALID },
                  { "0123456789012345678901234567890123456789", ERR_NOT_FOUND } };

    for (size_t i = 0; i < countof(cases); i++) {
        struct git_commit_info commit = { 0 };
        struct err err = { 0 };
        assert_int_equal(git_read_commit(f->bare, cases[i].sha, &commit, &err), -1);
        assert_int_equal(err.class, cases[i].class);
    }
}

static void trees_of_folders(void **state)
{
    const struct fixture *f = *state;
    auto_free char *sha = head_of(f), *top = fixture_git(f->work, "rev-parse", "HEAD^{tree}", NULL);
    auto_free char *app = fixture_git(f->work, "rev-parse", "HEAD:web/app", NULL);
    const struct {
        const char *folder, *tree;
        enum err_class class;
    } cases[] = {
        { ".", top, ERR_NONE },
        { "", top, ERR_NONE },
        { "web/app", app, ERR_NONE },
        { "./web//app/", app, ERR_NONE },
        { "absent", NULL, ERR_NOT_FOUND },
        { "evenkeel.yaml", NULL, ERR_NOT_FOUND },
        { "evenkeel.yaml/x", NULL, ERR_NOT_FOUND },
        { "web/..", NULL, ERR_INVALID },
        { "../x", NULL, ERR_INVALID },
        { "/etc", NULL, ERR_INVALID },
        { "link", NULL, ERR_INVALID },
        { "folder-link/app", NULL, ERR_INVALID },
    };

    for (size_t i = 0; i < countof(cases); i++) {
        char tree[GIT_SHA_LEN + 1] = "";
        struct err err = { 0 };
        int rc = git_read_tree_id(f->bare, sha, cases[i].folder, tree, &err);
        if (err.class != cases[i].class || rc != (cases[i].tree ? 0 : -1))
            fail_msg("%s: %s", cases[i].folder, err.text);
        assert_string_equal(tree, cases[i].tree ? cases[i].tree : "");
    }
}

static void files(void **state)
{
    static const struct {
        const char *path, *text;
        enum err_class class;
    } cases[] = {
        { "evenkeel.yaml", "app: shop\n", ERR_NONE },
        { "./web/app/index.html", "hello\n", ERR_NONE },
        { "link", NULL, ERR_INVALID },
        { "folder-link/app/index.html", NULL, ERR_INVALID },
        { "web", NULL, ERR_INVALID },
        { "big", NULL, ERR_EXHAUSTED },
        { "absent", NULL, ERR_NOT_FOUND },
        { "web/../evenkeel.yaml", NULL, ERR_INVALID },
        { "/etc/passwd", NULL, ERR_INVALID },
    };
    const struct fixture *f = *state;
    auto_free char *sha = head_of(f);

    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *data = NULL;
        struct err err = { 0 };
        size_t len = 0;
        int rc = git_read_file(f->bare, sha, cases[i].path, 100, &data, &len, &err);
        if (err.class != cases[i].class || rc != (cases[i].text ? 0 : -1))
            fail_msg("%s: %s", cases[i].path, err.text);
        assert_string_equal(data ? data : "", cases[i].text ? cases[i].text : "");
        assert_int_equal(len, data ? strlen(data) : 0);
    }
}

static void the_repository_of_the_environment(void **state)
{
    const struct fixture *f = *state;
    auto_free char *sha = head_of(f), *data = NULL;
    struct err err = { 0 };

    assert_int_equal(setenv("GIT_DIR", f->bare, 1), 0);
    int rc = git_read_file(NULL, sha, "evenkeel.yaml", 100, &data, NULL, &err);
    unsetenv("GIT_DIR");
    assert_int_equal(rc, 0);
    assert_string_equal(data, "app: shop\n");
}

/* ---- archives ---- */

struct collected {
    char *data;
    size_t len;
    size_t refuse_at; /* 0: never */
};

static int collect(void *arg, const void *data, size_t len, struct err *err)
{
    struct collected *c = arg;

    if (c->refuse_at && c->len + len > c->refuse_at)
        return err_set(err, ERR_STOPPED, "enough");
    c->data = xreallocarray(c->data, c->len + len, 1);
    memcpy(c->data + c->len, data, len);
    c->len += len;
    return 0;
}

static void archive(const char *repository, const char *sha, const char *folder,
                    struct collected *c)
{
    struct err err = { 0 };

    *c = (struct collected){ 0 };
    if (git_archive(repository, sha, folder, collect, c, ARCHIVE_MS, &err))
        fail_msg("%s", err.text);
}

/* Unpacks into dir/NAME with the real tar. */
static char *unpack(const struct fixture *f, const struct collected *c, const char *name)
{
    auto_free char *tar = xasprintf("%s/%s.tar", f->dir, name);
    char *folder = fs_join(f->dir, name);
    struct err err = { 0 };

    assert_int_equal(fs_write(tar, c->data, c->len, 0644, &err), 0);
    assert_int_equal(fs_make_dirs(folder, 0755, &err), 0);
    const char *const argv[] = { "tar", "-xf", tar, "-C", folder, NULL };
    const struct proc_options options = { .argv = argv,
                                          .timeout_ms = ARCHIVE_MS,
                                          .output_max = 1024 };
    if (proc_check(&options, NULL, NULL, &err))
        fail_msg("%s", err.text);
    return folder;
}

static void has_file(const char *folder, const char *path, const char *expected)
{
    auto_free char *file = fs_join(folder, path), *text = NULL;
    struct err err = { 0 };

    if (fs_read(file, 1 << 20, &text, NULL, &err))
        fail_msg("%s", err.text);
    assert_string_equal(text, expected);
}

/* .gitattributes of the repository asks for all that an archive could change; nothing of it
 * happens. */
static void an_archive_is_what_was_committed(void **state)
{
    const struct fixture *f = *state;
    auto_free char *sha = head_of(f), *mirror = fs_join(f->dir, "mirror.git"),
                   *url = xasprintf("file://%s", f->bare);
    struct collected c;
    struct err err = { 0 };

    assert_int_equal(git_init(mirror, &err), 0);
    if (git_fetch(mirror, url, NULL, "refs/heads/main", sha, ARCHIVE_MS, &err))
        fail_msg("%s", err.text);
    archive(mirror, sha, ".", &c);
    auto_free char *folder = unpack(f, &c, "whole");
    free(c.data);
    archive(f->bare, sha, ".", &c); /* not made by git_init: here the attributes do their work */
    auto_free char *changed = unpack(f, &c, "changed"), *ignored = fs_join(changed, "ignored");
    free(c.data);
    assert_false(fs_exists(ignored));
    has_file(changed, "crlf.bat", "echo\r\n");
    has_file(folder, "evenkeel.yaml", "app: shop\n");
    has_file(folder, "web/app/index.html", "hello\n");
    has_file(folder, "ignored", "here all the same\n");
    has_file(folder, "ignored-folder/file", "here too\n");
    has_file(folder, "subst", "$Format:%H$\n");
    has_file(folder, "ident", "$Id$\n");
    has_file(folder, "crlf.bat", "echo\n");
    has_file(folder, "utf16", "p\n");
    has_file(folder, "filtered", "as it is\n");
}

static void a_folder_is_archived_alone_and_always_the_same(void **state)
{
    const struct fixture *f = *state;
    auto_free char *sha = head_of(f);
    struct collected first, second;

    archive(f->bare, sha, "web/app", &first);
    sleep(1); /* git archive would put the time of the call into the archive of a folder */
    archive(f->bare, sha, "web/app", &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    auto_free char *folder = unpack(f, &first, "alone");
    has_file(folder, "index.html", "hello\n");
    auto_free char *outside = fs_join(folder, "web");
    assert_false(fs_exists(outside));
    free(first.data);
    free(second.data);
}

static void an_archive_can_be_refused(void **state)
{
    const struct fixture *f = *state;
    auto_free char *sha = head_of(f);
    struct collected c = { .refuse_at = 1000 };
    struct err err = { 0 };

    assert_int_equal(git_archive(f->bare, sha, ".", collect, &c, ARCHIVE_MS, &err), -1);
    assert_int_equal(err.class, ERR_STOPPED);
    free(c.data);
    c = (struct collected){ 0 };
    assert_int_equal(git_archive(f->bare, sha, "absent", collect, &c, ARCHIVE_MS, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_int_equal(c.len, 0);
}

static int start(void **state)
{
    fixture_start(state);
    const struct fixture *f = *state;
    auto_free char *link = fs_join(f->work, "link"), *folder_link = fs_join(f->work, "folder-link"),
                   *big = xcalloc(201, 1);
    auto_free char *utf16 = fs_join(f->work, "utf16");
    struct err err = { 0 };

    fixture_write(f, "utf16",
                  "plain\n"); /* before the attribute: git add would take it for UTF-16 */
    free(fixture_commit(f, "one file"));
    fixture_write(
        f, ".gitattributes",
        "ignored export-ignore\nignored-folder export-ignore\nsubst export-subst\nident ident\n"
        "*.bat text eol=crlf\nutf16 text working-tree-encoding=UTF-16\nfiltered filter=shout\n");
    fixture_write(f, "ignored", "here all the same\n");
    fixture_write(f, "ignored-folder/file", "here too\n");
    fixture_write(f, "subst", "$Format:%H$\n");
    fixture_write(f, "ident", "$Id$\n");
    fixture_write(f, "crlf.bat", "echo\n");
    fixture_write(f, "filtered", "as it is\n");
    assert_int_equal(fs_write(utf16, "\xff\xfep\0\n\0", 6, 0644, &err), 0); /* stored as UTF-8 */
    memset(big, 'b', 200);
    fixture_write(f, "big", big);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(symlink("web", folder_link), 0);
    free(fixture_commit(f, "the tree of these tests"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_tells_who_and_what),
        cmocka_unit_test(a_long_or_wrong_message_is_cut_and_made_valid),
        cmocka_unit_test(a_huge_commit_is_not_loaded),
        cmocka_unit_test(what_is_no_commit_is_refused),
        cmocka_unit_test(trees_of_folders),
        cmocka_unit_test(files),
        cmocka_unit_test(the_repository_of_the_environment),
        cmocka_unit_test(an_archive_is_what_was_committed),
        cmocka_unit_test(a_folder_is_archived_alone_and_always_the_same),
        cmocka_unit_test(an_archive_can_be_refused),
    };

    return cmocka_run_group_tests(tests, start, fixture_stop);
}
