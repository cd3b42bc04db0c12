/* From what is wanted to what the Docker daemon is told: names, and the bodies of its create calls.
 * Pure. */
#ifndef CONTROLLER_BACKEND_DOCKER_BODY_H
#define CONTROLLER_BACKEND_DOCKER_BODY_H

#include <jansson.h>
#include <stdint.h>

#include "controller/backend/backend.h"
#include "model/spec.h"

#define LABEL_INSTALLATION "sh.evenkeel.installation"
#define LABEL_PROJECT "sh.evenkeel.project"
#define LABEL_APP "sh.evenkeel.app"
#define LABEL_RELEASE "sh.evenkeel.release"
#define LABEL_PROCESS "sh.evenkeel.process"
#define LABEL_INDEX "sh.evenkeel.index"
#define LABEL_SPEC "sh.evenkeel.spec" /* SHA-256 of the body without this label */

struct body_want { /* borrows */
    const char *prefix, *installation;
    const struct app_want *app;
    const struct release_want *release;
    const struct process_spec *process;
    int64_t index;
};

/* PREFIXPROJECT-APP-PROCESS-vN-I and PREFIXevenkeel-PROJECT. */
char *body_container_name(const struct body_want *want);
char *body_network_name(const char *prefix, const char *project);

/* The body of POST /containers/create; equal wants give equal bodies. */
json_t *body_container(const struct body_want *want);

/* The body of POST /networks/create. */
json_t *body_network(const char *prefix, const char *installation, const struct app_want *app);

#endif
