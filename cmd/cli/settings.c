#include "cmd/cli/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/yaml_text.h"
#include "conf/conf.h"
#include "model/spec.h"

enum {
    DATA_MAX = 80, /* a unix socket's path has at most 107 bytes: room for "/haproxy/master.sock" */
    PREFIX_MAX = 20,
    KEPT_MAX = 4096,
};

static const struct conf_key keys[] = {
    { "api_port", CONF_INT, offsetof(struct settings, api_port), "8081", "1", "65535",
      "port of the API and of git" },
    { "domain", CONF_TEXT, offsetof(struct settings, domain), "localhost", NULL, NULL,
      "apps are at APP.DOMAIN" },
    { "http_port", CONF_INT, offsetof(struct settings, http_port), "8080", "1", "65535",
      "port of the apps" },
    { "network_range", CONF_TEXT, offsetof(struct settings, network_range), "10.224.0.0/12", NULL,
      NULL, "where the networks of projects are taken from" },
    { "prefix", CONF_TEXT, offsetof(struct settings, prefix), "", NULL, NULL,
      "before every name given to Docker" },
};

/* Flags and environment over what was kept. */
static const struct {
    enum option option;
    const char *variable;
    size_t text, number; /* offset of one of both; the other is 0 */
} overrides[] = {
    { OPT_API_PORT, "EVENKEEL_API_PORT", 0, offsetof(struct settings, api_port) },
    { OPT_DOMAIN, "EVENKEEL_DOMAIN", offsetof(struct settings, domain), 0 },
    { OPT_HTTP_PORT, "EVENKEEL_HTTP_PORT", 0, offsetof(struct settings, http_port) },
    { OPT_NETWORK_RANGE, "EVENKEEL_NETWORK_RANGE", offsetof(struct settings, network_range), 0 },
    { OPT_PREFIX, "EVENKEEL_PREFIX", offsetof(struct settings, prefix), 0 },
};

static char *default_data(void)
{
    const char *home = getenv("HOME"), *share = getenv("XDG_DATA_HOME");

    if (geteuid() == 0)
        return xstrdup("/var/lib/evenkeel");
    if (share && *share == '/')
        return xasprintf("%s/evenkeel", share);
    return home && *home == '/' ? xasprintf("%s/.local/share/evenkeel", home) : NULL;
}

/* Absolute, without a slash at the end; the folder need not be there. */
static int absolute(const char *path, char **result, struct err *err)
{
    auto_free char *dir = *path == '/' ? NULL : getcwd(NULL, 0);
    auto_free char *full = *path == '/' ? xstrdup(path) : xasprintf("%s/%s", dir ? dir : "", path);
    size_t len = strlen(full);

    while (len > 1 && full[len - 1] == '/')
        full[--len] = '\0';
    if (len > DATA_MAX) {
        err_set(err, ERR_INVALID, "the data folder's path has %zu bytes, sockets below it allow %d",
                len, DATA_MAX);
        return err_hint(err, "choose a shorter path with --data");
    }
    for (const char *c = full; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("\"'\\,;{}#$", *c))
            return err_set(
                err, ERR_INVALID,
                "the data folder's path must be plain letters, without spaces or quotes");
    *result = take(&full);
    return 0;
}

int settings_data(const struct cli *cli, char **data, struct err *err)
{
    const char *variable = getenv("EVENKEEL_DATA");
    auto_free char *fallback = NULL;
    const char *given = cli->options[OPT_DATA];

    if (!given)
        given = variable && *variable ? variable : (fallback = default_data());
    if (!given)
        return err_set(err, ERR_INVALID, "HOME is not set: name the data folder with --data");
    return absolute(given, data, err);
}

static int override_one(const struct cli *cli, size_t i, struct settings *settings, struct err *err)
{
    const char *variable = getenv(overrides[i].variable),
               *value = cli->options[overrides[i].option];
    char *base = (char *)settings;
    int64_t number;

    if (!value && variable && *variable)
        value = variable;
    if (!value)
        return 0;
    if (overrides[i].text) {
        char **text = (char **)(void *)(base + overrides[i].text);
        free(*text);
        *text = xstrdup(value);
        return 0;
    }
    if (!text_int(value, &number) || number < 1 || number > 65535)
        return err_set(err, ERR_INVALID, "%s: a port is a number from 1 to 65535",
                       overrides[i].variable);
    *(int64_t *)(void *)(base + overrides[i].number) = number;
    return 0;
}

static int check(const struct settings *s, struct err *err)
{
    if (s->http_port == s->api_port)
        return err_set(err, ERR_INVALID, "--http-port and --api-port are both %lld",
                       (long long)s->api_port);
    if (strlen(s->prefix) > PREFIX_MAX ||
        strspn(s->prefix, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(s->prefix))
        return err_set(err, ERR_INVALID, "--prefix is at most %d of a-z, 0-9 and -", PREFIX_MAX);
    if (strspn(s->network_range, "0123456789./") != strlen(s->network_range) ||
        !strchr(s->network_range, '/'))
        return err_set(err, ERR_INVALID, "--network-range is like 10.224.0.0/12");
    return spec_check_host(s->domain, "domain", err);
}

static char *kept_path(const struct settings *settings)
{
    return xasprintf("%s/etc/up.yaml", settings->data);
}

int settings_read(const struct cli *cli, struct settings *settings, struct err *err)
{
    if (settings_data(cli, &settings->data, err))
        return -1;
    auto_free char *path = kept_path(settings);
    if (conf_read(fs_exists(path) ? path : NULL, keys, countof(keys), settings, err))
        return -1;
    for (size_t i = 0; i < countof(overrides); i++)
        if (override_one(cli, i, settings, err))
            return -1;
    return check(settings, err);
}

void settings_done(struct settings *settings)
{
    conf_done(keys, countof(keys), settings);
    free(settings->data);
}

static char *kept_text(const struct settings *s)
{
    json_auto_t *value = json_pack("{s:I, s:s, s:I, s:s, s:s}", "api_port", (json_int_t)s->api_port,
                                   "domain", s->domain, "http_port", (json_int_t)s->http_port,
                                   "network_range", s->network_range, "prefix", s->prefix);
    char *text = NULL;
    size_t len;
    FILE *out = xmemstream(&text, &len);

    yaml_print(out, value, true);
    fclose(out);
    return text;
}

bool settings_are_kept(const struct settings *settings)
{
    auto_free char *path = kept_path(settings), *text = kept_text(settings), *before = NULL;
    struct err err = { 0 };

    return fs_read(path, KEPT_MAX, &before, NULL, &err) == 0 && strcmp(before, text) == 0;
}

int settings_keep(const struct settings *settings, struct err *err)
{
    auto_free char *path = kept_path(settings), *text = kept_text(settings);

    return fs_write(path, text, strlen(text), 0600, err);
}
