/* The supervisor with real child processes: sleep, and a shell that traps signals. */
#include "cmd/cli/supervisor.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/loop.h"
#include "base/mem.h"
#include "cmd/cli/logfile.h"
#include "cmd/cli/process.h"

enum { PATIENCE_MS = 20000, LOOK_US = 20000 };

static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };

/* A folder for pid files and logs, and the process that supervises in it. */
struct fixture {
    char dir[32];
    pid_t supervisor;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);

    memcpy(f->dir, "/tmp/supervisor-XXXXXX", 23);
    assert_non_null(mkdtemp(f->dir));
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans of a killed supervisor come to us, who reap them */
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    fs_remove_tree(f->dir, &err);
    free(f);
    return 0;
}

static void stop(void *arg)
{
    supervisor_stop(*(struct supervisor **)arg);
}

static void over(void *arg)
{
    loop_stop(arg);
}

/* Runs a supervisor in a process of its own, as `evenkeel up` does, until SIGTERM. */
static void run(struct fixture *f, const struct supervisor_child *children, size_t count,
                bool renew)
{
    f->supervisor = fork();
    if (f->supervisor)
        return;
    struct supervisor *s = NULL;
    struct loop *loop = loop_new(stop, &s);
    struct supervisor_config config = { .children = children,
                                        .count = count,
                                        .env = env,
                                        .run_dir = f->dir,
                                        .log_dir = f->dir,
                                        .log_max = 1000,
                                        .renew = renew,
                                        .over = over,
                                        .arg = loop };
    s = supervisor_start(loop, &config);
    loop_run(loop);
    loop_free(loop);
    _exit(0);
}

static void end(struct fixture *f, int number)
{
    int status;

    kill(f->supervisor, number);
    assert_int_equal(waitpid(f->supervisor, &status, 0), f->supervisor);
    if (number == SIGTERM)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The pid of a program that runs, other than `not`; waits for it. */
static pid_t pid_of(struct fixture *f, const char *name, pid_t not )
{
    auto_free char *path = supervisor_pid_path(f->dir, name);
    int64_t end_ms = clock_mono_ms(clock_system()) + PATIENCE_MS;

    while (clock_mono_ms(clock_system()) < end_ms) {
        pid_t pid = 0;
        auto_fd int fd = pidfile_open(path, &pid);
        if (fd >= 0 && pid != not )
            return pid;
        usleep(LOOK_US);
    }
    fail_msg("%s does not run", name);
    return 0;
}

static char *log_of(struct fixture *f, const char *name)
{
    auto_free char *path = supervisor_log_path(f->dir, name);
    struct err err = { 0 };
    char *text = NULL;

    if (fs_read(path, 1 << 20, &text, NULL, &err))
        return xstrdup("");
    return text;
}

static void wait_for_log(struct fixture *f, const char *name, const char *word)
{
    int64_t end_ms = clock_mono_ms(clock_system()) + PATIENCE_MS;

    while (clock_mono_ms(clock_system()) < end_ms) {
        auto_free char *text = log_of(f, name);
        if (strstr(text, word))
            return;
        usleep(LOOK_US);
    }
    fail_msg("the log of %s does not say %s", name, word);
}

/* Not running, and nothing of its group either. */
static void assert_gone(pid_t pid)
{
    int64_t end_ms = clock_mono_ms(clock_system()) + PATIENCE_MS;

    while (clock_mono_ms(clock_system()) < end_ms) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ; /* orphans that came to us */
        if (kill(-pid, 0))
            return;
        usleep(LOOK_US);
    }
    fail_msg("group %d still runs", (int)pid);
}

static const char *const sleep_argv[] = { "sleep", "1000", NULL };
static const struct supervisor_child sleeper[] = {
    { .name = "sleeper", .argv = sleep_argv, .stop_signal = SIGTERM, .stop_ms = 5000 }
};

static void test_restarts_what_crashed(void **state)
{
    struct fixture *f = *state;

    run(f, sleeper, 1, false);
    pid_t first = pid_of(f, "sleeper", 0);
    kill(first, SIGKILL);
    pid_t second = pid_of(f, "sleeper", first);
    assert_int_not_equal(first, second);
    end(f, SIGTERM);
    assert_gone(second);
}

static void test_backs_off_when_a_program_cannot_start(void **state)
{
    static const char *const argv[] = { "/nonexistent/program", NULL };
    static const struct supervisor_child broken[] = {
        { .name = "broken", .argv = argv, .stop_signal = SIGTERM, .stop_ms = 1000 }
    };
    struct fixture *f = *state;
    size_t lines = 0;

    run(f, broken, 1, false);
    wait_for_log(f, "broken", "No such file");
    usleep(1000 * 1000);
    end(f, SIGTERM);
    auto_free char *text = log_of(f, "broken");
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    assert_in_range(lines, 2, 5); /* at 0, 100, 300, 700, 1500 ms */
}

