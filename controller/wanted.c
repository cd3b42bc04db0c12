#include "controller/wanted.h"

#include <string.h>

#include "base/mem.h"
#include "model/spec.h"
#include "store/builds.h"
#include "store/releases.h"

enum { PROBE_MAX = 4 << 20 };

struct tree {
    struct controller *c;
    const struct repository_row *repository;
    const char *sha, *folder;
};

char *wanted_host(const struct controller_config *config, const struct app_row *app)
{
    return strcmp(app->project, "default") == 0
               ? xasprintf("%s.%s", app->name, config->domain)
               : xasprintf("%s.%s.%s", app->name, app->project, config->domain);
}

/* 0 with *text NULL when there is no such file. */
static int read_optional(const struct tree *t, const char *path, char **text, size_t *len,
                         struct err *err)
{
    struct err local = { 0 };

    *text = NULL;
    if (t->c->source->read_file(t->c->source->self, t->repository, t->sha, path, SPEC_SIZE_MAX,
                                text, len, &local) == 0 ||
        local.class == ERR_NOT_FOUND)
        return 0;
    *err = local;
    return local.class == ERR_EXHAUSTED
               ? err_set(err, ERR_INVALID, "%s is larger than %d bytes", path, SPEC_SIZE_MAX)
               : -1;
}

static int read_sparse(const struct tree *t, json_t **sparse, struct err *err)
{
    auto_free char *yaml = NULL, *procfile = NULL;
    json_auto_t *file = NULL, *processes = NULL;
    size_t yaml_len = 0, procfile_len = 0;

    if (read_optional(t, "evenkeel.yaml", &yaml, &yaml_len, err) ||
        read_optional(t, "Procfile", &procfile, &procfile_len, err))
        return -1;
    if (procfile && spec_parse_procfile(procfile, procfile_len, &processes, err))
        return -1;
    if (yaml && spec_parse_yaml(yaml, yaml_len, "evenkeel.yaml", &file, err))
        return -1;
    *sparse = spec_merge(processes, file);
    return 0;
}

static bool has_file(void *arg, const char *path)
{
    const struct tree *t = arg;
    auto_free char *data = NULL, *full = strcmp(t->folder, ".") == 0
                                             ? xstrdup(path)
                                             : xasprintf("%s/%s", t->folder, path);
    struct err ignored = { 0 };
    size_t len;

    return t->c->source->read_file(t->c->source->self, t->repository, t->sha, full, PROBE_MAX,
                                   &data, &len, &ignored) == 0 ||
           ignored.class == ERR_EXHAUSTED;
}

int wanted_spec(struct controller *c, const struct app_row *app,
                const struct repository_row *repository, const char *sha, json_t **full, char **why,
                struct err *err)
{
    struct tree tree = { .c = c, .repository = repository, .sha = sha, .folder = "." };
    auto_free char *host = wanted_host(c->config, app), *reason = NULL;
    json_auto_t *file = NULL, *sparse = NULL;

    if (repository && read_sparse(&tree, &file, err))
        return -1;
    sparse = spec_merge(file, app->overlay);
    const char *context =
        json_string_value(json_object_get(json_object_get(sparse, "build"), "context"));
    if (context)
        tree.folder = context;
    if (repository && spec_resolve_auto(sparse, has_file, &tree, &reason, err))
        return -1;
    if (spec_complete(sparse, app->name, host, full, err))
        return -1;
    if (why)
        *why = take(&reason);
    return 0;
}

static bool is_same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

int wanted_is_live(struct tx *tx, const struct app_row *app, const char *sha, bool *is_live,
                   struct err *err)
{
    auto_build build = { 0 };
    auto_release release = { 0 };

    *is_live = false;
    if (!is_same(app->wanted_release_id, app->live_release_id) ||
        app->generation != app->observed_generation || (sha && !is_same(app->wanted_sha, sha)))
        return 0;
    if (!app->wanted_build_id) { /* rolled back: a release is wanted for its own sake */
        *is_live = app->hold != NULL;
        return 0;
    }
    if (store_get_build(tx, app->wanted_build_id, &build, err) ||
        store_get_release(tx, app->wanted_release_id, &release, err))
        return -1;
    *is_live = is_same(build.artifact, release.artifact);
    return 0;
}
