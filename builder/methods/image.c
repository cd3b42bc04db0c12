/* Method image: nothing to build; an image that exists is made the artifact, by its digest.
 *
 * An image that is only on this machine (it was never pulled, so it has no digest of a registry) is
 * taken as it is and not asked for elsewhere: somebody else may own that name there. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "builder/builder.h"
#include "builder/method.h"
#include "oci/image.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The job's credentials, when they are those of the image's registry. */
static const struct engine_auth *auth_for(const struct attempt *a, const struct image *image,
                                          struct engine_auth *auth)
{
    *auth = (struct engine_auth){ text_of(a->registry, "user"), text_of(a->registry, "password"),
                                  text_of(a->registry, "address") };
    return a->registry && image->host && strcmp(image->host, auth->server) == 0 ? auth : NULL;
}

/* The digest reference under the name that was asked for: "NAME@sha256:…" of RepoDigests. */
static const char *repo_digest(const json_t *seen, const struct image *image)
{
    auto_free char *name = image->host ? xasprintf("%s/%s@", image->host, image->name)
                                       : xasprintf("%s@", image->name ? image->name : "");
    const json_t *list = json_object_get(seen, "RepoDigests");
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
        if (text_starts(json_string_value(item), name))
            return json_string_value(item);
    return NULL;
}

static int keep(struct attempt *a, const struct image *image, const json_t *seen)
{
    const char *id = text_of(seen, "Id"), *ref = repo_digest(seen, image);

    if (!image_is_digest(id))
        return attempt_fail_text(a, "EngineUnavailable", "the engine named no image id");
    a->outcome.kind = "image";
    a->outcome.digest = xstrdup(ref ? strchr(ref, '@') + 1 : id);
    a->outcome.ref = xstrdup(ref ? ref : id);
    a->outcome.size = json_integer_value(json_object_get(seen, "Size"));
    return 0;
}

static bool is_current(const struct image *image, const json_t *seen)
{
    return image->digest || json_array_size(json_object_get(seen, "RepoDigests")) == 0;
}

static int find(struct attempt *a, const char *name, const struct image *image)
{
    json_auto_t *seen = NULL;
    struct engine_auth auth;
    struct err err = { 0 };
    struct engine *engine = a->builder->engine;

    if (engine_inspect_image(engine, name, &seen, &err) == 0) {
        if (is_current(image, seen))
            return keep(a, image, seen);
    } else if (err.class != ERR_NOT_FOUND) {
        return attempt_fail(a, "EngineUnavailable", &err);
    }
    build_log_say(a->log, "pulling %s", name);
    int64_t left_ms = a->timeout_ms; /* the attempt's own limit ends it sooner */
    if (engine_pull(engine, name, auth_for(a, image, &auth), left_ms, &a->is_stopped, &err) < 0)
        return attempt_fail_text(a, "BaseImageMissing", "the image %.200s cannot be pulled: %.400s",
                                 name, err.text);
    json_decref(take(&seen));
    if (engine_inspect_image(engine, name, &seen, &err) < 0)
        return attempt_fail(a, "EngineUnavailable", &err);
    return keep(a, image, seen);
}

static int run(struct attempt *a)
{
    auto_image image = { 0 };
    struct err err = { 0 };
    const char *name = a->build.base ? a->build.base : "";

    if (image_parse(name, &image, &err) < 0)
        return attempt_fail(a, "BaseImageMissing", &err);
    return find(a, name, &image);
}

const struct method method_image = {
    .name = "image",
    .makes_image = true,
    .run = run,
};
