/* Method command: a base image, the source in /app, and a script that is run there. The
 * Dockerfile is written here; it lies beside the source in the context, not in it. */
#include <string.h>

#include "base/mem.h"
#include "builder/builder.h"
#include "builder/dockerfile.h"
#include "builder/image.h"
#include "builder/method.h"

static int run(struct attempt *a)
{
    const struct builder_config *config = a->builder->config;
    struct tree_limits limits = { config->source_max, config->entries_max };
    auto_context_facts facts = { 0 };
    auto_free char *text = NULL;
    struct err err = { 0 };

    if (dockerfile_for_command(&a->build, &text, &err) < 0 ||
        context_look(a->source, &limits, NULL, &facts, &err) < 0)
        return attempt_fail(a, "BuildFailed", &err);
    struct image_request request = { .context = { .source = a->source,
                                                  .limits = limits,
                                                  .folder = "app",
                                                  .ignore = facts.ignore,
                                                  .add_name = ".evenkeel/Dockerfile",
                                                  .add_text = text,
                                                  .add_len = strlen(text) },
                                     .dockerfile = ".evenkeel/Dockerfile" };
    return image_build(a, &request);
}

const struct method method_command = {
    .name = "command",
    .needs_source = true,
    .makes_image = true,
    .makes_site = true,
    .run = run,
};
