/* Asks before something is lost. One thread. */
#ifndef CMD_CLI_CONFIRM_H
#define CMD_CLI_CONFIRM_H

#include "cmd/cli/cli.h"

/* 0 with --yes, with --confirm NAME, or when the name is typed on the terminal; EXIT_USAGE else. */
int confirm(const struct cli *cli, const char *what, const char *name, struct err *err);

#endif