static void test_adopts_after_a_kill(void **state)
{
    struct fixture *f = *state;

    run(f, sleeper, 1, false);
    pid_t first = pid_of(f, "sleeper", 0);
    end(f, SIGKILL);
    assert_int_equal(kill(first, 0), 0);

    run(f, sleeper, 1, false);
    usleep(300 * 1000);
    assert_int_equal(pid_of(f, "sleeper", 0), first); /* not started a second time */
    kill(first, SIGKILL);                             /* its end is noticed though it is no child */
    pid_t second = pid_of(f, "sleeper", first);
    end(f, SIGTERM);
    assert_gone(first);
    assert_gone(second);
}

static void test_stops_what_it_adopted(void **state)
{
    struct fixture *f = *state;

    run(f, sleeper, 1, false);
    pid_t first = pid_of(f, "sleeper", 0);
    end(f, SIGKILL);
    run(f, sleeper, 1, false);
    usleep(300 * 1000);
    end(f, SIGTERM);
    assert_gone(first);
}

static void test_renews_what_it_adopted(void **state)
{
    struct fixture *f = *state;

    run(f, sleeper, 1, false);
    pid_t first = pid_of(f, "sleeper", 0);
    end(f, SIGKILL);
    run(f, sleeper, 1, true);
    pid_t second = pid_of(f, "sleeper", first);
    end(f, SIGTERM);
    assert_gone(first);
    assert_gone(second);
}

/* A program whose file was replaced while nobody supervised it, and one whose file is the same. */
static void test_renews_what_was_replaced(void **state)
{
    struct fixture *f = *state;
    auto_free char *program = fs_join(f->dir, "program"), *beside = fs_join(f->dir, "beside");
    const char *argv[] = { program, "1000", NULL }, *same_argv[] = { "/bin/sleep", "1000", NULL };
    const struct supervisor_child both[] = {
        { .name = "other", .argv = argv, .stop_signal = SIGTERM, .stop_ms = 2000 },
        { .name = "same", .argv = same_argv, .stop_signal = SIGTERM, .stop_ms = 2000 },
    };
    auto_free char *bytes = NULL;
    struct err err = { 0 };
    size_t len;

    assert_int_equal(fs_read("/bin/sleep", 1 << 20, &bytes, &len, &err), 0);
    assert_int_equal(fs_write(program, bytes, len, 0700, &err), 0);
    run(f, both, 2, false);
    pid_t first = pid_of(f, "other", 0), same = pid_of(f, "same", 0);
    end(f, SIGKILL);
    assert_int_equal(fs_write(beside, bytes, len, 0700, &err), 0);
    assert_int_equal(rename(beside, program), 0);
    run(f, both, 2, false);
    pid_t second = pid_of(f, "other", first);
    assert_int_equal(pid_of(f, "same", 0), same);
    end(f, SIGTERM);
    assert_gone(first);
    assert_gone(second);
    assert_gone(same);
}

static void test_takes_no_other_program_for_its_own(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    auto_free char *path = supervisor_pid_path(f->dir, "sleeper");
    auto_free char *text = xasprintf("%d 1\n", (int)getpid()); /* this pid, another start time */
    pid_t pid;

    assert_int_equal(fs_write(path, text, strlen(text), 0600, &err), 0);
    assert_int_equal(pidfile_open(path, &pid), -1);
    assert_int_equal(fs_write(path, "nonsense", 8, 0600, &err), 0);
    assert_int_equal(pidfile_open(path, &pid), -1);
    assert_int_equal(pidfile_write_self(path), 0);
    auto_fd int fd = pidfile_open(path, &pid);
    assert_true(fd >= 0);
    assert_int_equal(pid, getpid());
}

/* Each writes the moment of its end to a log of its own; b takes longer to start stopping than a.
 */
#define WHEN_STOPPED \
    "trap 'sleep 0.2; date +%s%N; exit 0' TERM; echo ready; while :; do sleep 0.05; done"

static void test_stops_in_order(void **state)
{
    static const char *const argv[] = { "sh", "-c", WHEN_STOPPED, NULL };
    static const struct supervisor_child three[] = {
        { .name = "a", .argv = argv, .stop_signal = SIGTERM, .stop_ms = 9000 },
        { .name = "b", .argv = argv, .stop_signal = SIGTERM, .stop_ms = 9000 },
        { .name = "c", .argv = argv, .stop_signal = SIGTERM, .stop_ms = 9000 }
    };
    struct fixture *f = *state;
    long long at[3] = { 0 };

    run(f, three, 3, false);
    for (size_t i = 0; i < 3; i++)
        wait_for_log(f, three[i].name, "ready");
    end(f, SIGTERM);
    for (size_t i = 0; i < 3; i++) {
        auto_free char *text = log_of(f, three[i].name);
        const char *line = strchr(text, '\n');
        assert_non_null(line);
        at[i] = strtoll(line + 1, NULL, 10);
        assert_true(at[i] > 0);
    }
    assert_true(at[0] + 200000000 <= at[1]); /* b was asked only when a was gone */
    assert_true(at[1] + 200000000 <= at[2]);
}

