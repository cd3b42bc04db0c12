/* What the rows of the table of commands run; one file per noun. See struct command for what they
 * return. */
#ifndef CMD_CLI_COMMANDS_H
#define CMD_CLI_COMMANDS_H

#include "cmd/cli/cli.h"

int agents_create(struct cli *cli, struct err *err);
int agents_delete(struct cli *cli, struct err *err);
int agents_list(struct cli *cli, struct err *err);
int apps_create(struct cli *cli, struct err *err);
int apps_destroy(struct cli *cli, struct err *err);
int apps_hold(struct cli *cli, struct err *err);
int apps_info(struct cli *cli, struct err *err);
int apps_list(struct cli *cli, struct err *err);
int apps_open(struct cli *cli, struct err *err);
int apps_resume(struct cli *cli, struct err *err);
int apps_scale(struct cli *cli, struct err *err);
int apps_start(struct cli *cli, struct err *err);
int apps_stop(struct cli *cli, struct err *err);
int builds_cancel(struct cli *cli, struct err *err);
int builds_info(struct cli *cli, struct err *err);
int builds_list(struct cli *cli, struct err *err);
int builds_logs(struct cli *cli, struct err *err);
int deploy_restart(struct cli *cli, struct err *err);
int deploy_run(struct cli *cli, struct err *err);
int deploy_wait(struct cli *cli, struct err *err);
int down_run(struct cli *cli, struct err *err);
int env_list(struct cli *cli, struct err *err);
int env_set(struct cli *cli, struct err *err);
int env_unset(struct cli *cli, struct err *err);
int events_run(struct cli *cli, struct err *err);
int explain_run(struct cli *cli, struct err *err);
int git_credential(struct cli *cli, struct err *err);
int git_setup(struct cli *cli, struct err *err);
int help_run(struct cli *cli, struct err *err);
int login_run(struct cli *cli, struct err *err);
int logs_run(struct cli *cli, struct err *err);
int projects_create(struct cli *cli, struct err *err);
int projects_delete(struct cli *cli, struct err *err);
int projects_list(struct cli *cli, struct err *err);
int releases_info(struct cli *cli, struct err *err);
int releases_list(struct cli *cli, struct err *err);
int releases_rollback(struct cli *cli, struct err *err);
int repos_add(struct cli *cli, struct err *err);
int repos_info(struct cli *cli, struct err *err);
int repos_list(struct cli *cli, struct err *err);
int repos_refresh(struct cli *cli, struct err *err);
int repos_remove(struct cli *cli, struct err *err);
int status_run(struct cli *cli, struct err *err);
int tokens_create(struct cli *cli, struct err *err);
int tokens_delete(struct cli *cli, struct err *err);
int tokens_list(struct cli *cli, struct err *err);
int up_run(struct cli *cli, struct err *err);
int version_run(struct cli *cli, struct err *err);

#endif
