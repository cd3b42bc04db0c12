/* Method dockerfile: the repository's own Dockerfile. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "builder/builder.h"
#include "builder/dockerfile.h"
#include "builder/image.h"
#include "builder/method.h"

static int build(struct attempt *a, const char *name, const struct tree_limits *limits)
{
    auto_context_facts facts = { 0 };
    auto_free char *syntax = NULL;
    struct err err = { 0 };

    if (context_look(a->source, limits, name, &facts, &err) < 0)
        return attempt_fail(a, "BuildFailed", &err);
    if (!facts.dockerfile)
        return attempt_fail_text(a, "DockerfileMissing", "there is no file %s in the folder %s",
                                 name, a->build.context ? a->build.context : ".");
    auto_free char *text = dockerfile_strip_syntax(facts.dockerfile, facts.dockerfile_len, &syntax);
    if (syntax)
        build_log_say(a->log,
                      "the line \"# syntax=%s\" of %s is left out: builds use the engine's own "
                      "Dockerfile frontend",
                      syntax, name);
    struct image_request request = { .context = { .source = a->source,
                                                  .limits = *limits,
                                                  .ignore = facts.ignore,
                                                  .keep = ".dockerignore",
                                                  .add_name = name,
                                                  .add_text = text,
                                                  .add_len = strlen(text) },
                                     .dockerfile = name };
    return image_build(a, &request);
}

static int run(struct attempt *a)
{
    const struct builder_config *config = a->builder->config;
    struct tree_limits limits = { config->source_max, config->entries_max };
    const char *wanted = a->build.dockerfile ? a->build.dockerfile : "Dockerfile";
    auto_free char *name = tree_plain_path(wanted);

    if (!name || !*name)
        return attempt_fail_text(a, "DockerfileMissing",
                                 "build.dockerfile \"%.200s\" is not a path in the context",
                                 wanted);
    return build(a, name, &limits);
}

const struct method method_dockerfile = {
    .name = "dockerfile",
    .needs_source = true,
    .makes_image = true,
    .makes_site = true,
    .run = run,
};
