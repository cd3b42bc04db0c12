/* The configuration is constant but for its server lines: a frontend that makes a key of the
 * request, a map from keys to targets, and as many backends as are laid out.
 *
 * The key is host + path + "/", with the host in lower case and without port or final dots, and the
 * path decoded, with runs of slashes made one. The map's entries end in "/" and the longest one
 * that the key starts with wins, so whole path components decide: "/api" takes /api and /api/x, not
 * /api2. An application may decode or collapse a path too; since the decision is made on the
 * decoded path, and dot segments are refused, no spelling of a path reaches another route than the
 * plain one. HAProxy itself refuses requests whose Host header and absolute target differ, and more
 * than one Host. */
#include "controller/router/files.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/router/names.h"

enum { FILE_SIZE_MAX = 256 * 1024 * 1024 };

/* An instance whose queue of connections is full drops what comes, and the kernel would ask again
 * after 1 s, 3 s, 7 s; here a connection takes less than a millisecond, so the router asks sooner.
 * HAProxy waits for as long again before it retries: 12 retries are 3 s of a refusing instance and
 * 6 s of a silent one. */
static const char limits[] = "defaults\n"
                             "    mode http\n"
                             "    balance roundrobin\n"
                             "    option redispatch 1\n"
                             "    retries 12\n"
                             "    retry-on conn-failure\n"
                             "    timeout connect 250ms\n"
                             "    timeout client 5m\n"
                             "    timeout server 5m\n"
                             "    timeout queue 30s\n"
                             "    timeout tunnel 1h\n"
                             "    timeout http-request 10s\n"
                             "    timeout http-keep-alive 60s\n"
                             "    http-error status 503 content-type \"text/html; charset=utf-8\" "
                             "hdr Retry-After 5 hdr Cache-Control no-store"
                             " string \"<!doctype html><title>Not ready</title><h1>Not ready</h1>"
                             "<p>No instance of this app takes requests at the moment. Try again "
                             "in a few seconds.</p>\\n\"\n";

static const char rules[] =
    "    http-request deny deny_status 405 if { method CONNECT }\n"
    "    http-request del-header X-Evenkeel- -m beg\n"
    "    http-request del-header Forwarded\n"
    "    http-request del-header Proxy\n"
    "    http-request set-header X-Forwarded-For %[src]\n"
    "    http-request set-header X-Real-IP %[src]\n"
    "    http-request set-header X-Forwarded-Proto http\n"
    "    http-request set-header X-Forwarded-Host %[req.fhdr(Host)]\n"
    "    http-request set-header X-Forwarded-Port %[dst_port]\n"
    "    http-request set-var(txn.path) path,url_dec,regsub(//+,/,g)\n"
    "    http-request deny deny_status 400 if !{ var(txn.path) -m found }\n"
    "    http-request deny deny_status 400 if { path -m sub %00 }\n"
    "    http-request deny deny_status 400 if { var(txn.path) -m reg (^|/)\\.\\.?(/|$) }\n"
    "    http-request set-uri %[pathq] if { url -m reg -i ^https?:// }\n"
    "    http-request set-var(txn.host) req.fhdr(Host),field(1,:),lower,rtrim(.)\n"
    "    http-request set-var-fmt(txn.key) %[var(txn.host)]%[var(txn.path)]/\n";

static const char unknown[] = "backend unknown\n"
                              "    http-request return status 404 content-type \"text/html; "
                              "charset=utf-8\" hdr Cache-Control no-store"
                              " string \"<!doctype html><title>Not found</title><h1>Not found</h1>"
                              "<p>No app is routed at this address.</p>\\n\"\n";

static const char sites[] =
    "backend sites\n"
    "    http-request set-header X-Evenkeel-Site %[var(txn.target),field(2,.)]\n"
    "    http-request set-header X-Evenkeel-Spa 1 if { var(txn.target),field(3,.) spa }\n";

int files_check_config(const struct haproxy_config *config, struct err *err)
{
    const char *site = config->site_server;
    const char *port = site ? strchr(site, ':') : NULL;
    auto_free char *host = port ? xstrndup(site, (size_t)(port - site)) : NULL;
    int64_t number;

    if (!name_is_file_path(config->dir))
        return err_field(err, "dir", NULL,
                         "the router's folder must be an absolute path of plain characters");
    if (!name_is_bind_host(config->http_host) || config->http_port == 0)
        return err_field(err, "http_host", NULL,
                         "the router's address must be an IPv4 address or *, with a port");
    if (site && !name_is_file_path(site) &&
        !(name_is_ipv4(host) && text_int(port + 1, &number) && number > 0 && number <= UINT16_MAX))
        return err_field(err, "site_server", NULL,
                         "the site server must be a socket path or IPv4:port");
    if (config->user && !name_is_plain(config->user))
        return err_field(err, "user", NULL, "the router's user must be a plain name");
    return 0;
}

