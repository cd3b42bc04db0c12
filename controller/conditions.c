#include "controller/conditions.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

const char *const condition_chain[] = { SOURCE_READY,    SPEC_VALID,  BUILD_READY, IMAGE_PRESENT,
                                        INSTANCES_READY, ROUTE_ACKED, CONVERGED,   NULL };

int find_condition(struct tx *tx, const struct app_row *app, const struct finding *f,
                   struct err *err)
{
    bool changed;

    if (store_set_condition(tx, app->id, f->type, f->status, f->reason, f->message,
                            f->next_try_ms ? f->next_try_ms : -1, &changed, err))
        return -1;
    if (!changed || !f->kind)
        return 0;
    const struct event event = { app->project_id, app->id, f->kind, f->reason, f->message, NULL };
    return store_add_event(tx, &event, err);
}

int note_condition(struct controller *c, const struct app_row *app, const struct finding *finding,
                   struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || find_condition(tx, app, finding, err))
        return -1;
    return tx_commit(&tx, err);
}

int note_event(struct tx *tx, const struct app_row *app, const char *kind, const char *reason,
               const json_t *data, struct err *err, const char *fmt, ...)
{
    auto_free char *message = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&message, fmt, ap) < 0)
        abort();
    va_end(ap);
    const struct event event = { app->project_id, app->id, kind, reason, message, data };
    return store_add_event(tx, &event, err);
}
