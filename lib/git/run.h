/* The git program as a child: an environment of its own in which only this module's settings count.
 * Inside lib/git. */
#ifndef GIT_RUN_H
#define GIT_RUN_H

#include "base/proc.h"
#include "git/git.h"

struct git_run {
    const char *const *args; /* after "git", NULL-ended */
    const char *repository;  /* bare folder, or NULL */
    const struct git_credentials
        *credentials; /* NULL: none. They go by the environment, never by argv */
    int64_t timeout_ms;
    size_t output_max;
    int64_t file_size_max; /* bytes of any file that it may write; 0: no limit */
    int (*on_output)(void *arg, const void *data, size_t len, struct err *err);
    void *arg;
};

/* 0 when it ended with exit code 0. Else its complaint is the error, with a class as far as the
 * complaint tells it. */
int git_run(const struct git_run *run, char **output, size_t *len, struct err *err);

/* How a remote is spoken to. ERR_INVALID for anything else, and for what could be taken for an
 * option. */
enum git_scheme { GIT_OVER_HTTP, GIT_OVER_SSH, GIT_OVER_FILE };
int git_check_url(const char *url, enum git_scheme *scheme, struct err *err);

/* NULL without credentials. Forges that know only tokens take any user. */
const char *git_credentials_user(const struct git_credentials *credentials);

#endif
