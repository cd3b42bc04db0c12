/* Types of conditions, in the order in which one depends on the other, and what the loops say about
 * them. docs/reasons.md has a paragraph per reason. */
#ifndef CONTROLLER_CONDITIONS_H
#define CONTROLLER_CONDITIONS_H

#include "controller/controller.h"
#include "store/apps.h"
#include "store/events.h"

#define SOURCE_READY "SourceReady" /* the ref resolves, the commit is here */
#define SPEC_VALID "SpecValid"     /* evenkeel.yaml and overlay make a spec; its hosts are free */
#define BUILD_READY "BuildReady"   /* the artifact for the build key exists */
#define IMAGE_PRESENT                                                           \
    "ImagePresent" /* the backend has the artifact, or the site agents serve it \
                    */
#define INSTANCES_READY "InstancesReady" /* every process of the release is healthy */
#define ROUTE_ACKED "RouteAcked"         /* the router has the routes */
#define CONVERGED "Converged"            /* what runs is what is wanted */
#define HELD "Held"                      /* true: a person or a rollback keeps it where it is */
#define QUARANTINED "Quarantined"        /* true: a loop fails at it and has put it aside */

extern const char *const
    condition_chain[]; /* NULL-ended; the order of explain. HELD and QUARANTINED are not in it */

/* A condition of an app, and an event when its status or reason changed and `kind` is not NULL. */
struct finding {
    const char *type;
    enum condition_status status;
    const char *reason, *message;
    int64_t next_try_ms; /* from now; 0: none */
    const char *kind;    /* of the event, or NULL */
};
int find_condition(struct tx *tx, const struct app_row *app, const struct finding *finding,
                   struct err *err);

/* One in a transaction of its own. */
int note_condition(struct controller *c, const struct app_row *app, const struct finding *finding,
                   struct err *err);

/* An event about an app. */
int note_event(struct tx *tx, const struct app_row *app, const char *kind, const char *reason,
               const json_t *data, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

/* A subject of a loop was put aside: its apps say so. One that is no app's is told in the journal,
 * when `is_first`. */
int note_quarantine(struct tx *tx, const char *loop, const char *subject, const char *message,
                    int64_t next_try_ms, bool is_first, struct err *err);
int clear_quarantine(struct tx *tx, const char *subject, struct err *err);

/* A build ended, or goes back to the queue: an event on each app that waits for it. */
struct build_row;
int note_build_end(struct tx *tx, const struct build_row *build, const char *reason,
                   const char *message, struct err *err);

#endif
