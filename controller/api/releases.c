/* releases.*, rollouts.list, instances.list */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/api/resources.h"
#include "store/instances.h"
#include "store/releases.h"

int releases_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    int64_t before = INT64_MAX;
    json_t *rows;

    if (api_cursor(params) && !text_int(api_cursor(params), &before))
        return err_field(err, "cursor", NULL, "the cursor is not one of ours");
    if (api_app(call, params, TX_READ, &caller, &tx, &app, err) ||
        store_list_releases(tx, app.id, before, api_limit(params) + 1, &rows, err))
        return -1;
    *result = api_page(rows, api_limit(params), "number");
    return 0;
}

int releases_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    int64_t wanted;

    if (api_release(params, true, &wanted, err) ||
        api_app(call, params, TX_READ, &caller, &tx, &app, err))
        return -1;
    return store_show_release(tx, app.id, wanted, result, err);
}

int rollouts_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    json_t *rows;

    if (api_app(call, params, TX_READ, &caller, &tx, &app, err) ||
        store_list_rollouts(tx, app.id, api_cursor(params), api_limit(params) + 1, &rows, err))
        return -1;
    *result = api_page(rows, api_limit(params), "id");
    return 0;
}

int instances_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    json_t *rows;

    if (api_app(call, params, TX_READ, &caller, &tx, &app, err) ||
        store_list_instances(tx, app.id, &rows, err))
        return -1;
    *result = json_pack("{s:o}", "items", rows);
    return 0;
}
