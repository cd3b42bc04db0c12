/* Log lines, caught from standard error: one line each, whatever the values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* Runs fn with standard error in a pipe; what it wrote, without the time. */
static char *caught(void (*fn)(void))
{
    int fds[2];
    char text[8192];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    int saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    fn();
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    assert_true(n >= 0);
    text[n] = '\0';
    return xstrdup(n > 25 ? text + 25 : text);
}

static void write_plain(void)
{
    struct err err = { 0 };

    err_set(&err, ERR_UNAVAILABLE, "connection refused");
    log_warn("polling repository", S("repository", "shop"), I("ms", -5), E(&err), S("none", NULL));
}

static void write_forged(void)
{
    log_info("event", S("name", "x\n2026-01-01T00:00:00.000Z error forged a=\"1\""),
             S("bytes", "\xff\x1b[2J\x7f\\ \xc3\xa4"), S("eq", "a=b"));
}

static void write_below_level(void)
{
    log_debug("hidden");
    log_set_level("error");
    log_warn("hidden", I("n", 1));
    log_error("shown");
    log_set_level("info");
}

static void test_fields(void **state)
{
    auto_free char *line = caught(write_plain);
    (void)state;
    assert_string_equal(line, "warn polling repository repository=shop ms=-5 "
                              "error=\"connection refused\" none=\"\"\n");
}

static void test_nothing_forges_a_line(void **state)
{
    auto_free char *line = caught(write_forged);
    (void)state;
    assert_string_equal(line,
                        "info event name=\"x\\n2026-01-01T00:00:00.000Z error forged a=\\\"1\\\"\" "
                        "bytes=\"\xef\xbf\xbd\\x1b[2J\\x7f\\\\ \xc3\xa4\" eq=\"a=b\"\n");
}

static void test_levels(void **state)
{
    auto_free char *line = caught(write_below_level);
    (void)state;
    assert_string_equal(line, "error shown\n");
    assert_int_equal(log_set_level("loud"), -1);
    assert_int_equal(log_set_level("debug"), 0);
    assert_int_equal(log_set_level("info"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nothing_forges_a_line),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
