/* One look at whether an instance is ready. Blocking, bounded by the check's time limit. */
#ifndef CONTROLLER_BACKEND_DOCKER_PROBE_H
#define CONTROLLER_BACKEND_DOCKER_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/spec.h"

/* GET `path` on the instance (2xx and 3xx are well), or a TCP connect when the check has no path.
 * `words` is what was seen: "GET /healthz: 503 in 4 ms". */
bool probe_instance(const char *address, int64_t port, const struct check_spec *check, char *words,
                    size_t words_size);

#endif
