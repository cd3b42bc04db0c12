/* A local installation: its folders and configuration files below the data folder, and the programs
 * that make it up. One thread. */
#ifndef CMD_CLI_INSTALLATION_H
#define CMD_CLI_INSTALLATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cmd/cli/settings.h"
#include "cmd/cli/supervisor.h"

enum { INSTALLATION_CHILDREN = 6 };

struct installation {
    struct settings settings;
    char *run_dir, *log_dir, *token_path, *controller_config;
    const char *http_host; /* address that the router listens on */
    char *api_url;         /* as seen from this machine */
    char *controller_socket;
    struct supervisor_child
        children[INSTALLATION_CHILDREN]; /* in the order in which they are stopped */
    char **env;                          /* of the children; NULL-ended */
    char **owned;                        /* texts that children and env point to */
    size_t owned_count;
};

/* Looks up the settings and names everything; touches nothing. `in` is zeroed memory of the
 * caller's. */
int installation_open(const struct cli *cli, struct installation *in, struct err *err);
void installation_done(struct installation *in);

/* Makes the folders. One supervisor at a time: ERR_CONFLICT when there is one. The descriptor holds
 * the lock. */
int installation_lock(const struct installation *in, int *fd, struct err *err);
char *installation_supervisor_pid(const struct installation *in);

/* With the lock: the ports are free, or those of our own programs that run on. ERR_UNAVAILABLE says
 * who has one, and what to do. */
int installation_check_ports(const struct installation *in, struct err *err);

/* With the lock: makes hooks, and configuration files that are missing or were written for other
 * settings (those are kept as NAME.yaml.old); says whether a file that running programs have read
 * is another one now. */
int installation_prepare(struct installation *in, bool *is_changed, struct err *err);

#endif
