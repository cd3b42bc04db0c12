/* Following an app to the end of a deploy: its events and the log of its build as lines, then how
 * it ended. Used by apps.follow and by a git push. */
#ifndef CONTROLLER_API_FOLLOW_H
#define CONTROLLER_API_FOLLOW_H

#include "controller/api/log_tail.h"
#include "rpc/rpc.h"

struct app_follow {
    struct controller *c;
    char *app_id;
    char *sha;          /* the commit that should become live; NULL: whatever is wanted */
    int64_t after;      /* event seq */
    bool needs_publish; /* a push: only live once the branch is published */
    char *build_id;     /* whose log is shown */
    struct log_tail tail;
    int64_t started_ms;
};

struct app_follow *app_follow_new(struct controller *c, const char *app_id, const char *sha,
                                  int64_t after, bool needs_publish);
void app_follow_free(void *follow);

/* Sends what is new. 1: over, *result is how (taken by the caller): {result, message, release,
 * urls}; 0: wait; -1: the window is full. */
int app_follow_pump(struct app_follow *follow, struct rpc_call *call, json_t **result);

#endif
