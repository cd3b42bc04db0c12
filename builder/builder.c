#include "builder/builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "builder/image_site.h"
#include "builder/method.h"

enum {
    LEASE_WAIT_MS = 30000, /* how long the controller may think about a lease */
    HELLO_MS = 10000,
    LOOK_MS = 200,       /* how often a stop, or a time limit, is looked at */
    GIVE_BACK_MS = 8000, /* for attempts to be settled when the program stops */
    MOUNTINFO_MAX = 4 << 20,
};

static int64_t mono_ms(void)
{
    return clock_mono_ms(clock_system());
}

bool builder_is_stopping(struct builder *b)
{
    pthread_mutex_lock(&b->lock);
    bool is_stopping = b->is_stopping;
    pthread_mutex_unlock(&b->lock);
    return is_stopping;
}

/* Waits until the predicate may have changed. `lock` is held. */
static void wait_change(struct builder *b, int64_t wait_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + wait_ms % 1000 * 1000000;
    until.tv_sec += wait_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&b->changed, &b->lock, &until);
}

bool builder_wait_link(struct builder *b, int64_t wait_ms)
{
    int64_t until = mono_ms() + wait_ms, left;

    pthread_mutex_lock(&b->lock);
    while (!b->is_greeted && (left = until - mono_ms()) > 0)
        wait_change(b, left);
    bool is_greeted = b->is_greeted;
    pthread_mutex_unlock(&b->lock);
    return is_greeted;
}

/* ---- the attempts under way ---- */

static void add_attempt(struct builder *b, struct attempt *a)
{
    pthread_mutex_lock(&b->lock);
    b->attempts = xreallocarray(b->attempts, b->attempt_count + 1, sizeof(struct attempt *));
    b->attempts[b->attempt_count++] = a;
    pthread_mutex_unlock(&b->lock);
    ticker_kick(b->watcher);
}

static void remove_attempt(struct builder *b, const struct attempt *a)
{
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->attempt_count; i++)
        if (b->attempts[i] == a) {
            b->attempts[i] = b->attempts[--b->attempt_count];
            break;
        }
    pthread_mutex_unlock(&b->lock);
}

static void watch_attempt(const struct builder *b, struct attempt *a, int64_t now)
{
    if (now >= a->deadline_ms)
        attempt_stop(a, STOP_TIMEOUT, NULL);
    if (!b->is_stopping)
        return;
    attempt_stop(a, STOP_SHUTDOWN, NULL);
    if (now >= b->stop_at_ms)
        attempt_give_up(a);
}

/* The ticker: time limits, and the end of the program. */
static int64_t watch(void *arg)
{
    struct builder *b = arg;
    int64_t now = mono_ms();

    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->attempt_count; i++)
        watch_attempt(b, b->attempts[i], now);
    bool is_idle = b->attempt_count == 0;
    pthread_mutex_unlock(&b->lock);
    return is_idle ? INT64_MAX : LOOK_MS;
}

/* ---- hello ---- */

static json_t *method_names(void)
{
    json_t *names = json_array();

    for (unsigned i = 0; i < method_count; i++)
        json_array_append_new(names, json_string(methods[i]->name));
    return names;
}

static json_t *hello_params(struct builder *b, unsigned *links)
{
    json_t *attempts = json_array();

    pthread_mutex_lock(&b->lock);
    *links = b->links;
    for (size_t i = 0; i < b->attempt_count; i++)
        json_array_append_new(attempts, attempt_params(b->attempts[i]));
    pthread_mutex_unlock(&b->lock);
    return json_pack("{s:I, s:o, s:o}", "slots", (json_int_t)b->config->slots, "methods",
                     method_names(), "attempts", attempts);
}

static bool is_in(const json_t *list, const char *id)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
        if (json_is_string(item) && strcmp(json_string_value(item), id) == 0)
            return true;
    return false;
}