static void test_kills_what_does_not_stop(void **state)
{
    static const char *const argv[] = { "sh", "-c",
                                        "trap '' TERM; echo ready; while :; do sleep 1; done",
                                        NULL };
    static const struct supervisor_child stubborn[] = {
        { .name = "stubborn", .argv = argv, .stop_signal = SIGTERM, .stop_ms = 300 }
    };
    struct fixture *f = *state;

    run(f, stubborn, 1, false);
    wait_for_log(f, "stubborn", "ready");
    pid_t pid = pid_of(f, "stubborn", 0);
    end(f, SIGTERM);
    assert_gone(pid);
}

static void test_leaves_no_worker_of_a_killed_master(void **state)
{
    static const char *const argv[] = { "sh", "-c", "sleep 1000 & echo ready; wait", NULL };
    static const struct supervisor_child master[] = {
        { .name = "master", .argv = argv, .stop_signal = SIGTERM, .stop_ms = 3000 }
    };
    struct fixture *f = *state;

    run(f, master, 1, false);
    wait_for_log(f, "master", "ready");
    pid_t first = pid_of(f, "master", 0);
    kill(first, SIGKILL);
    pid_t second = pid_of(f, "master", first);
    assert_gone(first);
    end(f, SIGTERM);
    assert_gone(second);
}

static void test_waits_for_the_file(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    auto_free char *file = fs_join(f->dir, "file");
    auto_free char *pid_path = supervisor_pid_path(f->dir, "sleeper");
    const struct supervisor_child waiting[] = { { .name = "sleeper",
                                                  .argv = sleep_argv,
                                                  .wait_for = file,
                                                  .stop_signal = SIGTERM,
                                                  .stop_ms = 5000 } };
    pid_t pid;

    run(f, waiting, 1, false);
    usleep(500 * 1000);
    assert_int_equal(pidfile_open(pid_path, &pid), -1);
    assert_int_equal(fs_write(file, "", 0, 0600, &err), 0);
    pid = pid_of(f, "sleeper", 0);
    end(f, SIGTERM);
    assert_gone(pid);
}

static void test_removes_what_a_killed_program_leaves(void **state)
{
    static const char *const argv[] = { "sh", "-c",
                                        "set -C; : >socket || exit 1; echo ready; exec sleep 1000",
                                        NULL };
    struct fixture *f = *state;
    auto_free char *socket = fs_join(f->dir, "socket");
    const struct supervisor_child binder[] = { { .name = "binder",
                                                 .argv = argv,
                                                 .leftover = socket,
                                                 .stop_signal = SIGTERM,
                                                 .stop_ms = 5000 } };

    assert_int_equal(chdir(f->dir), 0); /* the children's folder is this process's */
    run(f, binder, 1, false);
    wait_for_log(f, "binder", "ready");
    pid_t first = pid_of(f, "binder", 0);
    kill(first, SIGKILL);
    wait_for_log(f, "binder", "ready\nready");
    end(f, SIGTERM);
    assert_int_equal(chdir("/"), 0);
}

static void test_stops_while_waiting(void **state)
{
    static const struct supervisor_child waiting[] = { { .name = "never",
                                                         .argv = sleep_argv,
                                                         .wait_for = "/nonexistent/file",
                                                         .stop_signal = SIGTERM,
                                                         .stop_ms = 5000 } };
    struct fixture *f = *state;

    run(f, waiting, 1, false);
    usleep(200 * 1000);
    end(f, SIGTERM);
}

static void test_rotates_logs(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };
    auto_free char *path = supervisor_log_path(f->dir, "x");
    auto_free char *before = xasprintf("%s.1", path);
    auto_free char *kept = NULL;
    size_t len = 0;

    assert_int_equal(logfile_rotate(path, 100, &err), 0); /* absent */
    assert_int_equal(fs_write(path, "short", 5, 0600, &err), 0);
    assert_int_equal(logfile_rotate(path, 100, &err), 0);
    assert_false(fs_exists(before));
    auto_free char *big = xcalloc(1, 500);
    memset(big, 'x', 499);
    memcpy(big + 496, "end", 3);
    assert_int_equal(fs_write(path, big, 499, 0600, &err), 0);
    assert_int_equal(logfile_rotate(path, 100, &err), 0);
    assert_int_equal(fs_read(before, 1000, &kept, &len, &err), 0);
    assert_int_equal(len, 200); /* the end of a flood */
    assert_string_equal(kept + 197, "end");
    auto_free char *now = log_of(f, "x");
    assert_string_equal(now, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_restarts_what_crashed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_backs_off_when_a_program_cannot_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_adopts_after_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_what_it_adopted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renews_what_it_adopted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renews_what_was_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_no_other_program_for_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kills_what_does_not_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaves_no_worker_of_a_killed_master, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removes_what_a_killed_program_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_while_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotates_logs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
