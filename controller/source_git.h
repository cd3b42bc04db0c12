/* The real source: git. */
#ifndef CONTROLLER_SOURCE_GIT_H
#define CONTROLLER_SOURCE_GIT_H

#include "controller/config.h"
#include "controller/source.h"

/* `source` is filled; nothing to free. The config must outlive it. */
void source_git_init(struct source *source, const struct controller_config *config);

#endif
