/* Changes of an app's overlay, whoever asks for them. Worker threads, in the caller's transaction.
 */
#ifndef CONTROLLER_API_APP_CHANGE_H
#define CONTROLLER_API_APP_CHANGE_H

#include "controller/api/api.h"

/* For what changes an app: api_app in a writing transaction; ERR_CONFLICT while the app is being
 * destroyed. */
int app_to_change(struct rpc_call *call, const json_t *params, struct caller *caller,
                  struct tx **tx, struct app_row *app, struct err *err);

/* An overlay that stands alone must make a whole spec; one over a repository is checked against the
 * repository when there is a commit. */
int app_check_overlay(struct controller *c, const char *project, const char *name,
                      const json_t *overlay, bool has_repository, struct err *err);

/* The overlay with the change on top, checked as far as it can be without the commit; recorded as a
 * new generation. */
int app_change(struct controller *c, struct tx *tx, struct app_row *app, const json_t *change,
               const char *author, int64_t *generation, struct err *err);

#endif
