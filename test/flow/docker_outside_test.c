/* What the Docker backend meets outside the daemon: a registry to pull from, and this machine's
 * firewall. Needs docker-registry and iptables. Ports 21300 to 21302. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/work.h"
#include "docker_world.h"

enum { CLOSED_PORT = 21300, OPEN_PORT, REGISTRY_PORT };

#define REGISTRY "127.0.0.1:21302"
#define HTPASSWD                                                                                  \
    "puller:$2b$04$7.th8sawTka420Tow/lgSOPuBIGqVibLoqRsHIN2KiMkZXuoAbdK6\n" /* bcrypt of "secret" \
                                                                             */

/* ---- a registry ---- */

struct registry {
    char dir[64];
    char *config;
    struct thread *thread;
    bool is_over; /* set atomically */
};

static void registry_main(void *arg)
{
    struct registry *registry = arg;
    const char *const argv[] = { "docker-registry", "serve", registry->config, NULL };
    struct proc_options options = {
        .argv = argv, .timeout_ms = 120000, .output_max = 1 << 20, .cancelled = &registry->is_over
    };
    auto_proc_result result = { .exit_code = 0 };
    struct err err;

    proc_run(&options, &result, &err);
}

static void registry_start(struct registry *registry)
{
    struct err err = { .class = ERR_NONE };

    *registry = (struct registry){ .dir = "/tmp/docker-flow-registry-XXXXXX" };
    assert_non_null(mkdtemp(registry->dir));
    registry->config = xasprintf("%s/config.yml", registry->dir);
    auto_free char *passwords = xasprintf("%s/htpasswd", registry->dir);
    auto_free char *text = xasprintf("version: 0.1\nlog: {level: error}\nhttp: {addr: '" REGISTRY
                                     "'}\nstorage: {filesystem: {rootdirectory: %s/data}}\n"
                                     "auth: {htpasswd: {realm: test, path: %s}}\n",
                                     registry->dir, passwords);
    world_check(fs_write(passwords, HTPASSWD, strlen(HTPASSWD), 0600, &err), &err, "htpasswd");
    world_check(fs_write(registry->config, text, strlen(text), 0600, &err), &err, "config");
    registry->thread = thread_start(registry_main, registry);
}

static void registry_stop(struct registry *registry)
{
    struct err err = { .class = ERR_NONE };

    __atomic_store_n(&registry->is_over, true, __ATOMIC_RELAXED);
    thread_join(registry->thread);
    world_check(fs_remove_tree(registry->dir, &err), &err, "removing the registry's folder");
    free(registry->config);
}

static int ignore_line(void *arg, const json_t *line, struct err *err)
{
    (void)arg;
    (void)line;
    (void)err;
    return 0;
}

static int push(struct world *world, struct err *err)
{
    struct engine_auth auth = { .user = "puller", .password = "secret", .server = REGISTRY };
    auto_free char *value = engine_auth_header(&auth);
    auto_free char *header = xasprintf("X-Registry-Auth: %s", value);
    const char *const headers[] = { header, NULL };
    struct engine_stream stream = { .method = "POST",
                                    .path = "/images/" REGISTRY "/evenkeel/shop/push?tag=one",
                                    .headers = headers,
                                    .line = ignore_line };

    return engine_stream(world->engine, &stream, err);
}

/* Pushes the world's image, removes the tag here, and answers the reference by digest. */
static char *push_image(struct world *world)
{
    struct err err = { .class = ERR_NONE };
    json_auto_t *image = NULL;

    world_check(engine_post(world->engine, NULL, NULL, &err,
                            "/images/%s/tag?repo=" REGISTRY "/evenkeel/shop&tag=one", world->image),
                &err, "tag");
    for (int i = 0; push(world, &err); i++) {
        if (i == 100)
            fail_msg("push: %s", err.text);
        world_sleep(50); /* the registry is starting */
    }
    world_check(engine_inspect_image(world->engine, REGISTRY "/evenkeel/shop:one", &image, &err),
                &err, "inspect");
    return xstrdup(json_string_value(json_array_get(json_object_get(image, "RepoDigests"), 0)));
}

static void use_registry(struct world *world, const char *password)
{
    struct err err = { .class = ERR_NONE };

    world->backend->close(world->backend->self);
    world->config.registry = password ? REGISTRY : NULL;
    world->config.registry_user = "puller";
    world->config.registry_password = password;
    world->backend = docker_backend_new(&world->config, &err);
}

static void cannot_pull(struct world *world, const char *reference, const char *words)
{
    auto_app_seen seen = { .release_count = 0 };

    world->release.image = reference;
    world_step(world, &seen);
    assert_int_equal(seen.releases[0].stage, RELEASE_NO_IMAGE);
    if (!strstr(seen.releases[0].message, words))
        fail_msg("%s", seen.releases[0].message);
}

