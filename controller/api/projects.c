/* projects.*, tokens.* */
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "controller/api/resources.h"
#include "controller/network.h"
#include "model/spec.h"
#include "store/work.h"

enum { NAME_MAX_LEN = 30, TOKEN_NAME_MAX = 60 };

int projects_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_tx *tx = NULL;
    json_t *rows;

    if (api_caller(call, params, &caller, err) ||
        tx_begin(api_controller(call)->store, TX_READ, &tx, err) ||
        store_list_projects(tx, caller.project_id, api_cursor(params), api_limit(params) + 1, &rows,
                            err))
        return -1;
    *result = api_page(rows, api_limit(params), "name");
    return 0;
}

int projects_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_tx *tx = NULL;
    const char *name;
    int64_t networks;

    if (api_caller(call, params, &caller, err) || api_admin(&caller, err) ||
        api_text(params, "name", true, &name, err) ||
        spec_check_name(name, "name", NAME_MAX_LEN, err) ||
        network_count(c->config->docker_network_range, &networks, err) ||
        tx_begin(c->store, TX_WRITE, &tx, err) ||
        store_add_project(tx, name, networks, &project, err) ||
        store_show_project(tx, project.id, result, err))
        return -1;
    return tx_commit(&tx, err);
}

int projects_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_tx *tx = NULL;

    if (api_project(call, params, TX_READ, &caller, &tx, &project, err))
        return -1;
    return store_show_project(tx, project.id, result, err);
}

int projects_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_tx *tx = NULL;
    (void)result;

    if (api_project(call, params, TX_WRITE, &caller, &tx, &project, err) || api_admin(&caller, err))
        return -1;
    if (strcmp(project.name, "default") == 0)
        return err_set(err, ERR_CONFLICT, "the project `default` stays");
    auto_free char *network = xasprintf(JANITOR_NETWORK "%s", project.name);
    if (store_remove_project(tx, project.id, err) || store_add_work(tx, "janitor", network, 0, err))
        return -1;
    return tx_commit(&tx, err);
}

int tokens_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_tx *tx = NULL;
    json_t *rows;

    if (api_caller(call, params, &caller, err) || api_admin(&caller, err) ||
        tx_begin(api_controller(call)->store, TX_READ, &tx, err) ||
        store_list_tokens(tx, api_cursor(params), api_limit(params) + 1, &rows, err))
        return -1;
    *result = api_page(rows, api_limit(params), "name");
    return 0;
}

int tokens_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_wipe char *token = secret_new("ek_");
    auto_free char *hash = sha256_hex(token, strlen(token));
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_token row = { 0 };
    auto_tx *tx = NULL;
    const char *name, *only;

    if (api_caller(call, params, &caller, err) || api_admin(&caller, err) ||
        api_text(params, "name", true, &name, err) ||
        api_text(params, "token_project", false, &only, err))
        return -1;
    if (!*name || strlen(name) > TOKEN_NAME_MAX)
        return err_field(err, "name", NULL, "a token's name has 1 to %d bytes", TOKEN_NAME_MAX);
    if (tx_begin(api_controller(call)->store, TX_WRITE, &tx, err) ||
        (only && store_find_project(tx, only, &project, err)) ||
        store_add_token(tx, name, hash, project.id, &row, err) || tx_commit(&tx, err))
        return -1;
    *result = json_pack("{s:s, s:s, s:s}", "id", row.id, "name", row.name, "token", token);
    return 0;
}

int tokens_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_tx *tx = NULL;
    const char *id;
    (void)result;

    if (api_caller(call, params, &caller, err) || api_admin(&caller, err) ||
        api_text(params, "id", true, &id, err) ||
        tx_begin(api_controller(call)->store, TX_WRITE, &tx, err) ||
        store_remove_token(tx, id, err))
        return -1;
    return tx_commit(&tx, err);
}
