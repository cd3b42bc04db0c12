/* A connection with its prepared statements, and a transaction on it. Private to lib/store. */
#ifndef STORE_CONNECTION_H
#define STORE_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum { WORK_LOOPS_MAX = 16 };

struct sqlite3;
struct statement;
struct store;

struct connection {
    SLIST_ENTRY(connection) link;
    struct sqlite3 *db;
    struct statement *statements; /* uthash by the address of the SQL text */
    int mode; /* the writer's enum tx_mode that its pragma stands at; 0: as opened */
};

struct tx {
    struct store *store;
    struct connection *connection;
    int64_t now_ms;
    bool has_events;
    const char *loops[WORK_LOOPS_MAX + 1]; /* that have work added here; NULL-ended */
};

void connection_free(struct connection *connection);

#endif
