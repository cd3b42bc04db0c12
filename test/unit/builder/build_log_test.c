#include "builder/build_log.h"

#include "base/fs.h"
#include "base/work.h"
#include "support.h"

static char dir[] = "/tmp/evenkeel-log-XXXXXX";

static void count(void *arg)
{
    ++*(int *)arg;
}

static void test_bound(void **state)
{
    auto_free char *path = fs_join(dir, "bound");
    struct err err = { 0 };
    int full = 0;
    char buffer[64] = { 0 };
    (void)state;

    struct build_log *log = build_log_open(path, 12, count, &full, &err);
    build_log_line(log, "hello", 5);
    build_log_say(log, "x\x1b[1m");
    assert_int_equal(build_log_size(log), 12);
    build_log_line(log, "", 0);
    build_log_line(log, "", 0);
    assert_int_equal(full, 1);
    assert_int_equal(build_log_read(log, 0, buffer, sizeof buffer), 12);
    assert_string_equal(buffer, "hello\n==> x\n");
    assert_int_equal(build_log_read(log, 12, buffer, sizeof buffer), 0);
    assert_int_equal(build_log_read(log, 10, buffer, 1), 1);
    build_log_free(log);
}

static void add_late(void *arg)
{
    work_sleep(50);
    build_log_line(arg, "late", 4);
    build_log_end(arg);
    build_log_line(arg, "too late", 8);
}

static void test_waiting(void **state)
{
    auto_free char *path = fs_join(dir, "wait");
    struct err err = { 0 };
    int full = 0;
    (void)state;

    struct build_log *log = build_log_open(path, 1000, count, &full, &err);
    build_log_wait(log, 0, 10);
    assert_int_equal(build_log_size(log), 0);
    struct thread *thread = thread_start(add_late, log);
    build_log_wait(log, 0, 10000);
    assert_int_equal(build_log_size(log), 5);
    build_log_wait(log, 5, 10000);
    assert_true(build_log_is_ended(log));
    thread_join(thread);
    assert_int_equal(build_log_size(log), 5);
    assert_int_equal(full, 0);
    build_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bound),
                                        cmocka_unit_test(test_waiting) };
    struct err err = { 0 };

    assert_non_null(mkdtemp(dir));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fs_remove_tree(dir, &err);
    return failed;
}
