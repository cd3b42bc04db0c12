#include "controller/files.h"

#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

char *files_database(const struct controller_config *config)
{
    return fs_join(config->data, "evenkeel.db");
}

char *files_log_dir(const struct controller_config *config, const char *build_id)
{
    return xasprintf("%s/logs/%s", config->data, build_id);
}

char *files_log(const struct controller_config *config, const char *build_id, int64_t attempt)
{
    return xasprintf("%s/logs/%s/%lld.log", config->data, build_id, (long long)attempt);
}

bool files_is_digest(const char *text)
{
    return text && text_starts(text, "sha256:") && strlen(text) == 71 &&
           strspn(text + 7, "0123456789abcdef") == 64;
}

char *files_site(const struct controller_config *config, const char *digest)
{
    return files_is_digest(digest) ? xasprintf("%s/sites/%s.tar.gz", config->data, digest + 7)
                                   : NULL;
}

char *files_mirror(const struct controller_config *config, const char *repository_id)
{
    return xasprintf("%s/mirrors/%s.git", config->data, repository_id);
}

int files_make(const struct controller_config *config, struct err *err)
{
    static const char *const names[] = { "logs", "sites", "mirrors" };

    for (size_t i = 0; i < countof(names); i++) {
        auto_free char *path = fs_join(config->data, names[i]);
        if (fs_make_dirs(path, 0700, err))
            return -1;
    }
    return fs_make_dirs(config->git_root, 0700, err);
}
