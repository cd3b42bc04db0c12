/* The controller's methods: one file per resource; methods.c is the table. Handlers run on the
 * request pool, top to bottom: who asks, what about, one transaction, the answer. */
#ifndef CONTROLLER_API_API_H
#define CONTROLLER_API_API_H

#include <jansson.h>

#include "controller/controller.h"
#include "rpc/rpc.h"
#include "store/apps.h"
#include "store/projects.h"
#include "store/repositories.h"

extern const struct rpc_method api_methods[];
extern const size_t api_method_count;

/* Who asks. A token of one project sees that project only; everything else is "no such …" to it. */
struct caller {
    char *name;       /* of the token, or "local" */
    char *project_id; /* NULL: all projects */
    bool is_admin;    /* a token of all projects, or a local peer */
};
void caller_done(struct caller *caller);
#define auto_caller __attribute__((__cleanup__(caller_done))) struct caller

static inline struct controller *api_controller(const struct rpc_call *call)
{
    return rpc_call_arg(call);
}

/* From `as.token`. ERR_UNAUTHENTICATED. A local peer of kind cli needs none. */
int api_caller(struct rpc_call *call, const json_t *params, struct caller *caller, struct err *err);
int api_admin(const struct caller *caller, struct err *err); /* ERR_DENIED */

/* Caller and project (`project`, default "default") in one. Begins the transaction. */
int api_project(struct rpc_call *call, const json_t *params, enum tx_mode mode,
                struct caller *caller, struct tx **tx, struct project_row *project,
                struct err *err);
/* The same, and the app named by `app`. */
int api_app(struct rpc_call *call, const json_t *params, enum tx_mode mode, struct caller *caller,
            struct tx **tx, struct app_row *app, struct err *err);
int api_repository(struct rpc_call *call, const json_t *params, enum tx_mode mode,
                   struct caller *caller, struct tx **tx, struct project_row *project,
                   struct repository_row *repository, struct err *err);
/* May the caller see this project? ERR_NOT_FOUND "no such WHAT". */
int api_may_see(const struct caller *caller, const char *project_id, const char *what,
                struct err *err);

/* Members of params. Text: NULL when absent and not required. */
int api_text(const json_t *params, const char *name, bool is_required, const char **text,
             struct err *err);
int64_t api_number(const json_t *params, const char *name, int64_t fallback, int64_t min,
                   int64_t max);

/* The number of a release: 7, "7" or "v7"; 0 when absent and not required. */
int api_release(const json_t *params, bool is_required, int64_t *number, struct err *err);

/* {items, next_cursor}: `rows` (taken) has up to limit + 1 rows; the last one too many becomes the
 * cursor by the member `key` of the one before. */
json_t *api_page(json_t *rows, int64_t limit, const char *key);
int64_t api_limit(const json_t *params);
const char *api_cursor(const json_t *params);

#endif
