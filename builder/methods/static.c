/* Method static: a folder of the repository, as it is. */
#include "base/mem.h"
#include "builder/image_site.h"
#include "builder/method.h"
#include "builder/tree.h"

static int run(struct attempt *a)
{
    const char *site = a->build.site ? a->build.site : ".";
    auto_free char *folder = tree_plain_path(site);

    if (!folder)
        return attempt_fail_text(a, "SiteMissing", "build.site \"%.200s\" leads outside", site);
    return image_site_pack(a, a->source, folder);
}

const struct method method_static = {
    .name = "static",
    .needs_source = true,
    .makes_site = true,
    .run = run,
};
