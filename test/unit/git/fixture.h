/* A folder with real repositories, and real servers for it. Failing here fails the test. */
#ifndef GIT_FIXTURE_H
#define GIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/fs.h"
#include "base/mem.h"
#include "git/git.h"

struct fixture {
    char *dir;  /* temporary */
    char *work; /* dir/work: a work tree with "main" at the first commit */
    char *bare; /* dir/shop.git: what the servers serve; push to it with fixture_push */
    pid_t server;
    int server_out;
    int port;
};

/* For cmocka's group setup and teardown: *state is the fixture. */
int fixture_start(void **state);
int fixture_stop(void **state);

/* Runs git in `dir` and returns what it printed, without the last newline; must succeed. The last
 * argument is NULL. */
char *fixture_git(const char *dir, ...) __attribute__((sentinel));

/* The same for what may fail: the exit code, and what it said on standard error. */
int fixture_try(const char *dir, char **errors, ...) __attribute__((sentinel));

void fixture_write(const struct fixture *f, const char *path,
                   const char *text); /* in the work tree */

/* Commits all of the work tree and pushes everything; returns the commit. */
char *fixture_commit(const struct fixture *f, const char *message);
void fixture_push(const struct fixture *f);

/* http://127.0.0.1:PORT/WAY/shop.git */
char *fixture_url(const struct fixture *f, const char *way);

#endif
