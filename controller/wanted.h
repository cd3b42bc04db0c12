/* What an app should be, from its commit and its overlay: the full spec. Used by the registrar, and
 * by the API to check a change before it is stored. Worker threads. */
#ifndef CONTROLLER_WANTED_H
#define CONTROLLER_WANTED_H

#include <jansson.h>

#include "controller/controller.h"
#include "store/apps.h"

/* NAME.domain for the default project, NAME.PROJECT.domain for others. */
char *wanted_host(const struct controller_config *config, const struct app_row *app);

/* The repository's evenkeel.yaml and Procfile at `sha` under the overlay, complete. `repository`
 * NULL: the overlay alone. *why (may be NULL) says what `auto` decided, or is NULL. ERR_INVALID is
 * the author's to mend. */
int wanted_spec(struct controller *c, const struct app_row *app,
                const struct repository_row *repository, const char *sha, json_t **full, char **why,
                struct err *err);

/* Is what is wanted of the app now live: its wanted build made the artifact of the wanted release,
 * and that release is the live one? `sha` not NULL: and all this for that commit. */
int wanted_is_live(struct tx *tx, const struct app_row *app, const char *sha, bool *is_live,
                   struct err *err);

#endif
