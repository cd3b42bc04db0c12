/* Names, hosts, refs and addresses of repositories that people give. */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "model/spec.h"

/* They would stand where Evenkeel's own hosts and paths do. */
static const char *const reserved_apps[] = {
    "api", "auth", "dashboard", "evenkeel", "git", "hooks"
};

int spec_check_name(const char *name, const char *field, size_t max, struct err *err)
{
    if (!text_is_label(name, max))
        return err_field(err, field, "write one like shop-2",
                         "`%s` must be 1 to %zu lower-case letters, digits and inner dashes", field,
                         max);
    for (size_t i = 0; strcmp(field, "app") == 0 && i < countof(reserved_apps); i++)
        if (strcmp(name, reserved_apps[i]) == 0)
            return err_field(err, field, "choose another name", "the name %s is reserved", name);
    return 0;
}

int spec_check_env_name(const char *name, struct err *err)
{
    size_t len = strlen(name);

    if (len == 0 || len > 200 || isdigit((unsigned char)*name))
        return err_field(err, "env", NULL,
                         "a variable's name must be 1 to 200 letters, digits and _, not a digit "
                         "first");
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return err_field(err, "env", NULL,
                             "the variable `%.100s` must be named with letters, digits and _ only",
                             name);
    if (text_starts(name, "EVENKEEL_"))
        return err_field(err, "env", "choose another name",
                         "the variable `%.100s`: names with EVENKEEL_ are set by Evenkeel", name);
    return 0;
}

/* ---- hosts ---- */

static bool has_upper(const char *text)
{
    for (; *text; text++)
        if (isupper((unsigned char)*text))
            return true;
    return false;
}

/* 127, 0x7f: what resolvers may read as part of an address in numbers. */
static bool is_number(const char *label)
{
    if (text_starts(label, "0x"))
        return strspn(label + 2, "0123456789abcdef") == strlen(label + 2);
    return strspn(label, "0123456789") == strlen(label);
}

static bool is_host(const char *host)
{
    for (;;) {
        size_t len = strcspn(host, ".");
        auto_free char *label = xstrndup(host, len);
        if (!text_is_label(label, 63))
            return false;
        if (!host[len])
            return !is_number(label);
        host += len + 1;
    }
}

int spec_check_host(const char *host, const char *field, struct err *err)
{
    if (strchr(host, '*'))
        return err_field(err, field, "write one route per host",
                         "`%s` must be one host; wildcards are not supported", field);
    if (has_upper(host))
        return err_field(err, field, "write it in lower case", "`%s` must be in lower case", field);
    if (strlen(host) > 253 || !is_host(host))
        return err_field(err, field, NULL,
                         "`%s` must be a host name like shop.example.org, without scheme, port or "
                         "path; an IP address is none",
                         field);
    return 0;
}

/* ---- refs (git-check-ref-format(1)) ---- */

/* Between two slashes. */
static bool is_ref_component(const char *text, size_t len)
{
    return len > 0 && text[0] != '.' && (len < 5 || memcmp(text + len - 5, ".lock", 5) != 0);
}

static bool is_ref(const char *ref)
{
    size_t len = strlen(ref);

    if (len == 0 || len > 255 || *ref == '-' || ref[len - 1] == '.' || strcmp(ref, "@") == 0)
        return false;
    if (strstr(ref, "..") || strstr(ref, "@{") || strpbrk(ref, " ~^:?*[\\"))
        return false;
    for (const char *c = ref; *c; c++)
        if (iscntrl((unsigned char)*c))
            return false;
    for (;;) {
        size_t component = strcspn(ref, "/");
        if (!is_ref_component(ref, component))
            return false;
        if (!ref[component])
            return true;
        ref += component + 1;
    }
}

int spec_check_ref(const char *ref, struct err *err)
{
    if (is_ref(ref))
        return 0;
    return err_field(err, "ref", "write a branch, a tag or a full ref, like main or refs/tags/v1",
                     "`ref` is not a name that git allows");
}

