/* The first API token of a local installation: asked for over the controller's unix socket, where
 * this user needs none; kept in DATA/token and as this user's login. Loop thread. */
#ifndef CMD_CLI_ADMIN_H
#define CMD_CLI_ADMIN_H

#include "base/loop.h"
#include "cmd/cli/installation.h"

struct admin;

/* Waits for the controller and gets a token, unless there is one. NULL when nothing is to be done.
 * `in` outlives it. */
struct admin *admin_start(struct loop *loop, const struct installation *in);
void admin_stop(struct admin *admin); /* NULL is fine */

/* Makes the installation this user's login, if they have none or one for the same address. */
void admin_log_in(const struct installation *in, const char *token);

#endif
