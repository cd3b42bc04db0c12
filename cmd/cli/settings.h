/* What a local installation is set to: where its data is, its ports, its names. A flag of `evenkeel
 * up` beats the environment, that beats what the last `up` kept in DATA/etc/up.yaml, that beats the
 * default. One thread. */
#ifndef CMD_CLI_SETTINGS_H
#define CMD_CLI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cmd/cli/cli.h"

struct settings {
    char *data; /* absolute; not part of the kept file, which lies in it */
    char *domain, *prefix, *network_range;
    int64_t http_port, api_port;
};

/* The data folder alone: --data, EVENKEEL_DATA, or the user's default. The caller's to free. */
int settings_data(const struct cli *cli, char **data, struct err *err);

/* `settings` is zeroed memory of the caller's. */
int settings_read(const struct cli *cli, struct settings *settings, struct err *err);
void settings_done(struct settings *settings);

/* Are these what the last `up` kept? */
bool settings_are_kept(const struct settings *settings);
/* Keeps them for the next `up`. */
int settings_keep(const struct settings *settings, struct err *err);

#endif