/* ---- addresses of repositories ---- */

static int bad_url(struct err *err, const char *hint, const char *text)
{
    return err_field(err, "url", hint, "`url` %s", text);
}

/* scp's form: git@host:path, without a scheme. */
static bool is_scp(const char *url)
{
    size_t len = strcspn(url, "/:");

    return url[len] == ':' && url[len + 1] != ':' && !strstr(url, "://");
}

static int check_scheme(const char *url, const char **rest, bool *is_ssh, struct err *err)
{
    static const char *const schemes[] = { "http://", "https://", "ssh://" };

    for (size_t i = 0; i < countof(schemes); i++)
        if (text_starts(url, schemes[i])) {
            *rest = url + strlen(schemes[i]);
            *is_ssh = i == 2;
            return 0;
        }
    return bad_url(err,
                   is_scp(url) ? "write ssh://USER@HOST/PATH instead of USER@HOST:PATH"
                               : "write https://HOST/PATH or ssh://git@HOST/PATH",
                   "must start with https://, http:// or ssh://");
}

static int check_user(const char *authority, bool is_ssh, struct err *err)
{
    const char *at = strrchr(authority, '@');
    size_t user = at ? (size_t)(at - authority) : 0;

    if (!at)
        return 0;
    if (!is_ssh || memchr(authority, ':', user))
        return bad_url(err, "give user and password as members of their own",
                       "must not contain a user or password");
    if (user == 0 || *authority == '-' ||
        strspn(authority, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            user)
        return bad_url(err, NULL, "has a user that is not letters, digits and . _ -");
    return 0;
}

/* host or host:port; an IP address is fine, in brackets when it is of version 6. */
static bool is_host_port(const char *text)
{
    size_t len = strcspn(text, ":");
    int64_t port = 1;

    if (*text == '[') {
        len = strspn(text + 1, "0123456789abcdefABCDEF:.");
        if (len < 2 || text[len + 1] != ']')
            return false;
        len += 2;
    } else if (len == 0 || len > 253 || *text == '-' || *text == '.' ||
               strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") !=
                   len)
        return false;
    if (text[len] == ':')
        return text_int(text + len + 1, &port) && port >= 1 && port <= 65535;
    return !text[len];
}

static int check_url_chars(const char *url, struct err *err)
{
    if (strlen(url) > 2000)
        return bad_url(err, NULL, "is longer than 2000 bytes");
    if (*url == '-')
        return bad_url(err, NULL, "must not start with -");
    for (const char *c = url; *c; c++)
        if (!isgraph((unsigned char)*c))
            return bad_url(err, "write other characters as %XX",
                           "must be visible ASCII characters without blanks");
    if (strpbrk(url, "?#\\"))
        return bad_url(err, "write only scheme, host and path", "must not contain ? # or \\");
    for (const char *c = strchr(url, '%'); c; c = strchr(c + 1, '%'))
        if (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2]) || c[1] < '2' ||
            strncasecmp(c, "%7f", 3) == 0)
            return bad_url(err, NULL, "has a % that is not followed by the code of a character");
    return 0;
}

int spec_check_url(const char *url, struct err *err)
{
    const char *rest = url;
    bool is_ssh = false;

    if (check_url_chars(url, err) || check_scheme(url, &rest, &is_ssh, err))
        return -1;
    auto_free char *authority = xstrndup(rest, strcspn(rest, "/"));
    const char *path = rest + strlen(authority), *at = strrchr(authority, '@');
    if (check_user(authority, is_ssh, err))
        return -1;
    if (!is_host_port(at ? at + 1 : authority))
        return bad_url(err, NULL, "must name a host, and a port only as a number");
    if (strlen(path) < 2)
        return bad_url(err, "write https://HOST/PATH", "must name the repository after the host");
    return 0;
}
