/* agents.*: the tokens with which gateways, builders and site agents on other machines say hello.
 */
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "controller/api/resources.h"
#include "model/spec.h"
#include "store/sites.h"

enum { NAME_MAX_LEN = 40 };

static int read_agent(const json_t *params, const char **kind, const char **name, struct err *err)
{
    static const char *const kinds[] = { "builder", "gateway", "ssgen" };

    if (api_text(params, "kind", true, kind, err) || api_text(params, "name", true, name, err) ||
        spec_check_name(*name, "name", NAME_MAX_LEN, err))
        return -1;
    for (size_t i = 0; i < countof(kinds); i++)
        if (strcmp(*kind, kinds[i]) == 0)
            return 0;
    return err_field(err, "kind", "builder, gateway or ssgen", "there are no agents of kind `%s`",
                     *kind);
}

int agents_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_tx *tx = NULL;
    json_t *rows;

    if (api_caller(call, params, &caller, err) || api_admin(&caller, err) ||
        tx_begin(api_controller(call)->store, TX_READ, &tx, err) ||
        store_list_agents(tx, &rows, err))
        return -1;
    *result = json_pack("{s:o, s:n}", "items", rows, "next_cursor");
    return 0;
}

/* Again for the same name: a new token, the old one ends. */
int agents_create(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_wipe char *token = secret_new("eka_");
    auto_free char *hash = sha256_hex(token, strlen(token));
    auto_caller caller = { 0 };
    auto_tx *tx = NULL;
    const char *kind, *name;

    if (api_caller(call, params, &caller, err) || api_admin(&caller, err) ||
        read_agent(params, &kind, &name, err) ||
        tx_begin(api_controller(call)->store, TX_WRITE, &tx, err) ||
        store_set_agent(tx, kind, name, hash, err) || tx_commit(&tx, err))
        return -1;
    *result = json_pack("{s:s, s:s, s:s}", "kind", kind, "name", name, "token", token);
    return 0;
}

int agents_delete(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_tx *tx = NULL;
    const char *kind, *name;
    (void)result;

    if (api_caller(call, params, &caller, err) || api_admin(&caller, err) ||
        read_agent(params, &kind, &name, err) ||
        tx_begin(api_controller(call)->store, TX_WRITE, &tx, err) ||
        store_remove_agent(tx, kind, name, err) ||
        (strcmp(kind, "ssgen") == 0 && store_forget_served(tx, NULL, name, err)))
        return -1;
    return tx_commit(&tx, err);
}
