/* env.list, env.set: the environment of an app, as set over the API. */
#include <string.h>

#include "controller/api/app_change.h"
#include "controller/api/resources.h"
#include "model/spec.h"

int env_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;

    if (api_app(call, params, TX_READ, &caller, &tx, &app, err))
        return -1;
    const json_t *env = json_object_get(app.overlay, "env");
    *result = json_pack("{s:o, s:I}", "env", env ? json_deep_copy(env) : json_object(),
                        "generation", app.generation);
    return 0;
}

static int check_env(const json_t *set, struct err *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(set) || json_object_size(set) == 0)
        return err_field(err, "set", "send {\"set\": {\"NAME\": \"value\"}}; null unsets",
                         "`set` must be an object with at least one member");
    json_object_foreach((json_t *)(uintptr_t)set, name, value)
        if (spec_check_env_name(name, err) ||
            (!json_is_string(value) && !json_is_null(value) &&
             err_field(err, "set", NULL, "the value of %s must be text", name)))
            return -1;
    return 0;
}

int env_set(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    const json_t *set = json_object_get(params, "set");
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    int64_t generation;

    if (api_caller(call, params, &caller, err) || check_env(set, err) ||
        app_to_change(call, params, &caller, &tx, &app, err))
        return -1;
    json_auto_t *change = json_pack("{s:O}", "env", set);
    if (app_change(c, tx, &app, change, caller.name, &generation, err) || tx_commit(&tx, err))
        return -1;
    const json_t *env = json_object_get(app.overlay, "env");
    *result = json_pack("{s:o, s:I}", "env", env ? json_deep_copy(env) : json_object(),
                        "generation", generation);
    return 0;
}
