/* Builds, their attempts and leases, artifacts. */
#ifndef STORE_BUILDS_H
#define STORE_BUILDS_H

#include <jansson.h>
#include <stdbool.h>

#include "store/apps.h"
#include "store/store.h"

enum { BUILD_ATTEMPTS_MAX = 3 };

struct build_row {
    char *id, *key, *project_id, *app_id, *repository_id, *sha, *state, *reason, *message, *cancel,
        *artifact; /* NULL unless it succeeded, and what it made is kept */
    int64_t attempts, queued_at, ended_at;
    json_t *spec; /* the build part */
};
void build_row_done(struct build_row *build);
#define auto_build __attribute__((__cleanup__(build_row_done))) struct build_row

struct build_wanted {
    const char *key, *project_id, *app_id, *repository_id, *sha;
    const json_t *spec;
};
int store_add_build(struct tx *tx, const struct build_wanted *wanted, struct build_row *build,
                    struct err *err);
int store_find_build(struct tx *tx, const char *key, struct build_row *build, struct err *err);
int store_get_build(struct tx *tx, const char *id, struct build_row *build, struct err *err);
int store_show_build(struct tx *tx, const char *id, json_t **build, struct err *err);
/* Newest first; `before` is the id of the last one seen or NULL. app NULL: the project's. state
 * NULL: any. */
int store_list_builds(struct tx *tx, const char *project_id, const char *app_id, const char *state,
                      const char *before, int64_t limit, json_t **builds, struct err *err);

/* Back into the queue: the same again. */
int store_requeue_build(struct tx *tx, const char *id, struct err *err);
/* Back into the queue, its attempts forgotten, for the app that asks now: who asked first may be
 * gone, and its repository with it. */
int store_retry_build(struct tx *tx, const char *id, const struct app_row *app, const char *sha,
                      struct err *err);
int store_end_build(struct tx *tx, const char *id, const char *state, const char *reason,
                    const char *message, const char *artifact, struct err *err);
/* One more attempt that counts against BUILD_ATTEMPTS_MAX. */
int store_count_attempt(struct tx *tx, const char *id, struct err *err);
int store_cancel_build(struct tx *tx, const char *id, const char *why, struct err *err);
/* Ends a queued build that no app wants any more. */
int store_drop_unwanted_build(struct tx *tx, const char *id, bool *dropped, struct err *err);

/* The queued build whose turn it is: of the project with the fewest running ones, then the longest
 * unserved; ERR_NOT_FOUND. */
int store_next_build(struct tx *tx, struct build_row *build, struct err *err);
int store_count_builds(struct tx *tx, int64_t *queued, int64_t *running, struct err *err);
/* Ids of queued builds, the longest waiting first. */
int store_queued_builds(struct tx *tx, int64_t limit, struct id_list *list, struct err *err);

struct attempt_row {
    char *id, *build_id, *builder, *lease_hash, *state;
    int64_t number, log_size;
};
void attempt_row_done(struct attempt_row *attempt);
#define auto_attempt __attribute__((__cleanup__(attempt_row_done))) struct attempt_row

/* The build becomes running, the attempt its lease; both in one transaction. */
int store_add_attempt(struct tx *tx, const struct build_row *build, const char *builder,
                      const char *lease_hash, struct attempt_row *attempt, struct err *err);
int store_get_attempt(struct tx *tx, const char *id, struct attempt_row *attempt, struct err *err);
int store_last_attempt(struct tx *tx, const char *build_id, struct attempt_row *attempt,
                       struct err *err);
int store_end_attempt(struct tx *tx, const char *id, const char *state, const char *reason,
                      const char *message, int64_t log_size, struct err *err);
/* Beyond the newest `keep` of their build; a build that is retried for years has many. */
int store_old_attempts(struct tx *tx, int64_t keep, int64_t limit, struct id_list *list,
                       struct err *err);
int store_remove_attempt(struct tx *tx, const char *id, struct err *err);
int store_running_attempts(struct tx *tx, struct id_list *list, struct err *err);

int store_add_artifact(struct tx *tx, const char *digest, const char *kind, const char *ref,
                       int64_t size, struct err *err);
struct artifact_row {
    char *digest, *kind, *ref;
    int64_t size;
};
void artifact_row_done(struct artifact_row *artifact);
#define auto_artifact __attribute__((__cleanup__(artifact_row_done))) struct artifact_row
int store_get_artifact(struct tx *tx, const char *digest, struct artifact_row *artifact,
                       struct err *err);
/* No build leads to it any more; the row stays until what it stands for is removed. Not (*retired
 * false) when an app keeps it by now. */
int store_retire_artifact(struct tx *tx, const char *digest, bool *retired, struct err *err);
/* Unless a build made it again since. */
int store_remove_retired_artifact(struct tx *tx, const char *digest, struct err *err);
/* The build that made an artifact, or that makes it again: then it is queued, runs, or has ended
 * badly. ERR_NOT_FOUND: retired. */
int store_find_build_of(struct tx *tx, const char *artifact, struct build_row *build,
                        struct err *err);
/* What it made is gone: queued, to make it again, from the commit of a release that needs it. The
 * artifact keeps its digest, whatever comes out. */
int store_rebuild(struct tx *tx, const char *id, const struct app_row *app, const char *sha,
                  struct err *err);
/* Artifacts that no app keeps (of the releases of one app, or of all: NULL): neither live, wanted,
 * nor among the last deploy.keep releases that were live. Older than an hour. */
int store_unkept_artifacts(struct tx *tx, const char *app_id, int64_t limit, struct id_list *list,
                           struct err *err);
/* Ended builds beyond the newest `keep` of their app, or whose app is gone; without an artifact
 * that is still there. */
int store_old_builds(struct tx *tx, int64_t keep, int64_t limit, struct id_list *list,
                     struct err *err);
int store_remove_build(struct tx *tx, const char *id, struct err *err);

#endif
