/* Following an app until it is live, or will not be. One thread. */
#ifndef CMD_CLI_FOLLOW_H
#define CMD_CLI_FOLLOW_H

#include <stdint.h>

#include "cmd/cli/cli.h"

enum { FOLLOW_QUIET = -1 }; /* instead of an event: nothing is printed but how it ends */

/* Prints each step and log line after the event `after`; ends with the exit code of how it ended,
 * or ERR_TIMEOUT after --timeout. `commit` NULL: what is wanted now. */
int follow_app(struct cli *cli, const char *commit, int64_t after, struct err *err);

#endif
