/* Content keys. Each hashes a version line and a canonical document, so that a later program that
 * makes something else of the same spec can change the version and share nothing with the past.
 *
 * The build part holds only what the method uses; so a `run` that an overlay removed again, or a
 * default that somebody wrote down, changes nothing. The context's path is in the part, for the
 * builder, but not in the key: the tree says what is in it, wherever it lies. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "model/spec.h"

static const char *const dockerfile_members[] = { "method",     "output", "context",
                                                  "dockerfile", "args",   "timeout",
                                                  "memory",     "cpus",   NULL };
static const char *const command_members[] = { "method", "output",  "context", "base", "run",
                                               "args",   "timeout", "memory",  "cpus", NULL };
static const char *const image_members[] = { "method", "output", "base", NULL };
static const char *const static_members[] = { "method", "output", "context", NULL };

static const struct {
    const char *method;
    const char *const *members;
} parts[] = {
    { "command", command_members },
    { "dockerfile", dockerfile_members },
    { "image", image_members },
    { "static", static_members },
};

static void copy(const json_t *from, json_t *to, const char *key)
{
    json_t *value = json_object_get(from, key);

    if (value)
        json_object_set_new(to, key, json_deep_copy(value));
}

json_t *spec_build_part(const json_t *full)
{
    const json_t *build = json_object_get(full, "build");
    const char *method = json_string_value(json_object_get(build, "method"));
    const char *const *members = dockerfile_members; /* auto: the most there can be */
    json_t *part = json_object();

    for (size_t i = 0; method && i < countof(parts); i++)
        if (strcmp(parts[i].method, method) == 0)
            members = parts[i].members;
    for (; *members; members++)
        copy(build, part, *members);
    if (spec_is_site(full))
        copy(build, part, "site");
    return part;
}

json_t *spec_runtime_part(const json_t *full)
{
    static const char *const members[] = { "env", "processes", "routes", "deploy" };
    json_t *part = json_object();

    for (size_t i = 0; i < countof(members); i++)
        copy(full, part, members[i]);
    json_object_del(json_object_get(part, "deploy"), "keep");
    if (spec_is_site(full))
        copy(json_object_get(full, "build"), part, "spa");
    return part;
}

char *spec_canonical(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

    if (!text)
        abort();
    return text;
}

static char *key_of(const char *version, const json_t *value)
{
    auto_free char *canonical = spec_canonical(value);
    auto_free char *text = xasprintf("%s\n%s", version, canonical);

    return sha256_hex(text, strlen(text));
}

char *spec_build_key(const json_t *full, const char *tree, const char *stack_digest,
                     const char *project)
{
    json_t *part = spec_build_part(full);

    json_object_del(part, "context");
    json_auto_t *value = json_pack("{sossssss}", "build", part, "tree", tree, "stack", stack_digest,
                                   "project", project);
    return key_of("evenkeel-build-1", value);
}

char *spec_release_key(const json_t *full, const char *artifact_digest)
{
    json_auto_t *value =
        json_pack("{ssso}", "artifact", artifact_digest, "runtime", spec_runtime_part(full));
    return key_of("evenkeel-release-1", value);
}
