/* What a command is about: the app and its project, from options or from where the command is
 * called. One thread. */
#ifndef CMD_CLI_TARGET_H
#define CMD_CLI_TARGET_H

#include "base/err.h"
#include "cmd/cli/cli.h"

/* -a, else EVENKEEL_APP, else `app:` of the evenkeel.yaml in this folder or the nearest above it,
 * else a git remote of this server. The name is the caller's to free. ERR_NOT_FOUND with the ways
 * to say it. */
int target_app(struct cli *cli, char **app, struct err *err);

/* -p, else the project of the git remote that target_app found, else the server's. Borrowed. */
int target_project(struct cli *cli, const char **project, struct err *err);

/* "evenkeel VERB APP": makes the first word -a, when there is one. */
void target_take_word(struct cli *cli);

/* Project and app of a remote's address when it is `url`/git/PROJECT/APP.git; false when it is not.
 */
bool target_of_remote(const char *remote, const char *url, char **project, char **app);

#endif
