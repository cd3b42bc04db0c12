/* TCP ports of this machine: is one free, and if not, whose is it. Any thread. */
#ifndef CMD_CLI_PORT_H
#define CMD_CLI_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Whether a program could listen there now. ERR_INVALID for what is no IPv4 address, ERR_INTERNAL
 * when it is not allowed to. */
int port_is_free(const char *host, int64_t port, bool *is_free, struct err *err);

/* The process that listens on the port, and its name (the caller's to free); false when none is
 * found: perhaps it is another user's. */
bool port_find_owner(int64_t port, pid_t *pid, char **name);

#endif