static void an_image_is_pulled_by_digest(void **state)
{
    struct world *world = *state;
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };
    struct registry registry;

    registry_start(&registry);
    auto_free char *reference = push_image(world);
    world_check(engine_delete(world->engine, &err, "/images/%s?force=1", world->image), &err,
                "rmi");
    world_want(world, "{\"worker\":{\"command\":\"sleep 1000\",\"check\":{\"grace\":\"0ms\"}}}");
    cannot_pull(world, reference, "no basic auth credentials");
    use_registry(world, "wrong");
    cannot_pull(world, reference, "unauthorized");
    use_registry(world, "secret");
    cannot_pull(world, REGISTRY "/evenkeel/shop:two", "manifest");
    world->release.image = reference;
    world_reach(world, RELEASE_READY, &seen);
    world_clear(world);
    world_check(world->backend->remove_image(world->backend->self, reference, &err), &err,
                "remove_image");
    json_auto_t *image = NULL;
    assert_int_equal(engine_inspect_image(world->engine, reference, &image, &err), -1);
    use_registry(world, NULL);
    registry_stop(&registry);
    free(world->image);
    world->image = world_import_image(world, "evenkeel/docker-flow", "base");
}

/* ---- the firewall ---- */

struct listener {
    int fds[2];
    struct thread *thread;
    bool is_over; /* set atomically */
};

static int listen_on(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* Takes connections and closes them. */
static void listener_main(void *arg)
{
    struct listener *listener = arg;

    while (!__atomic_load_n(&listener->is_over, __ATOMIC_RELAXED)) {
        struct pollfd fds[2] = { { .fd = listener->fds[0], .events = POLLIN },
                                 { .fd = listener->fds[1], .events = POLLIN } };
        poll(fds, 2, 50);
        for (int i = 0; i < 2; i++)
            if (fds[i].revents & POLLIN)
                close(accept(fds[i].fd, NULL, NULL));
    }
}

/* Whether a container gets through to a port of this machine. */
static bool reaches(struct world *world, int port)
{
    auto_app_seen seen = { .release_count = 0 };
    auto_free char *processes =
        xasprintf("{\"worker\":{\"command\":\"nc -w 1 10.213.7.1 %d < /dev/null\"}}", port);

    world_clear(world);
    world_want(world, processes);
    world_reach(world, RELEASE_BROKEN, &seen); /* it ends by itself */
    assert_string_equal(seen.releases[0].reason, "Exited");
    return seen.releases[0].instances[0].exit_code == 0;
}

static char *iptables_list(const char *chain)
{
    const char *const argv[] = { "iptables", "-w", "-S", chain, NULL };
    struct proc_options options = { .argv = argv, .timeout_ms = 10000, .output_max = 1 << 20 };
    auto_proc_result result = { .exit_code = 0 };
    struct err err = { .class = ERR_NONE };

    world_check(proc_run(&options, &result, &err), &err, "iptables");
    return result.exit_code ? NULL : take(&result.output);
}

static void apps_stay_away_from_this_machine(void **state)
{
    static const int64_t open_ports[] = { OPEN_PORT };
    struct world *world = *state;
    struct docker_config config = world->config;
    struct err err = { .class = ERR_NONE };
    auto_app_seen seen = { .release_count = 0 };
    struct listener listener = { .fds = { listen_on(CLOSED_PORT), listen_on(OPEN_PORT) } };

    listener.thread = thread_start(listener_main, &listener);
    world_check(docker_backend_firewall_remove(&config, &err), &err, "none to remove");
    assert_true(reaches(world, CLOSED_PORT));
    config.host_firewall = true;
    config.host_ports = open_ports;
    config.host_port_count = 1;
    for (int i = 0; i < 2; i++) { /* the second one finds the rules there */
        struct backend *backend = docker_backend_new(&config, &err);
        backend->close(backend->self);
    }
    auto_free char *input = iptables_list("INPUT");
    const char *jump = strstr(input, "-j EVENKEEL-docker-flow");
    assert_non_null(jump);
    assert_null(strstr(jump + 1, "-j EVENKEEL-docker-flow"));
    assert_false(reaches(world, CLOSED_PORT));
    assert_true(reaches(world, OPEN_PORT));

    /* Probes are connections from this machine, and go on. */
    world_clear(world);
    world_want(world, "{\"web\":{\"command\":\"httpd -f -p $PORT -h /www\",\"port\":3000,"
                      "\"check\":{\"path\":\"/\"}}}");
    world_reach(world, RELEASE_READY, &seen);

    world_check(docker_backend_firewall_remove(&config, &err), &err, "remove");
    assert_null(iptables_list("EVENKEEL-docker-flow"));
    assert_true(reaches(world, CLOSED_PORT));
    __atomic_store_n(&listener.is_over, true, __ATOMIC_RELAXED);
    thread_join(listener.thread);
    close(listener.fds[0]);
    close(listener.fds[1]);
}

static int set_up(void **state)
{
    static struct world world;

    world_init(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    struct err err;

    docker_backend_firewall_remove(&world->config, &err);
    world_done(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_pulled_by_digest),
        cmocka_unit_test(apps_stay_away_from_this_machine),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
