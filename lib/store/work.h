/* The durable work queue: which loop has to look at which subject, and when. Whoever changes wanted
 * state adds the work that it makes necessary in the same transaction. */
#ifndef STORE_WORK_H
#define STORE_WORK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct work {
    char *subject;
    int64_t revision, attempts;
    int64_t due_ms; /* from now; ≤ 0: it is due */
    char *reason;   /* of the last failure, or NULL */
};
struct work_list {
    struct work *items;
    size_t count;
};
void work_list_done(struct work_list *list);
#define auto_work_list __attribute__((__cleanup__(work_list_done))) struct work_list

/* Due `delay_ms` from now, or sooner if it is already. `loop` is a string literal. */
int store_add_work(struct tx *tx, const char *loop, const char *subject, int64_t delay_ms,
                   struct err *err);

/* What failed and waits is due now. */
int store_hurry_work(struct tx *tx, const char *loop, struct err *err);

/* What comes first, due or not yet. */
int store_next_work(struct tx *tx, const char *loop, size_t limit, struct work_list *list,
                    struct err *err);

/* Done. If nothing was added for the subject meanwhile the row goes, or comes back `again_ms` later
 * when that is ≥ 0. */
int store_finish_work(struct tx *tx, const char *loop, const struct work *work, int64_t again_ms,
                      struct err *err);

/* Failed: comes back `delay_ms` later with one attempt more. */
int store_fail_work(struct tx *tx, const char *loop, const struct work *work, int64_t delay_ms,
                    const char *reason, struct err *err);

#endif
