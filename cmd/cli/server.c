#include "cmd/cli/server.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "conf/conf.h"

static const struct conf_key keys[] = {
    { "project", CONF_TEXT, offsetof(struct server, project), "default", NULL, NULL,
      "the project that commands are about" },
    { "token", CONF_TEXT, offsetof(struct server, token), NULL, NULL, NULL, "an API token" },
    { "url", CONF_TEXT, offsetof(struct server, url), NULL, NULL, NULL, "address of the API" },
};

struct server *server_new(const char *url, const char *token, const char *project)
{
    struct server *server = xcalloc(1, sizeof *server);

    server->url = xstrdup(url);
    server->token = xstrdup(token);
    server->project = xstrdup(project);
    return server;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    free(server->url);
    wipe_free(server->token);
    free(server->project);
    free(server);
}

char *server_path(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (config && *config == '/')
        return xasprintf("%s/evenkeel/config.yaml", config);
    if (home && *home == '/')
        return xasprintf("%s/.config/evenkeel/config.yaml", home);
    return NULL;
}

int server_check_url(const char *text, char **url, struct err *err)
{
    size_t len = strlen(text);
    const char *host = strstr(text, "://");

    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '"' || *c == '\\' || *c == '@' ||
            *c == '?' || *c == '#')
            return err_set(err, ERR_INVALID,
                           "the server's address must be like https://paas.example.org");
    if (host && !text_starts(text, "http://") && !text_starts(text, "https://"))
        return err_set(err, ERR_INVALID, "the server's address begins with http:// or https://");
    while (len && text[len - 1] == '/')
        len--;
    if (!len || (host && (size_t)(host + 3 - text) >= len))
        return err_set(err, ERR_INVALID, "the server's address has no host");
    *url = xasprintf("%s%.*s", host ? "" : "https://", (int)len, text);
    return 0;
}

static int check_mode(const char *path, struct err *err)
{
    struct stat info;

    if (stat(path, &info))
        return err_errno(err, errno, "reading %s", path);
    if (!(info.st_mode & 077))
        return 0;
    err_set(err, ERR_DENIED, "%s holds a token and can be read by others", path);
    return err_hint(err, "chmod 600 %s; if others use this machine, make a new token too", path);
}

int server_read(struct server **server, struct err *err)
{
    auto_free char *path = server_path();
    auto_server *found = xcalloc(1, sizeof *found);

    if (!path)
        return err_set(err, ERR_NOT_FOUND, "HOME is not set");
    if (check_mode(path, err) || conf_read(path, keys, countof(keys), found, err))
        return -1;
    *server = take(&found);
    return 0;
}

int server_write(const struct server *server, struct err *err)
{
    auto_free char *path = server_path();

    if (!path)
        return err_set(err, ERR_NOT_FOUND, "HOME is not set");
    auto_free char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    /* Plain characters only, checked where they come from: so quotes are enough. */
    auto_wipe char *text =
        xasprintf("# Written by `evenkeel login` and `evenkeel up`; holds a secret.\n"
                  "url: \"%s\"\ntoken: \"%s\"\nproject: \"%s\"\n",
                  server->url, server->token, server->project);
    if (fs_make_dirs(dir, 0700, err) || fs_write(path, text, strlen(text), 0600, err))
        return err_prefix(err, "keeping the login");
    return 0;
}

static bool is_token(const char *token)
{
    for (const char *c = token; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || *c == '"' || *c == '\\')
            return false;
    return *token;
}

int server_get(struct cli *cli, const struct server **server, struct err *err)
{
    const char *url = getenv("EVENKEEL_URL"), *token = getenv("EVENKEEL_TOKEN");
    auto_server *found = NULL;
    auto_free char *tidy = NULL;

    if (cli->server) {
        *server = cli->server;
        return 0;
    }
    if ((!url || !*url || !token || !*token) && server_read(&found, err)) {
        if (err->class != ERR_NOT_FOUND)
            return -1;
        err_set(err, ERR_UNAUTHENTICATED, "not logged in to a server");
        return err_hint(err, "`evenkeel login URL`, or `evenkeel up` for one on this machine");
    }
    const char *project = getenv("EVENKEEL_PROJECT");
    if (server_check_url(url && *url ? url : found->url, &tidy, err))
        return -1;
    struct server *chosen = server_new(tidy, token && *token ? token : found->token,
                                       project && *project ? project
                                       : found             ? found->project
                                                           : "default");
    cli->server = chosen;
    if (!is_token(chosen->token))
        return err_set(err, ERR_INVALID, "the token holds characters that no token has");
    *server = chosen;
    return 0;
}
