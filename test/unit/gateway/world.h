/* Hosted git as a whole: a gateway's server, git http-backend and the hooks are real; the
 * controller is a real rpc server with the two methods that matter here. */
#ifndef GATEWAY_WORLD_H
#define GATEWAY_WORLD_H

#include "../git/fixture.h"

#include <stdatomic.h>

#include "gateway/git.h"
#include "http/server.h"
#include "rpc/rpc.h"

struct world {
    const char *hook_program; /* set before world_start */
    struct fixture *f;
    char *hosted, *hooks, *socket, *address;
    struct loop *loop;
    struct http_server *server;
    struct pool *pool, *bulk;
    struct rpc_server *controller;
    struct rpc_client *client;
    struct git_http *git,
        *cut_off; /* the hooks of the second look for the controller where none is */
    atomic_bool is_cut_off;
    struct thread *thread;
    atomic_uint received; /* calls of git.received */
    atomic_uint gone;     /* of them, left by the hook */
    atomic_uint flaky;    /* calls that still lose their answer */
};
extern struct world world;

/* For cmocka's group setup and teardown. */
int world_start(void **state);
int world_stop(void **state);

/* http://[USER@]127.0.0.1:PORT/PATH */
char *world_url(const char *user, const char *path);

#endif
