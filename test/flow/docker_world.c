#include "docker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "model/spec.h"

enum { REACH_MS = 20000, BINARY_MAX = 16 << 20 };

void world_check(int rc, const struct err *err, const char *what)
{
    if (rc)
        fail_msg("%s: %s", what, err->text);
}

void world_sleep(int64_t ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}

/* ---- the image ---- */

struct bytes {
    char *data;
    size_t len, at;
};

static void add_entry(struct archive *tar, const char *path, mode_t mode, const char *link,
                      const void *data, size_t len)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname(entry, path);
    archive_entry_set_mode(entry, mode);
    archive_entry_set_size(entry, (int64_t)len);
    if (link)
        archive_entry_set_symlink(entry, link);
    assert_int_equal(archive_write_header(tar, entry), ARCHIVE_OK);
    if (len)
        assert_int_equal(archive_write_data(tar, data, len), len);
    archive_entry_free(entry);
}

static struct bytes make_tar(void)
{
    static const char *const applets[] = { "sh",   "httpd", "sleep", "nc",  "cat",  "echo",
                                           "date", "true",  "false", "seq", "mkdir" };
    struct err err = { .class = ERR_NONE };
    auto_free char *busybox = NULL;
    size_t busybox_len;
    struct bytes out = { .data = xcalloc(1, BINARY_MAX) };
    struct archive *tar = archive_write_new();

    world_check(fs_read("/bin/busybox", BINARY_MAX, &busybox, &busybox_len, &err), &err, "busybox");
    archive_write_set_format_ustar(tar);
    archive_write_open_memory(tar, out.data, BINARY_MAX, &out.len);
    add_entry(tar, "bin/busybox", S_IFREG | 0755, NULL, busybox, busybox_len);
    for (size_t i = 0; i < countof(applets); i++) {
        auto_free char *path = xasprintf("bin/%s", applets[i]);
        add_entry(tar, path, S_IFLNK | 0777, "busybox", NULL, 0);
    }
    add_entry(tar, "www/index.html", S_IFREG | 0644, NULL, "hello\n", 6);
    archive_write_close(tar);
    archive_write_free(tar);
    return out;
}

static int64_t read_bytes(void *arg, void *buffer, size_t size, struct err *err)
{
    struct bytes *bytes = arg;
    size_t n = bytes->len - bytes->at < size ? bytes->len - bytes->at : size;

    (void)err;
    memcpy(buffer, bytes->data + bytes->at, n);
    bytes->at += n;
    return (int64_t)n;
}

static int ignore_line(void *arg, const json_t *line, struct err *err)
{
    (void)arg;
    (void)line;
    (void)err;
    return 0;
}

char *world_import_image(struct world *world, const char *repository, const char *tag)
{
    static const char *const headers[] = { "Content-Type: application/x-tar", NULL };
    struct err err = { .class = ERR_NONE };
    struct bytes tar = make_tar();
    auto_free char *path = xasprintf("/images/create?fromSrc=-&repo=%s&tag=%s", repository, tag);
    struct engine_stream stream = { .method = "POST",
                                    .path = path,
                                    .headers = headers,
                                    .read = read_bytes,
                                    .line = ignore_line,
                                    .arg = &tar };
    json_auto_t *image = NULL;
    auto_free char *reference = xasprintf("%s:%s", repository, tag);

    world_check(engine_stream(world->engine, &stream, &err), &err, "importing the image");
    free(tar.data);
    world_check(engine_inspect_image(world->engine, reference, &image, &err), &err, "inspecting");
    return xstrdup(json_string_value(json_object_get(image, "Id")));
}

/* ---- clean ---- */

static void remove_containers(struct world *world)
{
    auto_free char *filters = engine_filters(json_pack("{s:[s]}", "name", WORLD_PREFIX));
    struct err err = { .class = ERR_NONE };
    json_auto_t *list = NULL;
    json_t *item;
    size_t i;

    world_check(
        engine_get(world->engine, &list, &err, "/containers/json?all=1&filters=%s", filters), &err,
        "listing");
    json_array_foreach(list, i, item)
        engine_delete(world->engine, &err, "/containers/%s?force=1&v=1",
                      json_string_value(json_object_get(item, "Id")));
}

