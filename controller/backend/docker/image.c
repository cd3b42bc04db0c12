/* Images: there before instances are made, and removed again when nothing wants them. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/backend/docker/body.h"
#include "controller/backend/docker/internal.h"
#include "oci/image.h"

enum { PULL_MS = 15 * 60 * 1000 };

static int look(struct docker *docker, const char *image, bool *is_there, struct err *err)
{
    struct err failed = { .class = ERR_NONE };
    json_auto_t *json = NULL;

    *is_there = engine_inspect_image(docker->engine, image, &json, &failed) == 0;
    return *is_there ? 0 : docker_except(&failed, ERR_NOT_FOUND, err);
}

/* Credentials go to the registry that they are for and to no other. */
static int pull(struct docker *docker, const char *reference, struct err *err)
{
    struct engine_auth auth = { .user = docker->registry_user,
                                .password = docker->registry_password,
                                .server = docker->registry };
    auto_image image = { .host = NULL };

    if (image_parse(reference, &image, err))
        return -1;
    bool is_for_it = docker->registry && image.host && strcmp(image.host, docker->registry) == 0;
    return engine_pull(docker->engine, reference, is_for_it ? &auth : NULL, PULL_MS,
                       &docker->closing, err);
}

/* A registry that is away is no daemon that is away: the second look tells them apart. */
int docker_ensure_image(struct docker *docker, const char *image, struct err *err)
{
    struct err failed = { .class = ERR_NONE };
    bool is_there;

    if (look(docker, image, &is_there, err))
        return -1;
    if (is_there || pull(docker, image, &failed) == 0)
        return 0;
    if (failed.class != ERR_STOPPED) {
        if (look(docker, image, &is_there, err))
            return -1;
        if (is_there)
            return 0;
        failed.class = ERR_NOT_FOUND;
    }
    return docker_except(&failed, ERR_NONE, err);
}

/* ---- removal ---- */

/* Whether a tag or digest reference is in our part of a registry's or the daemon's names. */
static bool is_our_name(const char *reference)
{
    auto_image image = { .host = NULL };
    struct err err;

    return image_parse(reference, &image, &err) == 0 && image.name &&
           text_starts(image.name, "evenkeel/");
}

static bool has_our_name(const json_t *references)
{
    for (size_t i = 0; i < json_array_size(references); i++)
        if (is_our_name(json_string_value(json_array_get(references, i))))
            return true;
    return false;
}

static bool has_our_label(const struct docker *docker, const json_t *image)
{
    const json_t *labels = json_object_get(json_object_get(image, "Config"), "Labels");
    const char *value = json_string_value(json_object_get(labels, LABEL_INSTALLATION));

    return value && strcmp(value, docker->installation) == 0;
}

static int check_unused(struct docker *docker, const char *id, struct err *err)
{
    auto_free char *filters = engine_filters(json_pack("{s:[s]}", "ancestor", id));
    json_auto_t *list = NULL;

    if (engine_get(docker->engine, &list, err, "/containers/json?all=1&filters=%s", filters))
        return -1;
    if (json_array_size(list) > 0)
        return err_set(err, ERR_CONFLICT, "the image %s is in use", id);
    return 0;
}

/* Absent is fine. */
static int delete_image(struct docker *docker, const char *reference, struct err *err)
{
    struct err failed = { .class = ERR_NONE };

    if (engine_delete(docker->engine, &failed, "/images/%s", reference) == 0 ||
        docker_except(&failed, ERR_NOT_FOUND, err) == 0)
        return 0;
    return err_prefix(err, "removing the image %s", reference);
}

/* Our tags; true when the image has others besides, so that it has to stay. */
static int untag(struct docker *docker, const json_t *tags, bool *has_others, struct err *err)
{
    *has_others = false;
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        if (!is_our_name(tag))
            *has_others = true;
        else if (delete_image(docker, tag, err))
            return -1;
    }
    return 0;
}

int docker_remove_image(void *self, const char *reference, struct err *err)
{
    struct docker *docker = self;
    struct err failed = { .class = ERR_NONE };
    json_auto_t *image = NULL;
    bool has_others;

    if (engine_inspect_image(docker->engine, reference, &image, &failed))
        return docker_except(&failed, ERR_NOT_FOUND, err);
    const char *id = json_string_value(json_object_get(image, "Id"));
    const json_t *tags = json_object_get(image, "RepoTags");
    const json_t *digests = json_object_get(image, "RepoDigests");
    if (!id || !image_is_digest(id))
        return err_set(err, ERR_UNAVAILABLE, "the Docker daemon describes an image without id");
    if (!has_our_label(docker, image) && !has_our_name(tags) && !has_our_name(digests))
        return err_set(err, ERR_DENIED, "the image %s was not made by Evenkeel", reference);
    if (check_unused(docker, id, err) || untag(docker, tags, &has_others, err))
        return -1;
    return has_others ? 0 : delete_image(docker, id, err);
}