/* Only attempts that the hello named: one that was leased since cannot be in the answer. */
static void keep_attempts(struct builder *b, const json_t *named, const json_t *keep)
{
    for (size_t i = 0; i < b->attempt_count; i++) {
        struct attempt *a = b->attempts[i];
        const json_t *item;
        size_t k;
        json_array_foreach(named, k, item)
            if (strcmp(json_string_value(json_object_get(item, "attempt")), a->id) == 0 &&
                !is_in(keep, a->id))
                attempt_stop(a, STOP_LEASE_GONE, "the controller does not keep it");
    }
}

/* The ticker that says hello; kicked when the link comes up. */
static int64_t greet(void *arg)
{
    struct builder *b = arg;
    unsigned links;
    json_auto_t *answer = NULL;
    struct err err = { 0 };

    if (!rpc_client_is_up(b->client) || builder_wait_link(b, 0))
        return INT64_MAX;
    json_auto_t *params = hello_params(b, &links);
    if (rpc_client_call(b->client, "builder.hello", params, HELLO_MS, &answer, &err) < 0) {
        log_warn("saying hello to the controller", E(&err));
        return 1000;
    }
    pthread_mutex_lock(&b->lock);
    if (links == b->links) {
        keep_attempts(b, json_object_get(params, "attempts"), json_object_get(answer, "keep"));
        b->is_greeted = true;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    log_info("linked to the controller", S("controller", b->config->controller));
    return INT64_MAX;
}

static void on_up(void *arg)
{
    struct builder *b = arg;
    ticker_kick(b->greeter);
}

static void on_down(void *arg)
{
    struct builder *b = arg;

    pthread_mutex_lock(&b->lock);
    b->is_greeted = false;
    b->links++;
    pthread_mutex_unlock(&b->lock);
}

/* ---- slots ---- */

/* Waits for the end of a lease call, but not past the end of the program. */
static int wait_lease(struct builder *b, struct rpc_exchange *x, json_t **answer, struct err *err)
{
    struct rpc_item item = { 0 };
    int rc;

    for (;;) {
        rc = rpc_exchange_read(x, LOOK_MS, &item, err);
        if (rc == 1)
            rpc_item_done(&item);
        else if (rc == 0)
            return rpc_exchange_result(x, answer, err);
        else if (err->class != ERR_TIMEOUT)
            return -1;
        if (builder_is_stopping(b))
            return err_set(err, ERR_STOPPED, "stopping");
    }
}

static int lease(struct builder *b, json_t **answer, struct err *err)
{
    json_auto_t *params = json_pack("{s:i}", "wait_ms", LEASE_WAIT_MS);
    auto_rpc_exchange *x = NULL;

    if (rpc_client_open(b->client, "build.lease", params, LEASE_WAIT_MS + HELLO_MS, &x, err) < 0)
        return -1;
    return wait_lease(b, x, answer, err);
}

static void run_attempt(struct builder *b, json_t *answer)
{
    struct attempt *a;
    struct err err = { 0 };

    if (attempt_new(b, answer, &a, &err) < 0) {
        log_error("a lease that cannot be understood", E(&err));
        work_sleep(1000);
        return;
    }
    add_attempt(b, a);
    attempt_run(a);
    remove_attempt(b, a);
    attempt_free(a);
}

static void run_slot(void *arg)
{
    struct builder *b = arg;

    while (!builder_is_stopping(b)) {
        json_t *answer = NULL;
        struct err err = { 0 };
        if (!builder_wait_link(b, LOOK_MS))
            continue;
        if (lease(b, &answer, &err) < 0) {
            if (err.class != ERR_UNAVAILABLE && err.class != ERR_STOPPED &&
                err.class != ERR_TIMEOUT)
                log_warn("asking for work", E(&err));
            work_sleep(LOOK_MS);
        } else if (json_object_get(answer, "attempt")) {
            run_attempt(b, answer);
        } else {
            json_decref(answer);
        }
    }
    pthread_mutex_lock(&b->lock);
    b->slots_running--;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* ---- start and stop ---- */

static void limit_memory(struct builder *b)
{
    auto_free char *mountinfo = NULL;
    struct err err = { 0 };

    if (fs_read("/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo, NULL, &err) < 0 ||
        cgroup_limit(mountinfo, b->config->cgroup, b->config->memory_max, &b->cgroup, &err) < 0)
        log_warn("the memory of build steps cannot be limited here", E(&err));
}

/* The work folder is this builder's alone, and empty. */
static int take_folder(struct builder *b, struct err *err)
{
    auto_free char *lock = fs_join(b->config->work_dir, "lock");
    auto_free char *attempts = fs_join(b->config->work_dir, "attempts");

    if (fs_make_dirs(b->config->work_dir, 0700, err) < 0 || fs_lock(lock, &b->lock_fd, err) < 0 ||
        fs_remove_tree(attempts, err) < 0)
        return err_prefix(err, "taking the work folder %s", b->config->work_dir);
    return fs_make_dirs(attempts, 0700, err);
}

static int start_link(struct builder *b, struct err *err)
{
    const struct builder_config *config = b->config;
    auto_wipe char *token = NULL;

    if (conf_read_secret(config->token_file, &token, err))
        return -1;
    struct rpc_client_config client = { .address = config->controller,
                                        .ca_file = *config->ca_file ? config->ca_file : NULL,
                                        .token = token,
                                        .kind = RPC_BUILDER,
                                        .name = config->name,
                                        .up = on_up,
                                        .down = on_down,
                                        .arg = b };
    return rpc_client_start(b->loop, &client, &b->client, err);
}

static void init_lock(struct builder *b)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->changed, &attr);
    pthread_condattr_destroy(&attr);
}

static void start_threads(struct builder *b)
{
    b->watcher = ticker_start("watcher", watch, b);
    b->greeter = ticker_start("greeter", greet, b);
    b->slots = xcalloc((size_t)b->config->slots, sizeof(struct thread *));
    b->slots_running = (unsigned)b->config->slots;
    for (int64_t i = 0; i < b->config->slots; i++)
        b->slots[i] = thread_start(run_slot, b);
}

int builder_start(struct loop *loop, const struct builder_config *config, struct builder **out,
                  struct err *err)
{
    struct builder *b = xcalloc(1, sizeof *b);

    b->loop = loop;
    b->config = config;
    b->lock_fd = -1;
    init_lock(b);
    if (take_folder(b, err) < 0) {
        builder_free(b);
        return -1;
    }
    b->engine = engine_new(config->docker_socket);
    image_site_clean(b);
    limit_memory(b);
    if (start_link(b, err) < 0) {
        builder_free(b);
        return -1;
    }
    start_threads(b); /* the link cannot be up before the loop runs */
    *out = b;
    return 0;
}

static void end_loop(void *arg)
{
    struct builder *b = arg;

    rpc_client_stop(take(&b->client));
    loop_stop(b->loop);
}

/* Its own thread: waits for the slots, which the loop must not. What they do is not broken off
 * before they had the time to give their attempts back. */
static void stop_slots(void *arg)
{
    struct builder *b = arg;
    int64_t left;

    pthread_mutex_lock(&b->lock);
    while (b->slots_running > 0 && (left = b->stop_at_ms + LOOK_MS - mono_ms()) > 0)
        wait_change(b, left);
    pthread_mutex_unlock(&b->lock);
    work_stop();
    for (int64_t i = 0; i < b->config->slots; i++)
        thread_join(b->slots[i]);
    ticker_stop(b->watcher);
    ticker_stop(b->greeter);
    loop_post(b->loop, end_loop, b);
}

void builder_stop(struct builder *b)
{
    pthread_mutex_lock(&b->lock);
    bool is_first = !b->is_stopping;
    b->is_stopping = true;
    b->stop_at_ms = mono_ms() + GIVE_BACK_MS;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (!is_first)
        return;
    log_info("stopping");
    ticker_kick(b->watcher);
    b->stopper = thread_start(stop_slots, b);
}

void builder_free(struct builder *b)
{
    if (!b)
        return;
    thread_join(b->stopper);
    engine_free(b->engine);
    cgroup_free(b->cgroup);
    if (b->lock_fd >= 0)
        close(b->lock_fd);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b->slots);
    free(b->attempts);
    free(b);
}