static void remove_all(struct world *world)
{
    struct err err = { .class = ERR_NONE };

    remove_containers(world);
    engine_delete(world->engine, &err, "/networks/" WORLD_PREFIX "evenkeel-p");
    engine_delete(world->engine, &err, "/images/" WORLD_IMAGE);
}

void world_init(struct world *world)
{
    struct err err = { .class = ERR_NONE };

    *world = (struct world){
        .engine = engine_new("/var/run/docker.sock"),
        .config = { .socket = "/var/run/docker.sock",
                    .prefix = WORLD_PREFIX,
                    .installation = WORLD_INSTALLATION,
                    .network_range = WORLD_RANGE },
    };
    remove_all(world);
    world->image = world_import_image(world, "evenkeel/docker-flow", "base");
    world->backend = docker_backend_new(&world->config, &err);
    world_check(world->backend ? 0 : -1, &err, "docker_backend_new");
    world->env = json_pack("{s:s}", "GREETING", "hello world");
}

void world_done(struct world *world)
{
    world->backend->close(world->backend->self);
    remove_all(world);
    engine_free(world->engine);
    json_decref(world->spec);
    json_decref(world->env);
    free(world->image);
}

/* ---- wanting ---- */

void world_want(struct world *world, const char *processes)
{
    struct err err = { .class = ERR_NONE };
    json_auto_t *sparse = json_pack("{s:o, s:{s:i}}", "processes", json_loads(processes, 0, NULL),
                                    "deploy", "stop", 700);
    json_auto_t *checked = NULL;

    json_decref(world->spec);
    world->spec = NULL;
    world_check(spec_check(sparse, &checked, &err), &err, "spec_check");
    world_check(spec_complete(checked, "shop", "shop.test", &world->spec, &err), &err,
                "spec_complete");
    world->release = (struct release_want){ .id = "01RELEASE",
                                            .number = 1,
                                            .image = world->image,
                                            .spec = world->spec,
                                            .env = world->env };
    world->app = (struct app_want){ .project_id = "01PROJECT",
                                    .project = "p",
                                    .subnet = WORLD_SUBNET,
                                    .app_id = WORLD_APP_ID,
                                    .app = "shop",
                                    .releases = &world->release,
                                    .release_count = 1 };
}

void world_step(struct world *world, struct app_seen *seen)
{
    struct err err = { .class = ERR_NONE };

    app_seen_done(seen);
    world_check(world->backend->converge(world->backend->self, &world->app, seen, &err), &err,
                "converge");
}

void world_reach(struct world *world, enum release_stage stage, struct app_seen *seen)
{
    int64_t until = clock_mono_ms(clock_system()) + REACH_MS;

    do {
        world_step(world, seen);
        if (seen->releases[0].stage == stage)
            return;
        world_sleep(50);
    } while (clock_mono_ms(clock_system()) < until);
    fail_msg("stage %d (%s: %s) instead of %d", seen->releases[0].stage, seen->releases[0].reason,
             seen->releases[0].message ? seen->releases[0].message : "", stage);
}

void world_clear(struct world *world)
{
    remove_containers(world);
}

/* ---- looking ---- */

json_t *world_inspect(struct world *world, const char *instance)
{
    struct err err = { .class = ERR_NONE };
    json_t *json = NULL;

    if (engine_get(world->engine, &json, &err, "/containers/%s/json", instance))
        assert_int_equal(err.class, ERR_NOT_FOUND);
    return json;
}

char *world_container_id(struct world *world, const char *instance)
{
    json_auto_t *json = world_inspect(world, instance);

    assert_non_null(json);
    return xstrdup(json_string_value(json_object_get(json, "Id")));
}
