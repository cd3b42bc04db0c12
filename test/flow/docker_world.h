/* The world of the Docker backend's test: an image made from this machine's static busybox, one app
 * whose spec each test writes, and a look around with the Docker API beside the backend. */
#ifndef FLOW_DOCKER_WORLD_H
#define FLOW_DOCKER_WORLD_H

#include <jansson.h>

#include "controller/backend/docker/docker.h"
#include "oci/engine.h"

#define WORLD_PREFIX "docker-flow-"
#define WORLD_INSTALLATION "docker-flow"
#define WORLD_IMAGE "evenkeel/docker-flow:base"
#define WORLD_RANGE "10.213.0.0/16"
#define WORLD_SUBNET "10.213.7.0/24"
#define WORLD_APP_ID "01DOCKERFLOW"

struct world {
    struct engine *engine;
    struct backend *backend;
    struct docker_config config;
    char *image; /* the id of WORLD_IMAGE */
    /* What the test wants; see world_want. */
    json_t *spec, *env;
    struct release_want release;
    struct app_want app;
};

/* Everything below fails the test when it fails. */
void world_init(struct world *world);
void world_done(struct world *world); /* removes all that was made */

/* Makes an image, with `busybox` in it, and answers its id. */
char *world_import_image(struct world *world, const char *repository, const char *tag);

/* v1 of the app `shop` in the project `p` with these processes (JSON) is wanted, nothing is gone.
 */
void world_want(struct world *world, const char *processes);

/* One converge; and converge every 50 ms until the release is in `stage`. */
void world_step(struct world *world, struct app_seen *seen);
void world_reach(struct world *world, enum release_stage stage, struct app_seen *seen);

/* Ends the named instances and waits until they are gone. */
void world_clear(struct world *world);

/* GET /containers/NAME/json; NULL when absent. */
json_t *world_inspect(struct world *world, const char *instance);
char *world_container_id(struct world *world, const char *instance);

void world_check(int rc, const struct err *err, const char *what);
void world_sleep(int64_t ms);

#endif
