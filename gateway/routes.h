/* The table of routes: what is not in it is denied. Pure functions. */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include <jansson.h>
#include <stdbool.h>

enum {
    ROUTE_OPEN = 1,     /* needs no token */
    ROUTE_EVENTS = 2,   /* answers text/event-stream */
    ROUTE_IF_ASKED = 4, /* with ROUTE_EVENTS: only for a client that accepts them; the next row is
                           for the others */
    ROUTE_HOOK = 8,     /* a webhook: its own way of reading the request */
};

struct route {
    const char *method, *pattern; /* below /api/v1; {name} is a member */
    const char *rpc;
    unsigned status; /* of a success */
    unsigned flags;
    const char
        *event_id; /* the member of an event that becomes its id, and where to resume; NULL: none */
};

enum route_found { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

/* `path` is as sent; `members` gets an object of what stands in the places of the pattern's
 * members, decoded. With ROUTE_NO_METHOD `allow` gets the methods that there are, as the header's
 * value. Both are the caller's; NULL otherwise. HEAD finds what GET does. */
enum route_found route_find(const char *method, const char *path, bool wants_events,
                            const struct route **route, json_t **members, char **allow);

#endif
