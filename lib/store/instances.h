/* Instances: what was asked of the backend and what it last said. Observed state: written with
 * TX_OBSERVE. */
#ifndef STORE_INSTANCES_H
#define STORE_INSTANCES_H

#include <jansson.h>

#include "store/store.h"

struct instance_row {
    char *name, *app_id, *release_id, *process, *state, *address;
    int64_t number, port, exit_code, restarts, restart_at, drain_at,
        started_at; /* drain_at 0: not draining */
};
struct instance_list {
    struct instance_row *items;
    size_t count;
};
void instance_list_done(struct instance_list *list);
#define auto_instance_list __attribute__((__cleanup__(instance_list_done))) struct instance_list

int store_app_instances(struct tx *tx, const char *app_id, struct instance_list *list,
                        struct err *err);
/* Inserted, or all but the name and app replaced. ERR_EXISTS when another app has the name:
 * PROJECT- APP-PROCESS can be read in more than one way. */
int store_put_instance(struct tx *tx, const struct instance_row *instance, struct err *err);
int store_remove_instance(struct tx *tx, const char *name, struct err *err);
int store_count_instances(struct tx *tx, int64_t *count, struct err *err);
/* The app of an instance by its name; ERR_NOT_FOUND. */
int store_instance_app(struct tx *tx, const char *name, char **app_id, struct err *err);
/* Work for the synchronizer: apps whose instance is called running, but whose name is not in
 * `names` (an array of texts). *count says how many. */
int store_add_work_for_lost_instances(struct tx *tx, const json_t *names, int64_t *count,
                                      struct err *err);
int store_list_instances(struct tx *tx, const char *app_id, json_t **instances, struct err *err);

#endif
