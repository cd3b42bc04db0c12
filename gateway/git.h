/* Hosted git: /git/PROJECT/REPOSITORY.git over smart HTTP, and the hooks that turn a push into a
 * deploy.
 *
 * The gateway's side runs on the loop thread. A request is authorised by the controller
 * (git.authorize) and answered by `git http-backend`; the hooks of the repository are this same
 * program under other names (git_hook.c) and speak to the controller themselves. */
#ifndef GATEWAY_GIT_H
#define GATEWAY_GIT_H

#include <stdbool.h>

#include "base/loop.h"
#include "http/server.h"
#include "rpc/rpc.h"

struct git_http;

struct git_http_config { /* the strings are copied */
    struct loop *loop;
    struct rpc_client *controller;
    const char *controller_address; /* the same controller, for the hooks: "unix:/path" or
                                       "tls://host:port" */
    const char *controller_ca_file; /* or NULL */
    const char *controller_token;   /* of this gateway, or NULL */
    unsigned children_max;          /* git operations at a time; 0: 32 */
};

struct git_http *git_http_new(const struct git_http_config *config);

/* Ends every operation. Frees itself when the last is gone; requests that come after are answered
 * 503. NULL is fine. */
void git_http_stop(struct git_http *git);

/* For the server's head handler: the body of these requests is streamed. */
bool git_http_is_for(const struct http_request *request);

/* For the server's handler. */
void git_http_handle(struct git_http *git, struct http_request *request);

/* main() of the hooks, for a program whose argv[0] is named pre-receive or proc-receive. */
bool gateway_is_hook(const char *argv0);
int gateway_hook_main(int argc, char **argv);

/* What the gateway tells its hooks, by the environment. */
#define GIT_ENV_CONTROLLER "EVENKEEL_CONTROLLER"
#define GIT_ENV_CA_FILE "EVENKEEL_CONTROLLER_CA"
#define GIT_ENV_LINK_TOKEN "EVENKEEL_CONTROLLER_TOKEN"
#define GIT_ENV_TOKEN "EVENKEEL_TOKEN"
#define GIT_ENV_PEER "EVENKEEL_PEER"
#define GIT_ENV_PROJECT "EVENKEEL_PROJECT"
#define GIT_ENV_REPOSITORY "EVENKEEL_REPOSITORY"

#endif
