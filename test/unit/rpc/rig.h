/* What the tests of the links share: loops on threads of their own, and a server with the methods
 * of methods.c. The test itself is the thread that blocks. */
#ifndef TEST_RPC_RIG_H
#define TEST_RPC_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/work.h"
#include "rpc/rpc.h"

enum { LIMIT_MS = 30000 }; /* longer than anything here takes, on a busy machine too */

/* A number that threads wait for. */
struct counter {
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t moved;
    int value;
};

void counter_init(struct counter *counter);
void counter_add(struct counter *counter, int n);
int counter_get(struct counter *counter);
void counter_wait(struct counter *counter, int at_least); /* fails the test after LIMIT_MS */

/* A loop and its thread. */
struct side {
    struct loop *loop;
    struct thread *thread;
};

void side_start(struct side *side);
void side_do(struct side *side, void (*fn)(void *arg), void *arg); /* on the loop, and waits */
void side_stop(struct side *side); /* after every handle was told to close */

/* A server on `path` (and `tcp_port` when not 0, with the certificate of tls_test.c). */
struct rig {
    struct side side;
    struct pool *pool, *bulk;
    struct rpc_server_config config;
    struct rpc_server *server;
    struct counter opened, closed, gone, begun;
    char *dir, *path, *address;
    struct rpc_call *held; /* test.hold */
};

extern const struct rpc_method test_methods[]; /* methods.c */
extern const size_t test_method_count;

void rig_start(struct rig *rig); /* fill in parts of rig->config before */
void rig_kill(struct rig *rig);  /* the server goes away; rig_start brings it back */
void rig_stop(struct rig *rig);

/* A client with a loop of its own. */
struct dialler {
    struct side side;
    struct rpc_client_config config;
    struct rpc_client *client;
    struct counter ups, downs;
};

void dialler_start(struct dialler *dialler, const char *address);
void dialler_stop(struct dialler *dialler);

/* Both, for most tests: group setup and teardown put them here. */
extern struct rig rig;
extern struct dialler dialler;
int start_both(void **state);
int stop_both(void **state);

#define CALL(method, params, result, err) \
    rpc_client_call(dialler.client, method, params, LIMIT_MS, result, err)

#define assert_ok(rc, err) assert_ok_(rc, err, __FILE__, __LINE__)
void assert_ok_(int rc, const struct err *err, const char *file, int line);

#endif
