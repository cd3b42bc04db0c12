/* What the daemon does with images. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "oci/image.h"
#include "oci/internal.h"

/* base64url with padding: the daemon takes a header without it for none at all. */
char *engine_auth_header(const struct engine_auth *auth)
{
    json_auto_t *json = json_pack("{s:s, s:s, s:s}", "username", auth->user, "password",
                                  auth->password, "serveraddress", auth->server);
    auto_wipe char *text = json ? json_dumps(json, JSON_COMPACT) : xstrdup("{}");
    auto_wipe char *bare = text_base64url(text, strlen(text));

    return xasprintf("%s%.*s", bare, (int)((4 - strlen(bare) % 4) % 4), "===");
}

static int ignore_progress(void *arg, const json_t *line, struct err *err)
{
    (void)arg;
    (void)line;
    (void)err;
    return 0;
}

/* fromImage is everything but tag and digest; `tag` is the digest when there is one, because a
 * digest says more than a tag. */
static char *pull_path(const struct image *image)
{
    struct image base = { .host = image->host, .name = image->name };
    auto_free char *name = image_text(&base);
    auto_free char *from = text_url_escape(name);
    const char *tag = image->digest ? image->digest : image->tag ? image->tag : "latest";
    auto_free char *escaped = text_url_escape(tag);

    return xasprintf("/images/create?fromImage=%s&tag=%s", from, escaped);
}

int engine_pull(struct engine *engine, const char *reference, const struct engine_auth *auth,
                int64_t timeout_ms, const bool *cancelled, struct err *err)
{
    auto_image image = { .host = NULL };

    if (image_parse(reference, &image, err))
        return -1;
    if (!image.name)
        return err_set(err, ERR_NOT_FOUND,
                       "the image %s is not on this machine, and an image id "
                       "cannot be pulled",
                       reference);
    auto_free char *path = pull_path(&image);
    auto_wipe char *value = auth ? engine_auth_header(auth) : xstrdup("e30="); /* {} */
    auto_wipe char *header = xasprintf("X-Registry-Auth: %s", value);
    const char *const headers[] = { header, NULL };
    struct engine_stream stream = { .method = "POST",
                                    .path = path,
                                    .headers = headers,
                                    .line = ignore_progress,
                                    .timeout_ms = timeout_ms,
                                    .cancelled = cancelled };
    if (engine_stream(engine, &stream, err))
        return err_prefix(err, "pulling %s", reference);
    return 0;
}

int engine_inspect_image(struct engine *engine, const char *reference, json_t **out,
                         struct err *err)
{
    auto_image image = { .host = NULL };

    if (image_parse(reference, &image, err))
        return -1;
    return engine_get(engine, out, err, "/images/%s/json", reference);
}
