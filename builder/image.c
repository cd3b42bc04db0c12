#include "builder/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "builder/builder.h"
#include "builder/image_site.h"
#include "builder/progress.h"
#include "oci/image.h"

/* What the engine is told about a build, and what it says. */
struct build {
    struct attempt *attempt;
    struct context *context;
    struct progress *progress;
    struct err source_err; /* the context could not be made */
    char *id;              /* of the image */
};

/* ---- the request ---- */

static char *escaped_json(const json_t *value)
{
    auto_free char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    return text_url_escape(text ? text : "{}");
}

/* Only texts are arguments; one that would choose the frontend is not passed on. */
static char *build_args(struct attempt *a)
{
    json_auto_t *args = json_object();
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)a->build.args, name, value) {
        if (strcmp(name, "BUILDKIT_SYNTAX") == 0)
            build_log_say(a->log, "the build argument BUILDKIT_SYNTAX is not passed on");
        else if (json_is_string(value))
            json_object_set(args, name, value);
    }
    return escaped_json(args);
}

static char *labels(const struct attempt *a)
{
    const json_t *job = json_object_get(a->answer, "job");
    const char *installation = json_string_value(json_object_get(job, "installation"));
    json_auto_t *labels = json_pack("{s:s, s:s, s:s}", "sh.evenkeel.managed", "true",
                                    "sh.evenkeel.project", a->project, "sh.evenkeel.app", a->app);

    if (installation)
        json_object_set_new(labels, "sh.evenkeel.installation", json_string(installation));
    return escaped_json(labels);
}

static char *build_path(struct attempt *a, const char *dockerfile, const char *tag)
{
    auto_free char *args = build_args(a);
    auto_free char *marks = labels(a);
    auto_free char *file = text_url_escape(dockerfile);
    auto_free char *name = text_url_escape(tag);

    return xasprintf("/build?version=2&rm=1&forcerm=1&buildid=%s&dockerfile=%s&t=%s&buildargs=%s"
                     "&labels=%s",
                     a->id, file, name, args, marks);
}

static int64_t read_context(void *arg, void *buffer, size_t size, struct err *err)
{
    struct build *b = arg;
    int64_t n = context_read(b->context, buffer, size, err);

    if (n < 0)
        b->source_err = *err;
    return n;
}

static int on_line(void *arg, const json_t *line, struct err *err)
{
    struct build *b = arg;
    const char *kind = json_string_value(json_object_get(line, "id"));
    const json_t *aux = json_object_get(line, "aux");
    size_t len;

    (void)err;
    if (!kind)
        return 0;
    if (strcmp(kind, "moby.image.id") == 0) {
        const char *id = json_string_value(json_object_get(aux, "ID"));
        free(b->id);
        b->id = id ? xstrdup(id) : NULL;
    } else if (strcmp(kind, "moby.buildkit.trace") == 0 && json_is_string(aux)) {
        auto_free void *data = text_unbase64(json_string_value(aux), json_string_length(aux), &len);
        if (!data || !progress_add(b->progress, data, len))
            log_debug("passing over progress that cannot be read", S("attempt", b->attempt->id));
    }
    return 0;
}

/* ---- why it failed ---- */

static bool is_disk_full(const struct err *err)
{
    return strstr(err->text, "no space left on device") != NULL;
}

static int explain_step(struct attempt *a, const struct progress *p, int64_t kills)
{
    const char *step = progress_failed_step(p), *text = progress_failed_error(p);

    if (kills > 0) {
        struct err oom = { .class = ERR_EXHAUSTED };
        snprintf(oom.text, sizeof oom.text, "\"%.200s\" ran out of memory", step);
        err_hint(&oom, "make the build need less, or raise build.memory_max of the builder");
        return attempt_fail(a, "BuildOOM", &oom);
    }
    const char *code = strstr(text, "exit code: ");
    if (code)
        return attempt_fail_text(a, "BuildFailed", "\"%.200s\" ended with %s", step, code);
    return attempt_fail_text(a, "BuildFailed", "\"%.200s\": %.400s", step, text);
}

int image_explain(struct attempt *a, const struct progress *p, int64_t kills, const struct err *err)
{
    const char *image = progress_missing_image(p);

    if (is_disk_full(err))
        return attempt_fail(a, "DiskFull", err);
    if (image)
        return attempt_fail_text(a, "BaseImageMissing",
                                 "the image %.200s is not on this machine and cannot be pulled: "
                                 "%.300s",
                                 text_starts(image, "docker.io/") ? image + 10 : image,
                                 progress_failed_error(p));
    if (progress_failed_step(p))
        return explain_step(a, p, kills);
    if (err->class == ERR_UNAVAILABLE || err->class == ERR_TIMEOUT || err->class == ERR_INTERNAL)
        return attempt_fail(a, "EngineUnavailable", err);
    return attempt_fail(a, "BuildFailed", err);
}

/* ---- building ---- */

/* A killed step lives on for a moment if the daemon did not see the connection close. */
static void cancel(struct attempt *a)
{
    struct err err = { 0 };

    if (engine_post(a->builder->engine, NULL, NULL, &err, "/build/cancel?id=%s", a->id) < 0)
        log_debug("cancelling a build", S("attempt", a->id), E(&err));
}

