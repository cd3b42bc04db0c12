/* Files, in a folder of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

static char root[] = "/tmp/fs_test.XXXXXX";

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    struct err err = { 0 };
    (void)state;
    return fs_remove_tree(root, &err);
}

static void test_write_and_read(void **state)
{
    struct err err = { 0 };
    auto_free char *path = fs_join(root, "file");
    auto_free char *data = NULL, *again = NULL;
    size_t len = 0;
    struct stat st;
    (void)state;

    assert_int_equal(fs_write(path, "a\0b", 3, 0640, &err), 0);
    assert_int_equal(fs_read(path, 3, &data, &len, &err), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "a\0b", 4); /* and the NUL */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(fs_write(path, "", 0, 0600, &err), 0);
    assert_int_equal(fs_read(path, 0, &again, NULL, &err), 0);
    assert_string_equal(again, "");
}

static void test_read_is_bounded(void **state)
{
    struct err err = { 0 };
    auto_free char *path = fs_join(root, "large");
    auto_free char *content = xcalloc(100000, 1);
    char *data = NULL;
    (void)state;

    assert_int_equal(fs_write(path, content, 100000, 0600, &err), 0);
    assert_int_equal(fs_read(path, 99999, &data, NULL, &err), -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    assert_null(data);
    assert_int_equal(fs_read("/nonexistent/x", 10, &data, NULL, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
}

static void test_a_failed_write_leaves_nothing(void **state)
{
    struct err err = { 0 };
    auto_free char *dir = fs_join(root, "taken");
    auto_free char *inside = fs_join(dir, "x");
    (void)state;

    /* a folder in the way: the rename fails, and nothing is left beside it */
    assert_int_equal(fs_make_dirs(inside, 0755, &err), 0);
    assert_int_equal(fs_write(dir, "x", 1, 0600, &err), -1);
    DIR *d = opendir(root);
    for (const struct dirent *e; (e = readdir(d));)
        assert_false(strncmp(e->d_name, "taken.", 6) == 0);
    closedir(d);
}

static void test_make_dirs(void **state)
{
    struct err err = { 0 };
    auto_free char *deep = fs_join(root, "a/b//c/");
    auto_free char *file = fs_join(root, "plain");
    auto_free char *below = fs_join(file, "x");
    (void)state;

    assert_int_equal(fs_make_dirs(deep, 0755, &err), 0);
    assert_int_equal(fs_make_dirs(deep, 0755, &err), 0);
    assert_true(fs_exists(deep));
    assert_int_equal(fs_make_dirs("/", 0755, &err), 0);
    assert_int_equal(fs_make_dirs("", 0755, &err), -1);
    assert_int_equal(fs_write(file, "", 0, 0600, &err), 0);
    assert_int_equal(fs_make_dirs(below, 0755, &err), -1);
    assert_int_equal(fs_make_dirs(file, 0755, &err), -1); /* a file is no folder */
    assert_int_equal(err.class, ERR_EXISTS);
}

static void test_remove_tree_stays_inside(void **state)
{
    struct err err = { 0 };
    auto_free char *tree = fs_join(root, "tree");
    auto_free char *deep = fs_join(tree, "d/e");
    auto_free char *kept = fs_join(root, "kept");
    auto_free char *kept_file = fs_join(kept, "file");
    auto_free char *link = fs_join(tree, "d/link");
    auto_free char *dangling = fs_join(root, "dangling");
    (void)state;

    assert_int_equal(fs_make_dirs(deep, 0755, &err), 0);
    assert_int_equal(fs_make_dirs(kept, 0755, &err), 0);
    assert_int_equal(fs_write(kept_file, "x", 1, 0600, &err), 0);
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(chmod(deep, 0), 0);
    assert_int_equal(fs_remove_tree(tree, &err), 0);
    assert_false(fs_exists(tree));
    assert_true(fs_exists(kept_file));
    assert_int_equal(fs_remove_tree(tree, &err), 0);
    assert_int_equal(symlink("/nonexistent", dangling), 0);
    assert_int_equal(fs_remove_tree(dangling, &err), 0);
    assert_false(fs_exists(dangling));
}

static void test_open_beneath(void **state)
{
    struct err err = { 0 };
    auto_free char *sub = fs_join(root, "sub");
    auto_free char *file = fs_join(sub, "file");
    auto_free char *out = fs_join(sub, "out");
    auto_free char *loop = fs_join(sub, "loop");
    (void)state;

    assert_int_equal(fs_make_dirs(sub, 0755, &err), 0);
    assert_int_equal(fs_write(file, "x", 1, 0600, &err), 0);
    assert_int_equal(symlink("/etc/hostname", out), 0);
    assert_int_equal(symlink("loop", loop), 0);
    auto_fd int dir = open(sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_fd int fd = fs_open_beneath(dir, "file", O_RDONLY, &err);
    assert_true(fd >= 0);
    static const char *const outside[] = { "../kept/file", "/etc/hostname", "out", "loop" };
    for (size_t i = 0; i < countof(outside); i++) {
        assert_int_equal(fs_open_beneath(dir, outside[i], O_RDONLY, &err), -1);
        assert_int_equal(err.class, ERR_INVALID);
    }
    assert_int_equal(fs_open_beneath(dir, "absent", O_RDONLY, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
}

static void test_lock(void **state)
{
    struct err err = { 0 };
    auto_free char *path = fs_join(root, "lock");
    int other = -1;
    (void)state;

    {
        auto_fd int fd = -1;
        assert_int_equal(fs_lock(path, &fd, &err), 0);
        assert_int_equal(fs_lock(path, &other, &err), -1);
        assert_int_equal(err.class, ERR_CONFLICT);
        assert_int_equal(other, -1);
    }
    auto_fd int fd = -1;
    assert_int_equal(fs_lock(path, &fd, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_read_is_bounded),
        cmocka_unit_test(test_a_failed_write_leaves_nothing),
        cmocka_unit_test(test_make_dirs),
        cmocka_unit_test(test_remove_tree_stays_inside),
        cmocka_unit_test(test_open_beneath),
        cmocka_unit_test(test_lock),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
