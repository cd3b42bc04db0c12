#include "builder/context.h"

#include <locale.h>

#include "support.h"

static const struct tree_limits limits = { 1 << 20, 100 };

/* The context as text: a line per entry, "name kind [=content|->target]". */
static char *list(const struct context_options *options, size_t piece, struct err *err)
{
    auto_context *context = context_open(options);
    FILE *tar = tmpfile();
    auto_free char *buffer = xcalloc(piece, 1);
    auto_free char *out = NULL;
    size_t len;
    int64_t n;

    while ((n = context_read(context, buffer, piece, err)) > 0)
        fwrite(buffer, 1, (size_t)n, tar);
    fflush(tar);
    if (n == 0) {
        FILE *text = xmemstream(&out, &len);
        auto_tree *tree = tree_open(fileno(tar), &limits);
        struct tree_entry entry;
        int rc;
        while ((rc = tree_next(tree, &entry, err)) == 1) {
            fprintf(text, "%s%s", entry.name, entry.kind == TREE_FOLDER ? "/" : "");
            if (entry.kind == TREE_LINK)
                fprintf(text, "->%s", entry.target);
            if (entry.kind == TREE_FILE) {
                auto_free char *data = NULL;
                size_t size;
                fprintf(text, "%s=", entry.is_executable ? "*" : "");
                assert_int_equal(tree_read_all(tree, 1 << 20, &data, &size, err), 0);
                fwrite(data, 1, size, text);
            }
            fputc('\n', text);
        }
        fclose(text);
        assert_int_equal(rc, 0);
    }
    fclose(tar);
    return take(&out);
}

static FILE *plain_source(void)
{
    FILE *tar = tmpfile();

    put_tar(tar, "./", '5', NULL, NULL, 0755);
    put_tar(tar, "./.aaa", '0', NULL, "hidden", 0644);
    put_tar(tar, "./.dockerignore", '0', NULL, ".aaa\n*.md\nsub\n!sub/keep\n", 0644);
    put_tar(tar, "./Dockerfile", '0', NULL, "FROM x\n", 0644);
    put_tar(tar, "./README.md", '0', NULL, "readme", 0644);
    put_tar(tar, "./link", '2', "Dockerfile", NULL, 0777);
    put_tar(tar, "./run.sh", '0', NULL, "#!", 0755);
    put_tar(tar, "./sub/", '5', NULL, NULL, 0755);
    put_tar(tar, "./sub/keep", '0', NULL, "k", 0644);
    put_tar(tar, "./sub/lose", '0', NULL, "l", 0644);
    put_tar(tar, "gr\xc3\xbc\xc3\x9f", '0', NULL, "", 0644);
    put_tar_end(tar);
    return tar;
}

static void test_rewriting(void **state)
{
    FILE *tar = plain_source();
    auto_context_facts facts = { 0 };
    struct err err = { 0 };
    (void)state;

    assert_int_equal(context_look(fileno(tar), &limits, "Dockerfile", &facts, &err), 0);
    assert_string_equal(facts.dockerfile, "FROM x\n");
    struct context_options options = { .source = fileno(tar),
                                       .limits = limits,
                                       .ignore = facts.ignore,
                                       .add_name = "Dockerfile",
                                       .add_text = "FROM y\n",
                                       .add_len = 7 };
    for (size_t piece = 1; piece < 100000; piece *= 37) {
        auto_free char *text = list(&options, piece, &err);
        assert_string_equal(text,
                            "Dockerfile=FROM y\n\n.dockerignore=.aaa\n*.md\nsub\n!sub/keep\n\n"
                            "link->Dockerfile\nrun.sh*=#!\nsub/\nsub/keep=k\n"
                            "gr\xc3\xbc\xc3\x9f=\n");
    }
    options.folder = "app";
    options.ignore = NULL;
    options.add_name = ".evenkeel/Dockerfile";
    auto_free char *text = list(&options, 1000, &err);
    assert_non_null(strstr(text, ".evenkeel/Dockerfile=FROM y\n"));
    assert_non_null(strstr(text, "app/Dockerfile=FROM x\n"));
    assert_non_null(strstr(text, "app/sub/lose=l\n"));
    fclose(tar);
}

