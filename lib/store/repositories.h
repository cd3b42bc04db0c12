/* Repositories, the refs that apps follow, commits. */
#ifndef STORE_REPOSITORIES_H
#define STORE_REPOSITORIES_H

#include <jansson.h>

#include "store/store.h"

struct repository_row {
    char *id, *project_id, *name;
    char *url; /* NULL: hosted here */
    char *user, *password, *webhook_secret;
};
void repository_row_done(struct repository_row *repository);
#define auto_repository __attribute__((__cleanup__(repository_row_done))) struct repository_row

/* `id` and `webhook_secret` are made here; the other members of `wanted` are read. ERR_EXISTS. */
int store_add_repository(struct tx *tx, const struct repository_row *wanted,
                         struct repository_row *repository, struct err *err);
int store_get_repository(struct tx *tx, const char *id, struct repository_row *repository,
                         struct err *err);
int store_find_repository(struct tx *tx, const char *project_id, const char *name,
                          struct repository_row *repository, struct err *err);
int store_remove_repository(struct tx *tx, const char *id,
                            struct err *err); /* ERR_CONFLICT while an app uses it */
int store_list_repositories(struct tx *tx, const char *project_id, const char *after, int64_t limit,
                            json_t **list, struct err *err);
int store_show_repository(struct tx *tx, const char *id, json_t **repository, struct err *err);

/* The outcome of a look at the remote; reason NULL: it went well. */
int store_note_poll(struct tx *tx, const char *id, const char *reason, const char *message,
                    struct err *err);
/* Remote repositories without any row in the work queue of the fetcher get one. */
int store_add_missing_polls(struct tx *tx, struct err *err);

struct ref_row {
    char *name, *sha, *published;
};
struct ref_list {
    struct ref_row *items;
    size_t count;
};
void ref_list_done(struct ref_list *list);
#define auto_ref_list __attribute__((__cleanup__(ref_list_done))) struct ref_list

/* The refs that apps of this repository follow, with what is known of them. */
int store_wanted_refs(struct tx *tx, const char *repository_id, struct ref_list *list,
                      struct err *err);
int store_get_ref(struct tx *tx, const char *repository_id, const char *name, struct ref_row *ref,
                  struct err *err);
void ref_row_done(struct ref_row *ref);
#define auto_ref __attribute__((__cleanup__(ref_row_done))) struct ref_row
/* `sha` NULL: there is no such ref. *moved: it differs from what was known. */
int store_set_ref(struct tx *tx, const char *repository_id, const char *name, const char *sha,
                  bool *moved, struct err *err);
int store_publish_ref(struct tx *tx, const char *repository_id, const char *name, const char *sha,
                      struct err *err);

int store_add_commit(struct tx *tx, const char *repository_id, const char *sha, const char *author,
                     const char *message, int64_t authored_at, struct err *err);
/* Removes commits that no ref, app, release or unfinished build has any more, and says which. */
int store_forget_commits(struct tx *tx, const char *repository_id, int64_t limit,
                         struct id_list *shas, struct err *err);

#endif