static void write_head(FILE *out, const struct haproxy_config *config, const char *layout)
{
    fprintf(
        out,
        "# Written by evenkeel-controller; do not edit: it is written again with every change.\n");
    fprintf(out,
            "global\n    maxconn %u\n    stats socket %s/admin.sock mode 600 level admin\n    "
            "stats timeout 30s\n",
            config->maxconn ? config->maxconn : 4000, config->dir);
    fprintf(out, "    hard-stop-after 1h\n    tune.bufsize 16384\n");
    if (config->user)
        fprintf(out, "    user %s\n    group %s\n", config->user, config->user);
    fprintf(out, "    description %s\n\n%s\n", layout, limits);
    fprintf(out, "frontend http\n    bind %s:%u\n%s", config->http_host, config->http_port, rules);
    fprintf(out, "    http-request set-var(txn.target) var(txn.key),map_beg(%s/routes.map)\n",
            config->dir);
    fprintf(out, "    use_backend %%[var(txn.target),field(1,.)] if { var(txn.target) -m found }\n"
                 "    default_backend unknown\n\n");
    fprintf(out, "%s\n%s", unknown, sites);
    if (config->site_server)
        fprintf(out, "    server nginx %s%s\n", config->site_server[0] == '/' ? "unix@" : "",
                config->site_server);
    fputc('\n', out);
}

char *files_layout(const struct haproxy_config *config, const struct state *state)
{
    auto_free char *text = NULL;
    size_t len = 0;
    FILE *out = xmemstream(&text, &len);

    write_head(out, config, "");
    fprintf(out, "%u", state->slot_max);
    fclose(out);
    return sha256_hex(text, len);
}

static void write_slot(FILE *out, const struct state *state, unsigned number)
{
    const struct slot *slot = state->slots[number];

    fprintf(out, "backend s%u\n", number);
    for (size_t i = 0; slot && i < slot->server_count;
         i++) /* after a restart nothing is left to drain */
        if (!slot->servers[i].is_draining)
            fprintf(out, "    server %s %s:%u\n", slot->servers[i].name, slot->servers[i].address,
                    slot->servers[i].port);
}

static char *render_config(const struct haproxy_config *config, const struct state *state,
                           size_t *len)
{
    auto_free char *layout = files_layout(config, state);
    char *text = NULL;
    FILE *out = xmemstream(&text, len);

    write_head(out, config, layout);
    for (unsigned i = 1; i <= state->slot_max; i++)
        write_slot(out, state, i);
    fclose(out);
    return text;
}

static char *render_map(const struct state *state, size_t *len)
{
    char *text = NULL;
    FILE *out = xmemstream(&text, len);

    for (const struct entry *entry = state->entries; entry; entry = entry->hh.next) {
        auto_free char *target = entry_target(entry);
        fprintf(out, "%s %s\n", entry->key, target);
    }
    fclose(out);
    return text;
}

static int write_one(const struct haproxy_config *config, const char *name, const char *text,
                     size_t len, struct err *err)
{
    auto_free char *path = fs_join(config->dir, name);
    auto_free char *there = NULL;
    struct err ignored = { 0 };
    size_t there_len;

    if (fs_read(path, FILE_SIZE_MAX, &there, &there_len, &ignored) == 0 && there_len == len &&
        memcmp(there, text, len) == 0)
        return 0;
    return fs_write(path, text, len, 0600, err);
}

int files_write(const struct haproxy_config *config, const struct state *state, struct err *err)
{
    size_t config_len = 0, map_len = 0;
    auto_free char *json = state_json(state);
    auto_free char *text = render_config(config, state, &config_len);
    auto_free char *map = render_map(state, &map_len);

    if (fs_make_dirs(config->dir, 0700, err) ||
        write_one(config, "state.json", json, strlen(json), err) ||
        write_one(config, "haproxy.cfg", text, config_len, err) ||
        write_one(config, "routes.map", map, map_len, err))
        return err_prefix(err, "writing the router's files");
    return 0;
}
