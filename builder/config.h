/* The builder's configuration; see builder/config.c for the table. Read once, then const. */
#ifndef BUILDER_CONFIG_H
#define BUILDER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct builder_config {
    char *controller, *ca_file, *token_file, *name, *work_dir, *docker_socket, *log_level, *cgroup;
    int64_t slots, memory_max, source_max, entries_max, site_max, site_entries_max;
    char *token; /* what token_file holds, or NULL; secret */
};

/* `path` NULL: defaults only. */
int builder_config_read(const char *path, struct builder_config *config, struct err *err);
void builder_config_done(struct builder_config *config);
void builder_config_print(FILE *out);

#endif