static void test_looking(void **state)
{
    FILE *tar = tmpfile();
    struct err err = { 0 };
    (void)state;

    put_tar(tar, ".dockerignore", '0', NULL, "a", 0644);
    put_tar(tar, "docker/Web", '0', NULL, "FROM w", 0644);
    put_tar(tar, "docker/Web.dockerignore", '0', NULL, "b", 0644);
    put_tar(tar, "Dockerfile", '2', "docker/Web", NULL, 0777);
    put_tar(tar, "dir/", '5', NULL, NULL, 0755);
    put_tar_end(tar);
    auto_context_facts facts = { 0 }, none = { 0 }, folder = { 0 };
    assert_int_equal(context_look(fileno(tar), &limits, "docker/Web", &facts, &err), 0);
    assert_string_equal(facts.dockerfile, "FROM w");
    assert_true(ignore_matches(facts.ignore, "b"));
    assert_false(ignore_matches(facts.ignore, "a"));
    /* a link is no Dockerfile: what it leads to would be read unseen */
    assert_int_equal(context_look(fileno(tar), &limits, "Dockerfile", &none, &err), 0);
    assert_null(none.dockerfile);
    assert_int_equal(context_look(fileno(tar), &limits, "dir", &folder, &err), 0);
    assert_null(folder.dockerfile);
    fclose(tar);
}

static void check_refused(const char *name, char type, const char *target, enum err_class class)
{
    FILE *tar = tmpfile();
    struct err err = { 0 };
    struct context_options options = { .source = fileno(tar), .limits = limits };

    put_tar(tar, name, type, target, "x", 0644);
    put_tar_end(tar);
    auto_free char *text = list(&options, 512, &err);
    assert_null(text);
    assert_int_equal(err.class, class);
    fclose(tar);
}

static void test_hostile_names(void **state)
{
    (void)state;
    check_refused("../x", '0', NULL, ERR_INVALID);
    check_refused("a/../../x", '0', NULL, ERR_INVALID);
    check_refused("a/..", '0', NULL, ERR_INVALID);
    check_refused("/etc/passwd", '0', NULL, ERR_INVALID);
    check_refused("..", '0', NULL, ERR_INVALID);
}

static void test_other_kinds_are_passed_over(void **state)
{
    FILE *tar = tmpfile();
    struct err err = { 0 };
    struct context_options options = { .source = fileno(tar), .limits = limits };
    auto_context_facts facts = { 0 };
    (void)state;

    put_tar(tar, "a", '0', NULL, "1", 04755);
    put_tar(tar, "hard", '1', "a", NULL, 0644);
    put_tar(tar, "null", '3', NULL, NULL, 0644);
    put_tar(tar, "disk", '4', NULL, NULL, 0644);
    put_tar(tar, "fifo", '6', NULL, NULL, 0644);
    put_tar_end(tar);
    auto_free char *text = list(&options, 512, &err);
    assert_string_equal(text, "a*=1\n");
    assert_int_equal(context_look(fileno(tar), &limits, NULL, &facts, &err), 0);
    assert_int_equal(facts.left_out, 4);
    fclose(tar);
}

static void test_bounds(void **state)
{
    FILE *tar = tmpfile();
    struct err err = { 0 };
    struct context_options options = { .source = fileno(tar), .limits = { 10, 100 } };
    (void)state;

    put_tar(tar, "a", '0', NULL, "123456", 0644);
    put_tar(tar, "b", '0', NULL, "123456", 0644);
    put_tar_end(tar);
    auto_free char *big = list(&options, 512, &err);
    assert_null(big);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    options.limits = (struct tree_limits){ 100, 1 };
    err = (struct err){ 0 };
    auto_free char *many = list(&options, 512, &err);
    assert_null(many);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    fclose(tar);
}

/* Cut anywhere, and with bytes changed: an error or a shorter list, never more. */
static void test_damage(void **state)
{
    FILE *tar = plain_source();
    unsigned seed = 7;
    char bytes[16384];
    size_t len;
    (void)state;

    rewind(tar);
    len = fread(bytes, 1, sizeof bytes, tar);
    fclose(tar);
    for (int round = 0; round < 300; round++) {
        FILE *damaged = tmpfile();
        struct err err = { 0 };
        auto_context_facts facts = { 0 };
        char copy[sizeof bytes];
        memcpy(copy, bytes, len);
        for (int i = 0; i < 3; i++)
            copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
        fwrite(copy, 1, (size_t)rand_r(&seed) % len, damaged);
        fflush(damaged);
        struct context_options options = { .source = fileno(damaged), .limits = limits };
        context_look(fileno(damaged), &limits, "Dockerfile", &facts, &err);
        auto_free char *text = list(&options, 777, &err);
        assert_true(text || err.class);
        fclose(damaged);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewriting),     cmocka_unit_test(test_looking),
        cmocka_unit_test(test_hostile_names), cmocka_unit_test(test_other_kinds_are_passed_over),
        cmocka_unit_test(test_bounds),        cmocka_unit_test(test_damage),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
