/* The memory of build steps.
 *
 * BuildKit inside the Docker daemon ignores the limits of a build request. Its steps run in cgroups
 * below one of their own (docker/buildkit), and where that one's files may be written, a limit on
 * it holds for all steps of all builds together: it keeps a build from taking the machine down, it
 * does not keep builds apart, and a build's own `memory` below it cannot be enforced.
 *
 * Kills are counted where they are not lost: in memory.events of version 2 (it counts those of
 * child groups too), in an eventfd on memory.oom_control of version 1 (told when this group's limit
 * is what was hit). Any thread. */
#ifndef BUILDER_CGROUP_H
#define BUILDER_CGROUP_H

#include <stdint.h>

#include "base/err.h"

struct cgroup;

/* `mountinfo` is the text of /proc/self/mountinfo, `name` the group below the memory controller's
 * mount, made when it is not there. ERR_UNAVAILABLE: no limit can be set here, and why. */
int cgroup_limit(const char *mountinfo, const char *name, int64_t memory_max,
                 struct cgroup **cgroup, struct err *err);
void cgroup_free(struct cgroup *cgroup);

/* Kills since the limit was set. NULL: 0. */
int64_t cgroup_kills(struct cgroup *cgroup);

/* Where the memory controller is mounted, and its version (1 or 2); NULL: nowhere. Pure. */
char *cgroup_find_mount(const char *mountinfo, int *version);

#endif
