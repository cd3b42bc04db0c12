/* The configuration of evenkeel-ssgen, read once. */
#ifndef SSGEN_CONFIG_H
#define SSGEN_CONFIG_H

#include <stdint.h>

#include "conf/conf.h"

struct ssgen_config {
    char *log_level;
    char *controller_address, *controller_ca_file, *controller_token_file, *name;
    char *root;
    char *nginx_conf, *nginx_listen, *nginx_user;
    int64_t interval_ms, retry_ms, retry_max_ms, parallel;
    int64_t archive_max, entries_max, bytes_max, path_max, depth_max;
};

extern const struct conf_key ssgen_conf_keys[];
extern const size_t ssgen_conf_count;

#endif
