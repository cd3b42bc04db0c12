/* The handlers, one file per resource; methods.c names who may call them. */
#ifndef CONTROLLER_API_RESOURCES_H
#define CONTROLLER_API_RESOURCES_H

#include "controller/api/api.h"

int agents_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int agents_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int agents_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_deploy(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_explain(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_follow(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_hold(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_logs(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_restart(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_resume(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_rollback(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int apps_update(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int build_attempt(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int build_lease(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int build_settle(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int build_site(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int build_source(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int builder_hello(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int builds_cancel(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int builds_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int builds_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int builds_log(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int env_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int env_set(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int events_follow(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int events_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int git_authorize(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int git_received(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int hooks_receive(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int instances_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int projects_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int projects_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int projects_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int projects_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int releases_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int releases_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int repositories_create(struct rpc_call *call, const json_t *params, json_t **result,
                        struct err *err);
int repositories_delete(struct rpc_call *call, const json_t *params, json_t **result,
                        struct err *err);
int repositories_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int repositories_list(struct rpc_call *call, const json_t *params, json_t **result,
                      struct err *err);
int repositories_refresh(struct rpc_call *call, const json_t *params, json_t **result,
                         struct err *err);
int rollouts_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int site_fetch(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int sites_serving(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int sites_wanted(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int sites_watch(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int system_info(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int system_status(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int tokens_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int tokens_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);
int tokens_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err);

/* A repository of a project; `url` NULL: hosted here, and made on disk when it is first asked for.
 */
int api_add_repository(struct controller *c, struct tx *tx, const struct project_row *project,
                       const char *name, const char *url, const char *user, const char *password,
                       struct repository_row *repository, struct err *err);

/* Waits for the readers of instances' logs to end, after work_stop and rpc_server_stop; loop
 * thread. */
void api_logs_end(struct controller *c);

#endif
