/* Apps, their spec revisions (overlays), and their claims on hosts and paths. */
#ifndef STORE_APPS_H
#define STORE_APPS_H

#include <jansson.h>
#include <stdbool.h>

#include "store/store.h"

struct app_row {
    char *id, *project_id, *project, *name, *repository_id, *ref;
    int64_t network; /* of the project */
    int64_t generation, observed_generation, running, deleting, router_generation;
    char *wanted_sha, *wanted_build_id, *wanted_release_id, *live_release_id, *router_hash;
    json_t *hold;    /* {sha, generation, reason, message, at} or NULL */
    json_t *overlay; /* of the current generation */
};
void app_row_done(struct app_row *app);
#define auto_app __attribute__((__cleanup__(app_row_done))) struct app_row

int store_add_app(struct tx *tx, const char *project_id, const char *name,
                  const char *repository_id, const char *ref, const json_t *overlay,
                  const char *author, char **id, struct err *err);
int store_get_app(struct tx *tx, const char *id, struct app_row *app, struct err *err);
int store_find_app(struct tx *tx, const char *project_id, const char *name, struct app_row *app,
                   struct err *err);
/* The JSON members that come from the table; the API adds the rest. */
int store_show_app(struct tx *tx, const char *id, json_t **app, struct err *err);
int store_list_apps(struct tx *tx, const char *project_id, const char *after, int64_t limit,
                    json_t **apps, struct err *err);

/* A new spec revision; *generation is its number. */
int store_set_overlay(struct tx *tx, const char *id, const json_t *overlay, const char *author,
                      int64_t *generation, struct err *err);
/* Revisions older than the newest `keep` of an app go. */
int store_trim_specs(struct tx *tx, int64_t keep, struct err *err);
int store_set_running(struct tx *tx, const char *id, bool running, struct err *err);
int store_set_app_ref(struct tx *tx, const char *id, const char *ref, struct err *err);
int store_set_hold(struct tx *tx, const char *id, const json_t *hold,
                   struct err *err); /* NULL: none */
int store_set_deleting(struct tx *tx, const char *id, struct err *err);
int store_remove_app(struct tx *tx, const char *id, struct err *err);

/* What the registrar found out. NULL members are stored as NULL. */
int store_set_wanted(struct tx *tx, const char *id, int64_t generation, const char *sha,
                     const char *build_id, const char *release_id, struct err *err);
int store_set_live(struct tx *tx, const char *id, const char *release_id, struct err *err);
int store_next_router_generation(struct tx *tx, const char *id, int64_t *generation,
                                 struct err *err);
int store_set_router_hash(struct tx *tx, const char *id, const char *hash, struct err *err);

/* Work for the apps on a ref, or that want a build, or all that are not where they should be (the
 * full passes). */
int store_add_work_on_ref(struct tx *tx, const char *loop, const char *repository_id,
                          const char *ref, struct err *err);
int store_add_work_for_build(struct tx *tx, const char *loop, const char *build_id,
                             struct err *err);
int store_add_unobserved(struct tx *tx, struct err *err);
int store_add_moving(struct tx *tx, struct err *err);

int store_apps_on_ref(struct tx *tx, const char *repository_id, const char *ref,
                      struct id_list *list, struct err *err);
/* What a subject of the work queue is about: the app, or the apps of the repository. */
int store_apps_of_subject(struct tx *tx, const char *subject, struct id_list *list,
                          struct err *err);
int store_apps_of_build(struct tx *tx, const char *build_id, struct id_list *list, struct err *err);

/* Takes host and path for the app. ERR_EXISTS names the host when another app has it, or an app of
 * another project has any path of the host; field and hint are set. */
int store_claim_route(struct tx *tx, const char *app_id, const char *host, const char *path,
                      struct err *err);
/* Gives up the claims that neither the live nor the wanted release has, and wakes the apps that
 * were refused a host. */
int store_release_routes(struct tx *tx, const char *app_id, struct err *err);

#endif
