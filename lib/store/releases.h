/* Releases and rollouts. */
#ifndef STORE_RELEASES_H
#define STORE_RELEASES_H

#include <jansson.h>
#include <stdbool.h>

#include "store/store.h"

struct release_row {
    char *id, *app_id, *key, *artifact, *sha, *state, *reason, *message;
    char *kind, *ref; /* of the artifact; NULL when it is gone */
    int64_t number, generation;
    json_t *spec; /* full, frozen */
};
void release_row_done(struct release_row *release);
#define auto_release __attribute__((__cleanup__(release_row_done))) struct release_row

struct release_wanted {
    const char *app_id, *key, *artifact, *sha;
    int64_t generation;
    const json_t *spec;
};
/* Found by its key, or made with the next number (*is_new). */
int store_want_release(struct tx *tx, const struct release_wanted *wanted,
                       struct release_row *release, bool *is_new, struct err *err);
int store_get_release(struct tx *tx, const char *id, struct release_row *release, struct err *err);
int store_find_release(struct tx *tx, const char *app_id, int64_t number,
                       struct release_row *release, struct err *err);
/* The one that was live before the live one; ERR_NOT_FOUND. */
int store_previous_release(struct tx *tx, const char *app_id, struct release_row *release,
                           struct err *err);
/* state pending, live, retired; live sets live_at. */
int store_set_release_state(struct tx *tx, const char *id, const char *state, struct err *err);
int store_reject_release(struct tx *tx, const char *id, const char *reason, const char *message,
                         const json_t *evidence, struct err *err);
/* Forgets a rejection; *forgotten says whether there was one. */
int store_forget_rejection(struct tx *tx, const char *id, bool *forgotten, struct err *err);
int store_show_release(struct tx *tx, const char *app_id, int64_t number, json_t **release,
                       struct err *err);
int store_list_releases(struct tx *tx, const char *app_id, int64_t before, int64_t limit,
                        json_t **releases, struct err *err);

/* Old ones go: beyond the newest `keep` of an app's that were live, and of its others. Never one
 * that is live, wanted or rolling out, that has instances, or that has the highest number. Their
 * rollouts go with them, and all but the newest `keep` rollouts of an app. *more: there are more
 * than `limit`. */
int store_trim_releases(struct tx *tx, int64_t keep, int64_t limit, bool *more, struct err *err);

struct rollout_row {
    char *id, *app_id, *release_id, *from_id, *state, *step;
    char *message; /* the last thing that was in its way, or NULL */
    int64_t elapsed_ms, stepped_at, failures;
};
void rollout_row_done(struct rollout_row *rollout);
#define auto_rollout __attribute__((__cleanup__(rollout_row_done))) struct rollout_row

/* The running rollout of an app; ERR_NOT_FOUND. */
int store_find_rollout(struct tx *tx, const char *app_id, struct rollout_row *rollout,
                       struct err *err);
int store_start_rollout(struct tx *tx, const char *app_id, const char *release_id,
                        const char *from_id, struct rollout_row *rollout, struct err *err);
/* Adds the time since the last step, at most `delta_max_ms`. `message` NULL keeps the one before.
 */
int store_step_rollout(struct tx *tx, const struct rollout_row *rollout, const char *step,
                       const char *message, int64_t delta_max_ms, bool has_failed, struct err *err);
int store_end_rollout(struct tx *tx, const char *id, const char *state, const char *message,
                      struct err *err);
int store_list_rollouts(struct tx *tx, const char *app_id, const char *before, int64_t limit,
                        json_t **rollouts, struct err *err);

#endif
