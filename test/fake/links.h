/* A world's API: the real server on a socket, with a person and a builder that call it. The thread
 * of the test calls and runs the world; handlers run on pools, as in the program. */
#ifndef FAKE_LINKS_H
#define FAKE_LINKS_H

#include "rpc/rpc.h"
#include "world.h"

struct links;

struct links *links_start(struct world *w);
void links_stop(struct links *l); /* before the world is freed */

/* As a person on this machine. `params` is taken. */
int links_ask(struct links *l, const char *method, json_t *params, json_t **result,
              struct err *err);
struct rpc_exchange *links_open(struct links *l, const char *method, json_t *params);

/* The builder b1: linked from its first word on, until it is lost. */
int links_build(struct links *l, const char *method, json_t *params, json_t **result,
                struct err *err);
struct rpc_exchange *links_upload(struct links *l, const char *method, const json_t *params);
struct rpc_exchange *links_lease(struct links *l); /* a free slot, known to the controller */
void links_lose_builder(struct links *l);

/* Waits for what another thread does: until the question's answer is not "" or "0". */
void links_wait(struct links *l, const char *sql);

#endif
