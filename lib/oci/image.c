#include "oci/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static const char digits[] = "0123456789";
static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char any[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool image_is_digest(const char *text)
{
    return text_starts(text, "sha256:") && strlen(text) == 7 + 64 &&
           strspn(text + 7, "0123456789abcdef") == 64;
}

/* Alternating runs: one of `letters`, then one of what `separator` allows between two of them. */
static bool is_runs(const char *text, const char *letters, size_t (*separator)(const char *text))
{
    for (;;) {
        size_t n = strspn(text, letters);
        if (n == 0)
            return false;
        text += n;
        if (*text == '\0')
            return true;
        n = separator(text);
        if (n == 0)
            return false;
        text += n;
    }
}

/* One dot, one or two underscores, or any number of dashes. */
static size_t name_separator(const char *text)
{
    if (*text == '-')
        return strspn(text, "-");
    if (*text == '_')
        return text[1] == '_' ? 2 : 1;
    return *text == '.' || *text == '/';
}

static size_t host_separator(const char *text)
{
    return *text == '-' ? strspn(text, "-") : *text == '.';
}

static bool is_tag(const char *text)
{
    size_t n = strlen(text);

    return n > 0 && n <= 128 && *text != '.' && *text != '-' &&
           strspn(text + strspn(text, any), "._-abcdefghijklmnopqrstuvwxyz"
                                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") +
                   strspn(text, any) ==
               n;
}

static bool is_host(const char *text)
{
    auto_free char *host = xstrdup(text);
    char *port = strchr(host, ':');

    if (port) {
        *port++ = '\0';
        if (*port == '\0' || strlen(port) > 5 || strspn(port, digits) != strlen(port))
            return false;
    }
    return is_runs(host, any, host_separator);
}

/* The part before the first slash is a host when it cannot be a part of a name on the default
 * registry: it has a dot or a port, or is "localhost". */
static bool has_host(const char *text)
{
    size_t n = strcspn(text, "/");

    return text[n] == '/' && (memchr(text, '.', n) || memchr(text, ':', n) ||
                              (n == 9 && memcmp(text, "localhost", 9) == 0));
}

/* Cuts `text` into the parts of `image`, from behind. */
static void split(char *text, struct image *image)
{
    char *at = strchr(text, '@');
    if (at) {
        *at = '\0';
        image->digest = xstrdup(at + 1);
    }
    char *slash = strrchr(text, '/'), *colon = strchr(slash ? slash : text, ':');
    if (colon) {
        *colon = '\0';
        image->tag = xstrdup(colon + 1);
    }
    if (has_host(text)) {
        slash = strchr(text, '/');
        image->host = xstrndup(text, (size_t)(slash - text));
        text = slash + 1;
    }
    image->name = xstrdup(text);
}

static int check(const struct image *image, struct err *err)
{
    if (image->digest && !image_is_digest(image->digest))
        return err_set(err, ERR_INVALID, "its digest is not sha256: and 64 hex digits");
    if (image->tag && !is_tag(image->tag))
        return err_set(err, ERR_INVALID, "its tag has other characters than a-z A-Z 0-9 _ . -");
    if (image->host && !is_host(image->host))
        return err_set(err, ERR_INVALID, "its registry is no host name");
    if (!is_runs(image->name, lower, name_separator))
        return err_set(err, ERR_INVALID, "its name is not lower-case words between . _ - and /");
    return 0;
}

int image_parse(const char *text, struct image *image, struct err *err)
{
    auto_image parsed = { .host = NULL };

    if (strlen(text) > IMAGE_TEXT_MAX)
        return err_set(err, ERR_INVALID, "an image reference above %d bytes", IMAGE_TEXT_MAX);
    if (image_is_digest(text)) {
        parsed.digest = xstrdup(text);
    } else {
        auto_free char *copy = xstrdup(text);
        split(copy, &parsed);
        if (check(&parsed, err))
            return err_prefix(err, "the image reference \"%s\"", text);
    }
    *image = parsed;
    parsed = (struct image){ .host = NULL };
    return 0;
}

void image_done(struct image *image)
{
    free(image->host);
    free(image->name);
    free(image->tag);
    free(image->digest);
    *image = (struct image){ .host = NULL };
}

char *image_text(const struct image *image)
{
    if (!image->name)
        return xstrdup(image->digest);
    return xasprintf("%s%s%s%s%s%s%s", image->host ? image->host : "", image->host ? "/" : "",
                     image->name, image->tag ? ":" : "", image->tag ? image->tag : "",
                     image->digest ? "@" : "", image->digest ? image->digest : "");
}
