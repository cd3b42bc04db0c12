#include "controller/router/names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { HOST_MAX = 253, LABEL_MAX = 63, PATH_MAX_BYTES = 512, NAME_MAX_BYTES = 120 };

static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char name_chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
static const char path_chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/~@+,:=";

static bool is_made_of(const char *text, const char *chars, size_t max)
{
    size_t len = strspn(text, chars);
    return len > 0 && len <= max && text[len] == '\0';
}

bool name_is_plain(const char *name)
{
    return name && is_made_of(name, name_chars, NAME_MAX_BYTES);
}

bool name_is_ipv4(const char *address)
{
    struct in_addr parsed;
    return address && inet_pton(AF_INET, address, &parsed) == 1;
}

bool name_is_digest(const char *digest)
{
    return digest && strlen(digest) == 64 && strspn(digest, "0123456789abcdef") == 64;
}

bool name_is_file_path(const char *path)
{
    return path && path[0] == '/' && is_made_of(path, path_chars, PATH_MAX_BYTES);
}

bool name_is_bind_host(const char *host)
{
    return host && (strcmp(host, "*") == 0 || name_is_ipv4(host));
}

static bool is_host(const char *host)
{
    const char *label = host;

    if (strlen(host) > HOST_MAX)
        return false;
    for (;; label++) {
        size_t len = strcspn(label, ".");
        if (len == 0 || len > LABEL_MAX || strspn(label, lower) == 0 || label[len - 1] == '-' ||
            strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-") < len)
            return false;
        label += len;
        if (*label == '\0')
            return true;
    }
}

/* No "//", "/./" or "/../": a request with those never gets as far as the map. */
static bool is_path(const char *path)
{
    if (path[0] != '/' || !is_made_of(path, path_chars, PATH_MAX_BYTES))
        return false;
    for (const char *part = path + 1; *part;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len <= 2 && strspn(part, ".") >= len))
            return false;
        part += len + (part[len] == '/');
    }
    return true;
}

int route_key(const char *host, const char *path, char **key, struct err *err)
{
    auto_free char *small = xstrdup(host ? host : "");

    for (char *p = small; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (!is_host(small))
        return err_field(err, "host", "a DNS name: letters, digits and inner dashes between dots",
                         "the router does not take the host \"%.80s\"", small);
    if (!path || !is_path(path))
        return err_field(
            err, "path", "plain characters between single slashes, not percent-encoded",
            "the router does not take the path \"%.80s\" of %s", path ? path : "", small);
    *key = xasprintf("%s%s%s", small, path, text_ends(path, "/") ? "" : "/");
    return 0;
}
