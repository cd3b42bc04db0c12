#include "gateway/gateway.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/git.h"
#include "gateway/problem.h"
#include "gateway/rest.h"
#include "gateway/routes.h"
#include "gateway/sse.h"

enum {
    HEAD_MAX = 32 * 1024,
    BACKLOG_MAX = 3 * RPC_FRAME_MAX, /* an event is at most a frame, and one more may come before
                                        the first is under way */
    REQUEST_TIMEOUT_S = 30,
    IDLE_TIMEOUT_S = 75,
};

/* ---- hosted git: the one place where it comes in ---- */

static void start_git(struct gateway *gateway)
{
    const struct gateway_config *c = gateway->config;
    const struct git_http_config config = {
        .loop = gateway->loop,
        .controller = gateway->rpc,
        .controller_address = c->controller_address,
        .controller_ca_file = *c->controller_ca ? c->controller_ca : NULL,
        .controller_token = gateway->token,
    };

    gateway->git = git_http_new(&config);
}

/* ---- requests ---- */

static void reply_no_route(struct http_request *request, enum route_found found, const char *allow)
{
    const struct http_header headers[] = { { "Allow", allow }, { NULL, NULL } };
    struct err err = { .class = ERR_NONE };

    if (found == ROUTE_NO_METHOD) {
        err_set(&err, ERR_INVALID, "this path does not know %s", http_request_method(request));
        problem_reply(request, 405, &err, headers);
    } else {
        err_set(&err, ERR_NOT_FOUND, "there is nothing at this path");
        problem_reply(request, 404, &err, NULL);
    }
}

static bool wants_events(const struct http_request *request)
{
    const char *accept = http_request_header(request, "Accept");

    return accept && strcasestr(accept, "text/event-stream");
}

static bool on_head(struct http_request *request, void *arg)
{
    (void)arg;
    return git_http_is_for(request);
}

static void on_request(struct http_request *request, void *arg)
{
    struct gateway *gateway = arg;
    const struct route *route = NULL;
    json_auto_t *members = NULL;
    auto_free char *allow = NULL;

    if (git_http_is_for(request)) {
        git_http_handle(gateway->git, request);
        return;
    }
    enum route_found found = route_find(http_request_method(request), http_request_path(request),
                                        wants_events(request), &route, &members, &allow);
    if (found != ROUTE_FOUND)
        reply_no_route(request, found, allow);
    else if (route->flags & ROUTE_EVENTS)
        sse_serve(gateway, request, route, members);
    else
        rest_serve(gateway, request, route, members);
}

/* ---- starting and stopping ---- */

static void on_too_big(struct http_request *request, void *arg)
{
    const struct gateway *gateway = arg;
    struct err err = { 0 };

    err_set(&err, ERR_EXHAUSTED, "the body is above %lld bytes",
            (long long)gateway->config->body_max);
    problem_reply(request, 413, &err, NULL);
}

static int start_http(struct gateway *gateway, struct err *err)
{
    const struct http_server_config config = {
        .host = gateway->config->listen_host,
        .port = (uint16_t)gateway->config->listen_port,
        .head_max = HEAD_MAX,
        .body_max = (size_t)gateway->config->body_max,
        .stream_backlog_max = BACKLOG_MAX,
        .conns_max = (unsigned)gateway->config->conns_max,
        .request_timeout_s = REQUEST_TIMEOUT_S,
        .idle_timeout_s = IDLE_TIMEOUT_S,
        .head = on_head,
        .handler = on_request,
        .too_big = on_too_big,
        .arg = gateway,
    };

    return http_server_start(gateway->loop, &config, &gateway->http, err);
}

static int start_link(struct gateway *gateway, struct err *err)
{
    const struct rpc_client_config config = {
        .address = gateway->config->controller_address,
        .ca_file = *gateway->config->controller_ca ? gateway->config->controller_ca : NULL,
        .token = gateway->token,
        .kind = RPC_GATEWAY,
        .name = gateway->config->controller_name,
    };

    return rpc_client_start(gateway->loop, &config, &gateway->rpc, err);
}

int gateway_start(struct loop *loop, const struct gateway_config *config, struct gateway **out,
                  struct err *err)
{
    struct gateway *gateway = xcalloc(1, sizeof *gateway);

    gateway->loop = loop;
    gateway->config = config;
    if (conf_read_secret(config->controller_token_file, &gateway->token, err) ||
        start_http(gateway, err) || start_link(gateway, err)) {
        gateway_stop(gateway);
        gateway_free(gateway);
        return -1;
    }
    start_git(gateway);
    log_info("listening", S("host", config->listen_host),
             I("port", http_server_port(gateway->http)), S("url", config->public_url));
    *out = gateway;
    return 0;
}

void gateway_stop(struct gateway *gateway)
{
    if (!gateway)
        return;
    git_http_stop(take(&gateway->git));
    if (gateway->http)
        http_server_stop(take(&gateway->http)); /* first: it cancels the calls */
    if (gateway->rpc)
        rpc_client_stop(take(&gateway->rpc));
}

void gateway_free(struct gateway *gateway)
{
    if (!gateway)
        return;
    wipe_free(gateway->token);
    free(gateway);
}
