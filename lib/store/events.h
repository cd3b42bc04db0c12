/* The journal: one line for everything that happened, and the conditions of apps. */
#ifndef STORE_EVENTS_H
#define STORE_EVENTS_H

#include <jansson.h>

#include "store/store.h"

/* What an event is about; unset members are NULL. */
struct event {
    const char *project_id, *app_id;
    const char *kind;    /* source, build, rollout, instance, app, system */
    const char *reason;  /* CamelCase, stable: BuildQueued */
    const char *message; /* for people */
    const json_t *data;
};
int store_add_event(struct tx *tx, const struct event *event, struct err *err);

/* Newest `limit` (ascending) or, with after ≥ 0, the next ones after that seq. `app_id` NULL: the
 * project's; both NULL: all. */
int store_list_events(struct tx *tx, const char *project_id, const char *app_id, int64_t after,
                      int64_t limit, json_t **events, struct err *err);
int store_last_event(struct tx *tx, int64_t *seq, struct err *err);
int store_trim_events(struct tx *tx, int64_t keep, struct err *err);

enum condition_status { CONDITION_TRUE, CONDITION_FALSE, CONDITION_UNKNOWN };

/* `since` moves only when status or reason change; then true is returned in *changed (may be NULL).
 * `next_try_ms` is from now, or -1. */
int store_set_condition(struct tx *tx, const char *app_id, const char *type,
                        enum condition_status status, const char *reason, const char *message,
                        int64_t next_try_ms, bool *changed, struct err *err);
int store_clear_condition(struct tx *tx, const char *app_id, const char *type, struct err *err);
int store_list_conditions(struct tx *tx, const char *app_id, json_t **conditions, struct err *err);

#endif
