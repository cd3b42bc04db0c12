/* Sites: which archives the site agents should have, and which of them serve what. */
#ifndef STORE_SITES_H
#define STORE_SITES_H

#include <jansson.h>
#include <stdbool.h>

#include "store/store.h"

/* Sets whether a site is wanted; the revision grows when that changes (*changed). */
int store_want_site(struct tx *tx, const char *digest, bool wanted, bool *changed, struct err *err);
/* {sites: [{digest, size, wanted, revision}], revision, more} after a revision. */
int store_list_sites(struct tx *tx, int64_t after, int64_t limit, json_t **answer, struct err *err);
int store_sites_revision(struct tx *tx, int64_t *revision, struct err *err);
/* Digests that are wanted, but that no release needs any more: neither live, wanted nor rolling
 * out. */
int store_unneeded_sites(struct tx *tx, int64_t limit, json_t **digests, struct err *err);

/* Rows that stand for nothing any more: not wanted, removed by every agent, the artifact gone. */
int store_remove_old_sites(struct tx *tx, int64_t limit, struct err *err);

/* What an agent said. `reason` NULL: it serves the site. */
int store_note_served(struct tx *tx, const char *digest, const char *agent, const char *reason,
                      const char *message, struct err *err);
int store_forget_served(struct tx *tx, const char *digest, const char *agent,
                        struct err *err); /* digest NULL: all of the agent */
/* Of archives that are not kept any more: said by agents that have not come back since. */
int store_trim_served(struct tx *tx, struct err *err);
/* How many agents serve a site; *problem (may be NULL) is what the last failing one said, "reason:
 * message", or NULL. */
int store_count_served(struct tx *tx, const char *digest, int64_t *count, char **problem,
                       struct err *err);
int store_add_work_for_site(struct tx *tx, const char *digest, struct err *err);

#endif
