/* The site's folder is named by X-Evenkeel-Site (only the router can set it: it removes what
 * clients send, and nobody else reaches the socket); it must be 64 hex digits, anything else is
 * 404. X-Evenkeel-Spa: 1 falls back to /index.html for paths that look like pages, otherwise the
 * site's 404.html is sent with status 404.
 *
 * Links: unpacking accepts only those that stay inside their site; disable_symlinks is the second
 * fence, against a link that somebody else put there. */
#include "ssgen/nginx.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

enum { CONF_SIZE_MAX = 1 << 20 };

static const char head[] = "worker_processes 1;\n"
                           "events { worker_connections 4096; }\n"
                           "http {\n"
                           "    server_tokens off;\n"
                           "    access_log off;\n"
                           "    sendfile on;\n"
                           "    tcp_nopush on;\n"
                           "    keepalive_timeout 75s;\n"
                           "    client_max_body_size 64k;\n"
                           "    etag on;\n"
                           "    absolute_redirect off;\n"
                           "    port_in_redirect off;\n"
                           "    gzip on;\n"
                           "    gzip_vary on;\n"
                           "    gzip_proxied any;\n"
                           "    gzip_min_length 1024;\n"
                           "    gzip_types text/css text/plain text/xml text/javascript "
                           "application/javascript application/json application/xml "
                           "application/wasm application/manifest+json image/svg+xml;\n"
                           "    types {\n"
                           "        text/html html htm; text/css css; text/javascript js mjs; "
                           "application/json json map; text/plain txt;\n"
                           "        text/xml xml; text/markdown md; text/csv csv; "
                           "application/manifest+json webmanifest; application/wasm wasm;\n"
                           "        image/svg+xml svg svgz; image/png png; image/jpeg jpg jpeg; "
                           "image/gif gif; image/webp webp; image/avif avif;\n"
                           "        image/x-icon ico; font/woff woff; font/woff2 woff2; font/ttf "
                           "ttf; font/otf otf; application/pdf pdf;\n"
                           "        video/mp4 mp4; video/webm webm; audio/mpeg mp3; audio/ogg ogg "
                           "oga; application/zip zip; application/gzip gz;\n"
                           "        application/rss+xml rss; application/atom+xml atom;\n"
                           "    }\n"
                           "    default_type application/octet-stream;\n"
                           "    charset utf-8;\n"
                           "    map $http_x_evenkeel_site $site {\n"
                           "        default \"\";\n"
                           "        \"~^[0-9a-f]{64}$\" $http_x_evenkeel_site;\n"
                           "    }\n"
                           "    # What is not there: the page that draws itself (pages only, not "
                           "missing scripts and images), or 404.\n"
                           "    map \"$http_x_evenkeel_spa:$uri\" $otherwise {\n"
                           "        default /.none;\n"
                           "        \"~^1:.*/[^./]*$\" /index.html;\n"
                           "    }\n"
                           "    # Names with a hash in them never change; everything else is asked "
                           "for again (and answered 304).\n"
                           "    map $uri $cached {\n"
                           "        default \"no-cache\";\n"
                           "        "
                           "\"~[.-](?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{8,}\\.(?:js|mjs|css|woff2?|"
                           "ttf|otf|png|jpe?g|gif|webp|avif|svg|wasm|mp4|webm)$\" "
                           "\"public, max-age=31536000, immutable\";\n"
                           "    }\n";

static const char server[] =
    "        location / {\n"
    "            if ($site = \"\") { return 404; }\n"
    "            if ($request_method !~ ^(GET|HEAD)$) { return 405; }\n"
    "            add_header Cache-Control $cached;\n"
    "            add_header X-Content-Type-Options nosniff;\n"
    "            index index.html;\n"
    "            error_page 404 /404.html;\n"
    "            try_files $uri $uri/index.html $uri.html $otherwise =404;\n"
    "        }\n"
    "        location = /404.html {\n"
    "            internal;\n"
    "            add_header Cache-Control no-cache always;\n"
    "        }\n"
    "        location ~ /\\.(?!well-known(?:/|$)) { return 404; }\n"
    "    }\n"
    "}\n";

/* Nothing that means something to nginx. */
static int check(const char *what, const char *value, struct err *err)
{
    if (value[0] && !value[strcspn(value, " \t\r\n;{}\"'\\$#")])
        return 0;
    return err_field(err, what, "plain characters without spaces",
                     "nginx.conf cannot hold the %s \"%.200s\"", what, value);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
}

static char *render(const struct nginx_config *config, size_t *len)
{
    auto_free char *folder = folder_of(config->conf_path);
    char *text = NULL;
    FILE *out = xmemstream(&text, len);

    fprintf(out, "# Written by evenkeel-ssgen; do not edit.\n");
    if (config->user && *config->user)
        fprintf(out, "user %s;\n", config->user);
    fprintf(out, "pid %s/nginx.pid;\nerror_log stderr warn;\n%s", folder, head);
    for (const char *const *kind =
             (const char *const[]){ "client_body", "proxy", "fastcgi", "uwsgi", "scgi", NULL };
         *kind; kind++)
        fprintf(out, "    %s_temp_path %s/nginx.%s;\n", *kind, folder, *kind);
    fprintf(out, "    server {\n        listen %s%s;\n", config->listen[0] == '/' ? "unix:" : "",
            config->listen);
    fprintf(out, "        root %s/$site;\n        disable_symlinks if_not_owner from=%s/$site;\n",
            config->root, config->root);
    fprintf(out, "%s", server);
    fclose(out);
    return text;
}

int nginx_write_conf(const struct nginx_config *config, struct err *err)
{
    auto_free char *text = NULL, *there = NULL, *folder = NULL;
    struct err ignored = { 0 };
    size_t len = 0;

    if (check("conf_path", config->conf_path, err) || check("root", config->root, err) ||
        check("listen", config->listen, err) ||
        (config->user && *config->user && check("user", config->user, err)))
        return -1;
    text = render(config, &len);
    folder = folder_of(config->conf_path);
    if (fs_read(config->conf_path, CONF_SIZE_MAX, &there, NULL, &ignored) == 0 &&
        strcmp(there, text) == 0)
        return 0;
    if (fs_make_dirs(folder, 0755, err))
        return -1;
    return fs_write(config->conf_path, text, len, 0644, err);
}
