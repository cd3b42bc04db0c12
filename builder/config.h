/* The builder's configuration; see builder/config.c for the table. Read once, then const. */
#ifndef BUILDER_CONFIG_H
#define BUILDER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"

struct builder_config {
    char *controller, *ca_file, *token_file, *name, *work_dir, *docker_socket, *log_level, *cgroup;
    int64_t slots, memory_max, source_max, entries_max, site_max, site_entries_max;
};

extern const struct conf_key builder_conf_keys[];
extern const size_t builder_conf_count;

#endif
