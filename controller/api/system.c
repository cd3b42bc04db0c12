/* system.* */
#include "base/mem.h"
#include "base/text.h"
#include "controller/api/resources.h"
#include "controller/builders.h"
#include "store/builds.h"

int system_info(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const struct controller *c = api_controller(call);
    auto_free char *now = text_time(clock_now_ms(c->clock));
    (void)params;
    (void)err;

    *result = json_pack("{s:s, s:s, s:I, s:s, s:s}", "version", EVENKEEL_VERSION, "domain",
                        c->config->domain, "http_port", c->config->http_port, "api_url",
                        c->config->api_url, "time", now);
    return 0;
}

int system_status(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    struct controller *c = api_controller(call);
    struct err router = { 0 }, backend = { 0 };
    auto_caller caller = { 0 };
    auto_tx *tx = NULL;
    int64_t queued, running;

    if (api_caller(call, params, &caller, err) || tx_begin(c->store, TX_READ, &tx, err) ||
        store_count_builds(tx, &queued, &running, err))
        return -1;
    tx_rollback(&tx);
    struct owned_list owned = { 0 };
    bool has_backend = c->backend->list_owned(c->backend->self, &owned, &backend) == 0;
    bool has_router = c->router->check(c->router->self, &router) == 0;
    *result =
        json_pack("{s:o, s:{s:I, s:I}, s:{s:b, s:s}, s:{s:b, s:s, s:I}}", "builders",
                  builders_list(c->builders), "queue", "queued", queued, "running", running,
                  "router", "reachable", has_router, "message", router.text, "backend", "reachable",
                  has_backend, "message", backend.text, "instances", (json_int_t)owned.count);
    owned_list_done(&owned);
    return 0;
}
