/* The hooks of hosted repositories: this program, started by git receive-pack under another name,
 * in the repository's folder.
 *
 * pre-receive looks at what was pushed while it is still in quarantine, and refuses a push whose
 * evenkeel.yaml or Procfile is wrong, with the line, before anything has changed. proc-receive
 * (proc_receive.c) hands each branch to the controller and waits until the app is live. What they
 * print on standard error is what the pusher sees as "remote:" lines.
 *
 * Being programs of their own, they read the environment that git_http.c prepared. */
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/git.h"
#include "gateway/proc_receive.h"
#include "git/git.h"
#include "model/spec.h"

/* ---- pre-receive ---- */

static int parse_yaml(const char *text, size_t len, json_t **sparse, struct err *err)
{
    return spec_parse_yaml(text, len, "evenkeel.yaml", sparse, err);
}

static const struct {
    const char *path;
    int (*parse)(const char *text, size_t len, json_t **sparse, struct err *err);
} checked[] = {
    { "Procfile", spec_parse_procfile },
    { "evenkeel.yaml", parse_yaml },
};

/* A file that is not there is fine. */
static int check_file(size_t which, const char *sha, struct err *err)
{
    auto_free char *text = NULL;
    json_auto_t *sparse = NULL;
    size_t len = 0;
    struct err failed = { 0 };

    if (git_read_file(NULL, sha, checked[which].path, SPEC_SIZE_MAX, &text, &len, &failed) == 0)
        return checked[which].parse(text, len, &sparse, err);
    if (failed.class == ERR_NOT_FOUND)
        return 0;
    *err = failed;
    return -1;
}

static bool is_branch_update(const struct pushed *p)
{
    return text_starts(p->ref, "refs/heads/") && !pushed_is_deletion(p);
}

static int check_push(const struct pushed *p)
{
    int rc = 0;

    for (size_t i = 0; i < countof(checked) && is_branch_update(p); i++) {
        struct err err = { 0 };
        if (check_file(i, p->new, &err) == 0)
            continue;
        fprintf(stderr, "%s%s%s\n", err.text, err.hint[0] ? "; " : "", err.hint);
        fprintf(stderr, "%s was refused and nothing has changed: correct %s and push again\n",
                p->ref + strlen("refs/heads/"), checked[i].path);
        rc = -1;
    }
    return rc;
}

/* "OLD NEW REF" lines. One branch refused refuses the push: git knows no finer answer here. */
static int run_pre_receive(void)
{
    auto_free char *line = NULL;
    size_t size = 0;
    ssize_t len;
    int rc = 0;

    while ((len = getline(&line, &size, stdin)) > 0) {
        struct pushed p;
        if (line[len - 1] == '\n')
            line[--len] = '\0';
        if (pushed_parse(line, (size_t)len, &p)) {
            fprintf(stderr, "git has handed over a line that is no update of a ref\n");
            return 1;
        }
        if (check_push(&p))
            rc = 1;
        free(p.ref);
    }
    return rc;
}

/* ---- main ---- */

static const struct {
    const char *name;
    int (*run)(void);
} hooks[] = {
    { "pre-receive", run_pre_receive },
    { "proc-receive", proc_receive_run },
};

static int find_hook(const char *argv0)
{
    auto_free char *copy = xstrdup(argv0);
    const char *name = basename(copy);

    for (size_t i = 0; i < countof(hooks); i++)
        if (strcmp(hooks[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool gateway_is_hook(const char *argv0)
{
    return find_hook(argv0) >= 0;
}

int gateway_hook_main(int argc, char **argv)
{
    int hook = argc > 0 ? find_hook(argv[0]) : -1;

    if (hook < 0)
        return 2;
    log_set_level("error"); /* the log is what the pusher sees */
    git_setup();
    return hooks[hook].run();
}
