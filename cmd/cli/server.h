/* Which server this user works with: EVENKEEL_URL and EVENKEEL_TOKEN, or what `login` or `up` wrote
 * to
 * ~/.config/evenkeel/config.yaml (XDG_CONFIG_HOME), a file that only its owner may read. One
 * thread. */
#ifndef CMD_CLI_SERVER_H
#define CMD_CLI_SERVER_H

#include "base/err.h"
#include "cmd/cli/cli.h"

struct server {
    char *url;     /* "http://127.0.0.1:8081", without a slash at the end */
    char *token;   /* secret */
    char *project; /* used when nothing else says which */
};

/* Finds it once and keeps it in `cli`. An error with a way out when there is none. */
int server_get(struct cli *cli, const struct server **server, struct err *err);

/* ERR_NOT_FOUND when there is no file. `server` is the caller's to free. */
int server_read(struct server **server, struct err *err);
/* Replaces the file, 0600. */
int server_write(const struct server *server, struct err *err);
char *server_path(void); /* of the file; NULL when there is no home. The caller's to free */

/* Checks and tidies "host", "http://host:port/": the form kept in struct server. */
int server_check_url(const char *text, char **url, struct err *err);

struct server *server_new(const char *url, const char *token, const char *project);
void server_free(struct server *server); /* NULL is fine */

static inline void server_freep(struct server **server)
{
    server_free(*server);
}
#define auto_server __attribute__((__cleanup__(server_freep))) struct server

#endif
