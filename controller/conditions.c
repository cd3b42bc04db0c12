#include "controller/conditions.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "store/builds.h"

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

int note_quarantine(struct tx *tx, const char *loop, const char *subject, const char *message,
                    int64_t next_try_ms, bool is_first, struct err *err)
{
    const struct finding finding = { QUARANTINED, CONDITION_TRUE, "UnexpectedFailure",
                                     message,     next_try_ms,    "app" };
    auto_id_list apps = { 0 };

    if (store_apps_of_subject(tx, subject, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count; i++) {
        auto_app app = { 0 };
        if (store_get_app(tx, apps.items[i], &app, err) || find_condition(tx, &app, &finding, err))
            return -1;
    }
    if (apps.count || !is_first)
        return 0;
    auto_free char *text = xasprintf("%s at %s: %s", loop, subject, message);
    const struct event event = { NULL, NULL, "system", finding.reason, text, NULL };
    return store_add_event(tx, &event, err);
}

int clear_quarantine(struct tx *tx, const char *subject, struct err *err)
{
    auto_id_list apps = { 0 };

    if (store_apps_of_subject(tx, subject, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count; i++)
        if (store_clear_condition(tx, apps.items[i], QUARANTINED, err))
            return -1;
    return 0;
}

int note_build_end(struct tx *tx, const struct build_row *build, const char *reason,
                   const char *message, struct err *err)
{
    auto_id_list apps = { 0 };
    json_auto_t *data = json_pack("{s:s}", "build", build->id);

    if (store_apps_of_build(tx, build->id, &apps, err))
        return -1;
    for (size_t i = 0; i < apps.count; i++) {
        auto_app app = { 0 };
        if (store_get_app(tx, apps.items[i], &app, err) ||
            note_event(tx, &app, "build", reason, data, err, "build %s: %s", build->id,
                       message && *message ? message : reason))
            return -1;
    }
    return 0;
}
