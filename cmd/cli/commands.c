#include "cmd/cli/commands.h"

#include "base/mem.h"

#define UP_OPTIONS                                                                                 \
    (OPT(DATA) | OPT(HTTP_PORT) | OPT(API_PORT) | OPT(DOMAIN) | OPT(PREFIX) | OPT(NETWORK_RANGE) | \
     OPT(FOREGROUND) | OPT(BACKGROUND) | OPT(REPLACE))

/* clang-format off */
const struct command commands[] = {
    { "agents",   "create",  "KIND NAME",    "make a token for a builder, gateway or ssgen on another machine", 0, agents_create },
    { "agents",   "delete",  "KIND NAME",    "end an agent's token", 0, agents_delete },
    { "agents",   "list",    "",             "agents on other machines", 0, agents_list },
    { "apps",     "create",  "NAME",         "make an app; its code is pushed to it, or comes from --repository", OPT(REPOSITORY) | OPT(REF) | OPT(FILE), apps_create },
    { "apps",     "destroy", "NAME",         "remove an app with all that runs of it", OPT(YES) | OPT(CONFIRM), apps_destroy },
    { "apps",     "info",    "[NAME]",       "all about an app", OPT(APP), apps_info },
    { "apps",     "list",    "",             "the apps of the project", OPT(LIMIT), apps_list },
    { "builds",   "cancel",  "BUILD",        "stop a build", 0, builds_cancel },
    { "builds",   "info",    "BUILD",        "a build and its attempts", 0, builds_info },
    { "builds",   "list",    "",             "builds of the app, newest first", OPT(APP) | OPT(LIMIT) | OPT(STATE), builds_list },
    { "builds",   "logs",    "[BUILD]",      "what a build printed; without BUILD the app's newest", OPT(APP) | OPT(FOLLOW), builds_logs },
    { "deploy",   "",        "[APP]",        "bring the newest commit live", OPT(APP) | OPT(RETRY) | OPT(WAIT) | OPT(TIMEOUT), deploy_run },
    { "down",     "",        "",             "stop all that `evenkeel up` runs here; data stays", OPT(DATA) | OPT(KEEP_APPS), down_run },
    { "env",      "list",    "",             "the app's environment", OPT(APP), env_list },
    { "env",      "set",     "K=V…",         "set variables", OPT(APP), env_set },
    { "env",      "unset",   "K…",           "remove variables", OPT(APP), env_unset },
    { "events",   "",        "[APP]",        "what happened to the app", OPT(APP) | OPT(FOLLOW) | OPT(LIMIT), events_run },
    { "explain",  "",        "[APP]",        "why the app is as it is: the first link that does not hold (exit code 3)", OPT(APP), explain_run },
    { "git",      "setup",   "",             "let git use your login for this server", 0, git_setup },
    { "git-credential", "",  "OPERATION",    "git's credential helper; `git setup` configures it", 0, git_credential },
    { "help",     "",        "[COMMAND…]",   "this list, or help on a command", 0, help_run },
    { "hold",     "",        "[APP]",        "keep the app at what is live now", OPT(APP) | OPT(MESSAGE), apps_hold },
    { "login",    "",        "URL",          "work with the server at URL", OPT(TOKEN), login_run },
    { "logs",     "",        "[APP]",        "what the app prints", OPT(APP) | OPT(FOLLOW) | OPT(PROCESS) | OPT(TAIL), logs_run },
    { "open",     "",        "[APP]",        "print the app's address, and open it where there is a display", OPT(APP), apps_open },
    { "projects", "create",  "NAME",         "make a project", 0, projects_create },
    { "projects", "delete",  "NAME",         "remove an empty project", OPT(YES) | OPT(CONFIRM), projects_delete },
    { "projects", "list",    "",             "the projects", 0, projects_list },
    { "releases", "info",    "vN",           "a release, and why it was rejected", OPT(APP), releases_info },
    { "releases", "list",    "",             "releases of the app, newest first", OPT(APP) | OPT(LIMIT), releases_list },
    { "repos",    "add",     "NAME URL",     "let apps use a git remote", OPT(USER) | OPT(PASSWORD_STDIN), repos_add },
    { "repos",    "info",    "NAME",         "a repository and its branches", 0, repos_info },
    { "repos",    "list",    "",             "the repositories of the project", 0, repos_list },
    { "repos",    "refresh", "NAME",         "look for new commits now", 0, repos_refresh },
    { "repos",    "remove",  "NAME",         "forget a repository", OPT(YES) | OPT(CONFIRM), repos_remove },
    { "restart",  "",        "[APP]",        "replace all instances; it answers all the while", OPT(APP) | OPT(WAIT) | OPT(TIMEOUT), deploy_restart },
    { "resume",   "",        "[APP]",        "end a hold", OPT(APP), apps_resume },
    { "rollback", "",        "[vN]",         "make an earlier release live, and hold there", OPT(APP) | OPT(WAIT) | OPT(TIMEOUT), releases_rollback },
    { "scale",    "",        "PROCESS=N…",   "how many instances", OPT(APP), apps_scale },
    { "start",    "",        "[APP]",        "run the app again", OPT(APP), apps_start },
    { "status",   "",        "[APP]",        "how the app is; outside of one, how the server is", OPT(APP), status_run },
    { "stop",     "",        "[APP]",        "stop the app; it stays as it is otherwise", OPT(APP), apps_stop },
    { "tokens",   "create",  "NAME",         "make an API token; with -p for that project only", 0, tokens_create },
    { "tokens",   "delete",  "ID",           "end a token", 0, tokens_delete },
    { "tokens",   "list",    "",             "the API tokens", 0, tokens_list },
    { "up",       "",        "",             "run Evenkeel on this machine", UP_OPTIONS, up_run },
    { "version",  "",        "",             "print the version", 0, version_run },
    { "wait",     "",        "[APP]",        "until the app is live as wanted (exit code 6: not in time)", OPT(APP) | OPT(TIMEOUT), deploy_wait },
};
/* clang-format on */

const size_t command_count = countof(commands);
