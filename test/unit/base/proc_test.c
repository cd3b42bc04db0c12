/* Child processes: the real ones of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/work.h"

/* The tests may use a shell to make children that behave oddly; the program never does. */
#define SHELL(script) ((const char *const[]){ "sh", "-c", script, NULL })
#define RUN_WITHIN(timeout, max, ...) \
    ((struct proc_options){ .timeout_ms = (timeout), .output_max = (max), __VA_ARGS__ })
#define RUN(...) RUN_WITHIN(20000, 1 << 16, __VA_ARGS__)

static int ignore_sigpipe(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as loop_new does in programs */
    return 0;
}

static void test_output_errors_and_exit_code(void **state)
{
    auto_proc_result result = { 0 };
    struct err err = { 0 };
    (void)state;

    assert_int_equal(proc_run(&RUN(.argv = SHELL("echo out; echo one >&2; echo two >&2; exit 3")),
                              &result, &err),
                     0);
    assert_int_equal(result.exit_code, 3);
    assert_string_equal(result.output, "out\n");
    assert_int_equal(result.output_len, 4);
    assert_string_equal(result.errors, "one\ntwo");
}

static void test_check_reports_the_last_line(void **state)
{
    auto_free char *output = NULL;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(
        proc_check(&RUN(.argv = SHELL("echo one >&2; echo two >&2; exit 3")), &output, NULL, &err),
        -1);
    assert_non_null(strstr(err.text, "exit code 3: two"));
    assert_null(output);
    assert_int_equal(proc_check(&RUN(.argv = SHELL("printf fine")), &output, NULL, &err), 0);
    assert_string_equal(output, "fine");
}

static void test_only_the_given_environment(void **state)
{
    const char *const argv[] = { "env", NULL };
    const char *const env[] = { "A=1", NULL };
    auto_free char *given = NULL, *standard = NULL;
    struct err err = { 0 };
    (void)state;

    setenv("SECRET_OF_THE_PARENT", "x", 1);
    assert_int_equal(proc_check(&RUN(.argv = argv, .env = env), &given, NULL, &err), 0);
    assert_string_equal(given, "A=1\n");
    assert_int_equal(proc_check(&RUN(.argv = argv), &standard, NULL, &err), 0);
    assert_null(strstr(standard, "SECRET_OF_THE_PARENT"));
    assert_non_null(strstr(standard, "HOME=/nonexistent\n"));
}

static void test_input_and_folder(void **state)
{
    auto_free char *input = xcalloc(300000, 1), *output = NULL, *dir = NULL;
    struct err err = { 0 };
    size_t len = 0;
    (void)state;

    memset(input, 'x', 300000);
    assert_int_equal(proc_check(&RUN_WITHIN(20000, 300000, .argv = SHELL("cat"), .input = input,
                                            .input_len = 300000),
                                &output, &len, &err),
                     0);
    assert_int_equal(len, 300000);
    assert_memory_equal(output, input, 300000);
    assert_int_equal(proc_check(&RUN(.argv = SHELL("pwd"), .dir = "/usr"), &dir, NULL, &err), 0);
    assert_string_equal(dir, "/usr\n");
}

static void test_a_child_that_does_not_read(void **state)
{
    auto_free char *input = xcalloc(300000, 1);
    struct err err = { 0 };
    (void)state;

    assert_int_equal(
        proc_check(&RUN(.argv = SHELL("exec <&-; echo hi"), .input = input, .input_len = 300000),
                   NULL, NULL, &err),
        0);
}

static void test_too_much_output(void **state)
{
    struct err err = { 0 };
    (void)state;

    assert_int_equal(proc_check(&RUN_WITHIN(20000, 1000, .argv = SHELL("yes")), NULL, NULL, &err),
                     -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
}

static int refuse_third(void *arg, const void *data, size_t len, struct err *err)
{
    size_t *total = arg;
    (void)data;

    *total += len;
    return *total > 100000 ? err_set(err, ERR_INVALID, "enough") : 0;
}

static void test_output_by_pieces(void **state)
{
    auto_proc_result result = { 0 };
    struct err err = { 0 };
    size_t total = 0;
    (void)state;

    assert_int_equal(
        proc_run(&RUN(.argv = SHELL("printf abc"), .on_output = refuse_third, .arg = &total),
                 &result, &err),
        0);
    assert_int_equal(total, 3);
    assert_null(result.output);
    assert_int_equal(
        proc_check(&RUN(.argv = SHELL("yes"), .on_output = refuse_third, .arg = &total), NULL, NULL,
                   &err),
        -1);
    assert_string_equal(err.text, "enough");
}

/* Each must end long before the child would. */
static void test_time_limits(void **state)
{
    static const char *const scripts[] = {
        "sleep 60",
        "sleep 60 & wait",              /* a grandchild */
        "sleep 60 & exit 0",            /* a grandchild that keeps the output open */
        "exec >&- 2>&-; exec sleep 60", /* outputs closed, still running */
        "trap '' TERM INT HUP; while :; do sleep 1; done",
    };
    (void)state;

    for (size_t i = 0; i < countof(scripts); i++) {
        struct err err = { 0 };
        int64_t before = clock_mono_ms(clock_system());
        assert_int_equal(
            proc_check(&RUN_WITHIN(300, 100, .argv = SHELL(scripts[i])), NULL, NULL, &err), -1);
        assert_int_equal(err.class, ERR_TIMEOUT);
        assert_true(clock_mono_ms(clock_system()) - before < 20000);
    }
}

static void cancel_soon(void *arg)
{
    work_sleep(150);
    __atomic_store_n((bool *)arg, true, __ATOMIC_SEQ_CST);
}

static void test_cancel_from_another_thread(void **state)
{
    bool cancelled = false;
    struct err err = { 0 };
    (void)state;

    struct thread *thread = thread_start(cancel_soon, &cancelled);
    assert_int_equal(
        proc_check(&RUN(.argv = SHELL("sleep 60"), .cancelled = &cancelled), NULL, NULL, &err), -1);
    thread_join(thread);
    assert_int_equal(err.class, ERR_STOPPED);
}

static void test_what_cannot_start(void **state)
{
    const char *const argv[] = { "/nonexistent/program", NULL };
    struct err err = { 0 };
    (void)state;

    assert_int_equal(proc_check(&RUN(.argv = argv), NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/program"));
}

static void test_killed_by_a_signal(void **state)
{
    auto_proc_result result = { 0 };
    struct err err = { 0 };
    (void)state;

    assert_int_equal(proc_run(&RUN(.argv = SHELL("kill -9 $$")), &result, &err), 0);
    assert_int_equal(result.exit_code, 128 + SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_errors_and_exit_code),
        cmocka_unit_test(test_check_reports_the_last_line),
        cmocka_unit_test(test_only_the_given_environment),
        cmocka_unit_test(test_input_and_folder),
        cmocka_unit_test(test_a_child_that_does_not_read),
        cmocka_unit_test(test_too_much_output),
        cmocka_unit_test(test_output_by_pieces),
        cmocka_unit_test(test_time_limits),
        cmocka_unit_test(test_cancel_from_another_thread),
        cmocka_unit_test(test_what_cannot_start),
        cmocka_unit_test(test_killed_by_a_signal),
    };
    return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