static int run_build(struct build *b, const struct image_request *request, const char *tag)
{
    struct attempt *a = b->attempt;
    static const char *const headers[] = { "Content-Type: application/x-tar", NULL };
    auto_free char *path = build_path(a, request->dockerfile, tag);
    struct engine_stream stream = { .method = "POST",
                                    .path = path,
                                    .headers = headers,
                                    .read = read_context,
                                    .line = on_line,
                                    .arg = b,
                                    .cancelled = &a->is_stopped };
    int64_t kills = cgroup_kills(a->builder->cgroup);
    struct err err = { 0 };

    int rc = engine_stream(a->builder->engine, &stream, &err);
    progress_flush(b->progress);
    if (attempt_is_stopped(a)) {
        cancel(a);
        return attempt_fail_text(a, "BuildFailed", "stopped");
    }
    if (b->source_err.class)
        return attempt_fail(a, "BuildFailed", &b->source_err);
    if (rc < 0)
        return image_explain(a, b->progress, cgroup_kills(a->builder->cgroup) - kills, &err);
    if (!b->id || !image_is_digest(b->id))
        return attempt_fail_text(a, "EngineUnavailable", "the engine named no image");
    return 0;
}

static int build(struct attempt *a, const struct image_request *request, const char *tag, char **id)
{
    struct build b = { .attempt = a };

    b.context = context_open(&request->context);
    b.progress = progress_new(build_log_line, a->log);
    int rc = run_build(&b, request, tag);
    context_close(b.context);
    progress_free(b.progress);
    if (rc == 0)
        *id = take(&b.id);
    free(b.id);
    return rc;
}

static int build_site(struct attempt *a, const struct image_request *request)
{
    auto_free char *tag = xasprintf("evenkeel-build/site:%s", a->id);
    auto_free char *id = NULL;
    struct err err = { 0 };

    if (build(a, request, tag, &id) < 0)
        return -1;
    int rc = image_site(a, id);
    auto_free char *name = text_url_escape(tag);
    if (engine_delete(a->builder->engine, &err, "/images/%s", name) < 0)
        log_warn("removing the image of a site", S("attempt", a->id), E(&err));
    return rc;
}

int image_build(struct attempt *a, const struct image_request *request)
{
    auto_free char *id = NULL;

    if (a->build.output && strcmp(a->build.output, "site") == 0)
        return build_site(a, request);
    if (!*a->tag)
        return attempt_fail_text(a, "BuildFailed", "the job names no tag for the image");
    if (build(a, request, a->tag, &id) < 0)
        return -1;
    return image_keep(a, id, a->tag);
}

/* ---- keeping ---- */

struct push {
    struct attempt *attempt;
    char *digest;
};

static int on_push(void *arg, const json_t *line, struct err *err)
{
    struct push *push = arg;
    const char *digest = json_string_value(json_object_get(json_object_get(line, "aux"), "Digest"));

    (void)err;
    if (digest && image_is_digest(digest)) {
        free(push->digest);
        push->digest = xstrdup(digest);
    }
    return 0;
}

static const char *registry_text(const struct attempt *a, const char *key)
{
    const char *text = json_string_value(json_object_get(a->registry, key));
    return text ? text : "";
}

/* POST /images/NAME/push?tag=TAG; the credentials travel in a header. */
static int push_image(struct attempt *a, const char *name, const char *tag, char **digest,
                      struct err *err)
{
    struct engine_auth auth = { registry_text(a, "user"), registry_text(a, "password"),
                                registry_text(a, "address") };
    auto_wipe char *value = engine_auth_header(&auth);
    auto_wipe char *header = xasprintf("X-Registry-Auth: %s", value);
    const char *headers[] = { header, NULL };
    auto_free char *path = xasprintf("/images/%s/push?tag=%s", name, tag);
    struct push push = { .attempt = a };
    struct engine_stream stream = { .method = "POST",
                                    .path = path,
                                    .headers = headers,
                                    .line = on_push,
                                    .arg = &push,
                                    .cancelled = &a->is_stopped };

    int rc = engine_stream(a->builder->engine, &stream, err);
    if (rc == 0 && !push.digest)
        rc = err_set(err, ERR_UNAVAILABLE, "the engine named no digest");
    if (rc == 0)
        *digest = take(&push.digest);
    free(push.digest);
    return rc;
}

/* Tags the image for the registry and pushes it; the local tag for the registry goes again. */
static int push_as(struct attempt *a, const char *id, const char *tag, struct err *err)
{
    auto_image image = { 0 };
    auto_free char *digest = NULL;

    if (image_parse(tag, &image, err) < 0)
        return -1;
    auto_free char *name = xasprintf("%s/%s", registry_text(a, "address"), image.name);
    const char *version = image.tag ? image.tag : "latest";
    auto_free char *repo = text_url_escape(name);
    struct err ignored = { 0 };
    if (engine_post(a->builder->engine, NULL, NULL, err, "/images/%s/tag?repo=%s&tag=%s", id, repo,
                    version) < 0)
        return -1;
    build_log_say(a->log, "pushing %s:%s", name, version);
    int rc = push_image(a, name, version, &digest, err);
    engine_delete(a->builder->engine, &ignored, "/images/%s:%s?noprune=1", name, version);
    if (rc < 0)
        return -1;
    a->outcome.ref = xasprintf("%s@%s", name, digest);
    a->outcome.digest = take(&digest);
    return 0;
}

int image_keep(struct attempt *a, const char *id, const char *tag)
{
    json_auto_t *seen = NULL;
    struct err err = { 0 };

    if (engine_inspect_image(a->builder->engine, id, &seen, &err) < 0)
        return attempt_fail(a, "EngineUnavailable", &err);
    if (a->registry && push_as(a, id, tag, &err) < 0) {
        err_prefix(&err, "pushing the image");
        return attempt_fail(a, is_disk_full(&err) ? "DiskFull" : "PushFailed", &err);
    }
    if (!a->registry) {
        a->outcome.digest = xstrdup(id);
        a->outcome.ref = xstrdup(id);
    }
    a->outcome.kind = "image";
    a->outcome.size = json_integer_value(json_object_get(seen, "Size"));
    return 0;
}
