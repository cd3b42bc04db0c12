/* The hook proc-receive (githooks(5)): hands every pushed branch to the controller and tells the
 * pusher what becomes of it. Inside gateway. */
#ifndef GATEWAY_PROC_RECEIVE_H
#define GATEWAY_PROC_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "git/git.h"

/* One ref of a push; an id of zeros says that there is none before, or shall be none after. */
struct pushed {
    char old[GIT_SHA_LEN + 1], new[GIT_SHA_LEN + 1];
    char *ref;
};

/* "OLD NEW REF"; -1 when it is anything else. `ref` is the caller's to free. */
int pushed_parse(const char *line, size_t len, struct pushed *pushed);
bool pushed_is_deletion(const struct pushed *pushed);

int proc_receive_run(void);

#endif
