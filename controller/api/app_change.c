#include "controller/api/app_change.h"

#include "controller/api/resources.h"
#include "controller/conditions.h"
#include "controller/wanted.h"
#include "model/spec.h"

int app_to_change(struct rpc_call *call, const json_t *params, struct caller *caller,
                  struct tx **tx, struct app_row *app, struct err *err)
{
    if (api_app(call, params, TX_WRITE, caller, tx, app, err))
        return -1;
    return app->deleting ? err_set(err, ERR_CONFLICT, "%s is being destroyed", app->name) : 0;
}

int app_check_overlay(struct controller *c, const char *project, const char *name,
                      const json_t *overlay, bool has_repository, struct err *err)
{
    const struct app_row app = { .project = (char *)(uintptr_t)project,
                                 .name = (char *)(uintptr_t)name,
                                 .overlay = (json_t *)(uintptr_t)overlay };
    json_auto_t *full = NULL;

    return has_repository ? 0 : wanted_spec(c, &app, NULL, NULL, &full, NULL, err);
}

/* What a change is about, in names alone: values of env may be secrets, and the journal is kept
 * long and read by many. */
static json_t *name_change(const json_t *change)
{
    json_t *names = json_array(), *value;
    const char *name, *inner;

    json_object_foreach((json_t *)(uintptr_t)change, name, value)
        if (json_is_object(value))
            for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) {
                inner = json_object_iter_key(at);
                json_array_append_new(names, json_sprintf("%s.%s", name, inner));
            }
        else
            json_array_append_new(names, json_string(name));
    return names;
}

int app_change(struct controller *c, struct tx *tx, struct app_row *app, const json_t *change,
               const char *author, int64_t *generation, struct err *err)
{
    json_auto_t *checked = NULL;

    if (spec_check(change, &checked, err))
        return -1;
    json_t *merged = spec_merge(app->overlay, checked);
    json_decref(app->overlay);
    app->overlay = merged;
    if (!app->repository_id && app_check_overlay(c, app->project, app->name, merged, false, err))
        return -1;
    if (store_set_overlay(tx, app->id, merged, author, generation, err))
        return -1;
    json_auto_t *data =
        json_pack("{s:I, s:o}", "generation", *generation, "changed", name_change(change));
    return note_event(tx, app, "app", "SpecChanged", data, err, "generation %lld by %s",
                      (long long)*generation, author);
}
