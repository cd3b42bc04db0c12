/* The controller's state in SQLite: opening, migrating, transactions. The only SQL in the tree is
 * in this folder, one file per table group; their headers list what can be asked and changed.
 *
 * One connection writes, under a mutex; a few others read side by side (WAL). Any thread; a
 * transaction belongs to the thread that began it, and must not be held across I/O other than the
 * store's own. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct store;
struct tx;

/* One numbered migration, applied in a transaction of its own. */
struct migration {
    int version;
    const char *sql;
};

/* Opens or makes the file. A database from a newer version is refused (ERR_CONFLICT). */
int store_open(const char *path, const struct clock *clock, struct store **store, struct err *err);
void store_close(struct store *store);

/* Brings the schema to this program's version. */
int store_migrate(struct store *store, struct err *err);
int store_version(struct store *store, int *version, struct err *err);

/* Is the file whole? Runs PRAGMA quick_check; at start, not in loops. */
int store_check(struct store *store, struct err *err);

enum tx_mode {
    TX_READ,
    TX_WRITE,   /* on disk (synchronous=FULL) when tx_commit returns: what is acknowledged */
    TX_OBSERVE, /* written, but may be lost with the power: what can be seen again by looking */
};

int tx_begin(struct store *store, enum tx_mode mode, struct tx **tx, struct err *err);
int tx_commit(struct tx **tx, struct err *err); /* *tx is NULL after, whatever the result */
void tx_rollback(struct tx **tx);               /* NULL is fine */
#define auto_tx __attribute__((__cleanup__(tx_rollback))) struct tx

/* Unix milliseconds at the begin of the transaction. */
int64_t tx_now(const struct tx *tx);
const struct clock *tx_clock(const struct tx *tx);

/* Called after each commit that added events, or work for `loops` (names, NULL-ended); any thread;
 * must not block or use the store. */
typedef void (*store_committed)(void *arg, bool events, const char *const *loops);
void store_on_commit(struct store *store, store_committed committed, void *arg);

/* Answers that are only ids (or digests, or names). */
struct id_list {
    char **items;
    size_t count;
};
void id_list_done(struct id_list *list);
#define auto_id_list __attribute__((__cleanup__(id_list_done))) struct id_list

extern const struct migration store_migrations[];
extern const size_t store_migration_count;

#endif
