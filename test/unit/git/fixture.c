#include "fixture.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proc.h"

static const char *const env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/nonexistent",
    "LC_ALL=C.UTF-8",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_AUTHOR_NAME=Ann Example",
    "GIT_AUTHOR_EMAIL=ann@example.org",
    "GIT_AUTHOR_DATE=2026-01-31T08:00:00Z",
    "GIT_COMMITTER_NAME=Ann Example",
    "GIT_COMMITTER_EMAIL=ann@example.org",
    "GIT_COMMITTER_DATE=2026-01-31T09:00:00Z",
    NULL,
};

enum { ARGS_MAX = 32 };

static void run(const char *dir, va_list args, struct proc_result *result)
{
    const char *argv[ARGS_MAX + 2] = { "git" };
    size_t count = 1;
    struct err err = { 0 };

    for (const char *arg; (arg = va_arg(args, const char *));) {
        assert_true(count <= ARGS_MAX);
        argv[count++] = arg;
    }
    const struct proc_options options = {
        .argv = argv, .env = env, .dir = dir, .timeout_ms = 60000, .output_max = 1 << 20
    };
    if (proc_run(&options, result, &err))
        fail_msg("git %s: %s", argv[1], err.text);
}

char *fixture_git(const char *dir, ...)
{
    auto_proc_result result = { 0 };
    va_list args;

    va_start(args, dir);
    run(dir, args, &result);
    va_end(args);
    if (result.exit_code)
        fail_msg("git: exit code %d: %s", result.exit_code, result.errors);
    if (result.output_len && result.output[result.output_len - 1] == '\n')
        result.output[result.output_len - 1] = '\0';
    return take(&result.output);
}

int fixture_try(const char *dir, char **errors, ...)
{
    auto_proc_result result = { 0 };
    va_list args;

    va_start(args, errors);
    run(dir, args, &result);
    va_end(args);
    *errors = take(&result.errors);
    return result.exit_code;
}

void fixture_write(const struct fixture *f, const char *path, const char *text)
{
    auto_free char *file = fs_join(f->work, path), *folder = xstrdup(file);
    struct err err = { 0 };

    *strrchr(folder, '/') = '\0';
    assert_int_equal(fs_make_dirs(folder, 0755, &err), 0);
    assert_int_equal(fs_write(file, text, strlen(text), 0644, &err), 0);
}

void fixture_push(const struct fixture *f)
{
    free(fixture_git(f->work, "push", "--quiet", "--force", "--all", f->bare, NULL));
    free(fixture_git(f->work, "push", "--quiet", "--force", "--tags", f->bare, NULL));
    free(fixture_git(f->bare, "update-server-info", NULL));
}

char *fixture_commit(const struct fixture *f, const char *message)
{
    free(fixture_git(f->work, "add", "--all", NULL));
    free(fixture_git(f->work, "commit", "--quiet", "--allow-empty", "-m", message, NULL));
    fixture_push(f);
    return fixture_git(f->work, "rev-parse", "HEAD", NULL);
}

static void start_server(struct fixture *f)
{
    char *argv[] = { (char *)(uintptr_t)GIT_SERVER, f->dir, NULL };
    posix_spawn_file_actions_t files;
    char line[16] = "";
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&files, fds[0]);
    posix_spawn_file_actions_addclose(&files, fds[1]);
    assert_int_equal(posix_spawn(&f->server, argv[0], &files, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&files);
    close(fds[1]);
    f->server_out = fds[0];
    assert_true(read(f->server_out, line, sizeof line - 1) > 0);
    f->port = (int)strtol(line, NULL, 10);
    assert_true(f->port > 0);
}

int fixture_start(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char template[] = "/tmp/evenkeel-git-XXXXXX";

    signal(SIGPIPE, SIG_IGN); /* as loop_new does in programs */
    git_setup();
    git_allow_file = true;
    assert_non_null(mkdtemp(template));
    f->dir = xstrdup(template);
    f->work = fs_join(f->dir, "work");
    f->bare = fs_join(f->dir, "shop.git");
    free(fixture_git(f->dir, "init", "--quiet", "--initial-branch=main", f->work, NULL));
    free(fixture_git(f->dir, "init", "--quiet", "--bare", "--initial-branch=main", f->bare, NULL));
    fixture_write(f, "evenkeel.yaml", "app: shop\n");
    fixture_write(f, "web/app/index.html", "hello\n");
    free(fixture_commit(f, "the first"));
    start_server(f);
    *state = f;
    return 0;
}

int fixture_stop(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    kill(f->server, SIGKILL);
    waitpid(f->server, NULL, 0);
    close(f->server_out);
    assert_int_equal(fs_remove_tree(f->dir, &err), 0);
    free(f->dir);
    free(f->work);
    free(f->bare);
    free(f);
    return 0;
}

char *fixture_url(const struct fixture *f, const char *way)
{
    return xasprintf("http://127.0.0.1:%d/%s/shop.git", f->port, way);
}
