/* The gateway: HTTP for people and programs on one side, calls to the controller on the other. It
 * keeps no state.
 *
 * Everything on the loop thread. gateway_stop begins the end; after loop_run has returned,
 * gateway_free. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "base/err.h"
#include "base/loop.h"
#include "conf/conf.h"
#include "http/server.h"
#include "rpc/rpc.h"

struct gateway_config {
    char *log_level;
    char *listen_host;
    int64_t listen_port;
    char *controller_address, *controller_ca, *controller_token_file, *controller_name;
    char *public_url; /* "" when not known */
    int64_t body_max, conns_max;
};
extern const struct conf_key gateway_conf_keys[];
extern const size_t gateway_conf_count;

struct gateway {
    struct loop *loop;
    struct rpc_client *rpc;
    const struct gateway_config *config; /* the caller's, lives longer */
    struct http_server *http;
    struct git_http *git; /* NULL in a build without hosted git */
    char *token;          /* this gateway's own, for the link; NULL: none */
};

int gateway_start(struct loop *loop, const struct gateway_config *config, struct gateway **gateway,
                  struct err *err);
void gateway_stop(struct gateway *gateway);
void gateway_free(struct gateway *gateway);

#endif
