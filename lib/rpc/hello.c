/* link.hello: who is there. The token is checked on a pool thread, because that may read the store;
 * the answer comes back to the loop. The call's reference goes along. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/work.h"
#include "rpc/session.h"

enum { VERSION = 1, NAME_MAX_LEN = 100 };

struct hello {
    struct rpc_call *call;
    enum rpc_kind kind;
    const char *name, *token; /* in the call's params */
    struct err refusal;
};

static const struct {
    const char *name;
    enum rpc_kind kind;
} kinds[] = { { "builder", RPC_BUILDER },
              { "cli", RPC_CLI },
              { "gateway", RPC_GATEWAY },
              { "ssgen", RPC_SSGEN } };

static const char *text_param(const struct rpc_call *call, const char *name)
{
    const char *text = json_string_value(json_object_get(call->params, name));
    return text ? text : "";
}

static bool name_is_valid(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= NAME_MAX_LEN &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static int read_params(struct hello *h, struct err *err)
{
    const char *kind = text_param(h->call, "kind");
    json_int_t version = json_integer_value(json_object_get(h->call->params, "version"));

    if (version != VERSION)
        return err_set(err, ERR_CONFLICT, "this side speaks version %d of the link", VERSION);
    for (size_t i = 0; i < countof(kinds); i++)
        if (strcmp(kind, kinds[i].name) == 0)
            h->kind = kinds[i].kind;
    h->name = text_param(h->call, "name");
    h->token = text_param(h->call, "token");
    if (!h->kind)
        return err_field(err, "kind", NULL, "no kind of agent");
    if (!name_is_valid(h->name))
        return err_field(err, "name", NULL, "a name has 1 to %d of A-Z, a-z, 0-9, `.`, `_`, `-`",
                         NAME_MAX_LEN);
    return 0;
}

/* Loop thread. */
static void finish(void *arg)
{
    struct hello *h = arg;

    if (h->refusal.class)
        session_refused(h->call, &h->refusal);
    else
        session_greeted(h->call, h->kind, h->name);
    rpc_call_unref(h->call);
    free(h);
}

/* Pool thread. */
static void check_token(void *arg)
{
    struct hello *h = arg;
    const struct session_config *config = &h->call->session->config;

    if (!config->authenticate(config->arg, h->kind, h->name, h->token))
        err_set(&h->refusal, ERR_UNAUTHENTICATED, "the token is not that of %s", h->name);
    loop_post(h->call->session->mux->loop, finish, h);
}

void hello_take(struct rpc_call *call)
{
    struct hello *h = xcalloc(1, sizeof *h);
    const struct session_config *config = &call->session->config;

    h->call = call;
    if (read_params(h, &h->refusal) || call->session->is_trusted) {
        finish(h);
        return;
    }
    if (!config->authenticate || !*h->token)
        err_set(&h->refusal, ERR_UNAUTHENTICATED, "a token is needed");
    else if (pool_run(config->pool, check_token, h))
        return;
    else
        err_set(&h->refusal, ERR_UNAVAILABLE, "too many requests at once");
    finish(h);
}
