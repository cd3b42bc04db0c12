/* One pass: the controller's list after the revision that was followed last, page by page; for each
 * page the sites not here are fetched and unpacked, those no longer wanted removed, the outcome
 * reported, and only then the revision (with what failed) written. So whatever dies in between, the
 * page is followed again, and everything in it is idempotent.
 *
 * What failed is tried again when its delay is over, doubling, or when the revision moves. After
 * each time the link came up the whole list of served sites is reported, since the controller may
 * have lost what it knew. */
#include "ssgen/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/work.h"
#include "rpc/rpc.h"
#include "ssgen/fetch.h"
#include "ssgen/nginx.h"
#include "ssgen/sites.h"

enum {
    PAGE = 500,
    REPORT_MAX = 5000,
    CALL_TIMEOUT_MS = 30000,
    READ_TIMEOUT_MS = 500,
    WATCH_AGAIN_MS = 1000
};

/* When a failed site is due; counted here only, a restart tries at once. */
struct delay {
    int64_t due_ms, next_ms;
};

struct agent {
    struct loop *loop;
    const struct ssgen_config *config;
    struct rpc_client *client;
    struct ticker *ticker;
    struct thread *watcher, *closer;
    struct delay delay; /* the ticker's thread only */
    void (*stopped)(void *arg);
    void *arg;
    pthread_mutex_t lock; /* guards: */
    bool is_complete_due; /* the link came up since the last complete report */
    bool is_moved;        /* the controller said that there is something newer */
};

/* One site of a page. */
struct job {
    const struct agent *agent;
    const char *hex;
    int64_t size;
    const char *reason; /* NULL: it is served */
    struct err err;
};

static void run_job(void *item, void *arg)
{
    struct job *job = item;
    const struct ssgen_config *config = job->agent->config;
    const struct unpack_limits limits = { .entries_max = config->entries_max,
                                          .bytes_max = config->bytes_max,
                                          .path_max = config->path_max,
                                          .depth_max = config->depth_max };

    (void)arg;
    const char *reason = "Internal";
    job->reason = NULL;
    if (sites_have(config->root, job->hex))
        return;
    if (fetch_site(job->agent->client, config->root, job->hex, config->archive_max, &reason,
                   &job->err) ||
        sites_publish(config->root, job->hex, &limits, &reason, &job->err)) {
        job->reason = reason;
        log_warn("site not served", S("digest", job->hex), S("reason", reason), E(&job->err));
    } else {
        log_info("site served", S("digest", job->hex));
    }
}

/* Outcome of a pass over some sites, as sites.serving takes it. */
static json_t *report_new(int64_t revision)
{
    return json_pack("{s:I, s:b, s:[], s:[], s:[]}", "revision", (json_int_t)revision, "complete",
                     0, "digests", "removed", "failed");
}

/* Fetches {HEX: size} in parallel; what failed is added to `failed`, the outcome to `report`. */
static void run_jobs(struct agent *agent, const json_t *sizes, json_t *failed, json_t *report)
{
    size_t count = 0, total = json_object_size(sizes);
    auto_free struct job *jobs = xcalloc(total + 1, sizeof *jobs);
    auto_free void **items = xcalloc(total + 1, sizeof *items);
    const char *hex;
    json_t *size;

    json_object_foreach((json_t *)sizes, hex, size) {
        jobs[count] = (struct job){
            .agent = agent, .hex = hex, .size = json_integer_value(size), .reason = "Stopped"
        };
        items[count] = &jobs[count];
        count++;
    }
    work_each(items, count, (unsigned)agent->config->parallel, run_job, NULL);
    for (size_t i = 0; i < count; i++) {
        json_t *digest = json_sprintf("sha256:%s", jobs[i].hex);
        if (!jobs[i].reason) {
            json_array_append_new(json_object_get(report, "digests"), digest);
            continue;
        }
        json_object_set_new(failed, jobs[i].hex, json_integer(jobs[i].size));
        json_array_append_new(json_object_get(report, "failed"),
                              json_pack("{s:o, s:s, s:s}", "digest", digest, "reason",
                                        jobs[i].reason, "message", jobs[i].err.text));
    }
}

static void remove_site(const struct agent *agent, const char *hex, json_t *report)
{
    struct err err = { 0 };

    if (sites_remove(agent->config->root, hex, &err))
        log_warn("site not removed", S("digest", hex), E(&err));
    json_array_append_new(json_object_get(report, "removed"), json_sprintf("sha256:%s", hex));
}

/* The last word of a page about a digest counts. */
static json_t *sort_page(const struct agent *agent, const json_t *page, json_t *failed,
                         json_t *report)
{
    json_t *wanted = json_object(), *item;
    size_t i;

    json_array_foreach(json_object_get(page, "sites"), i, item) {
        const char *hex = site_hex(json_string_value(json_object_get(item, "digest")));
        if (!hex)
            continue;
        json_object_del(wanted, hex);
        json_object_del(failed, hex);
        if (json_is_true(json_object_get(item, "wanted")))
            json_object_set(wanted, hex, json_object_get(item, "size"));
        else
            remove_site(agent, hex, report);
    }
    return wanted;
}

static int send_report(const struct agent *agent, const json_t *report, struct err *err)
{
    return rpc_client_call(agent->client, "sites.serving", report, CALL_TIMEOUT_MS, NULL, err);
}

/* All that is served, in pieces that fit a frame: the first one says that it starts anew. */
static int report_all(const struct agent *agent, int64_t revision, struct err *err)
{
    json_auto_t *all = NULL;
    size_t at = 0;

    if (sites_list(agent->config->root, &all, err))
        return -1;
    do {
        json_auto_t *report = report_new(revision);
        json_object_set_new(report, "complete", json_boolean(at == 0));
        for (size_t end = at + REPORT_MAX; at < end && at < json_array_size(all); at++)
            json_array_append(json_object_get(report, "digests"), json_array_get(all, at));
        if (send_report(agent, report, err))
            return -1;
    } while (at < json_array_size(all));
    return 0;
}

/* One page; *more when there is another. */
static int run_page(struct agent *agent, json_t *state, bool *more, struct err *err)
{
    json_int_t after = json_integer_value(json_object_get(state, "revision"));
    json_t *failed = json_object_get(state, "failed");
    json_auto_t *params = json_pack("{s:I, s:i}", "after", after, "limit", PAGE);
    json_auto_t *page = NULL;

    if (rpc_client_call(agent->client, "sites.wanted", params, CALL_TIMEOUT_MS, &page, err))
        return -1;
    const json_t *revision = json_object_get(page, "revision");
    if (!json_is_integer(revision) || !json_is_array(json_object_get(page, "sites")))
        return err_set(err, ERR_INVALID, "the answer to sites.wanted has no revision or no sites");
    json_auto_t *report = report_new(json_integer_value(revision));
    json_auto_t *wanted = sort_page(agent, page, failed, report);
    run_jobs(agent, wanted, failed, report);
    if (work_stopping)
        return err_set(err, ERR_STOPPED, "stopping");
    if (json_array_size(json_object_get(page, "sites")) && send_report(agent, report, err))
        return -1;
    if (json_integer_value(revision) < after) { /* another list than the one that was followed */
        *more = true;
        json_object_set_new(state, "revision", json_integer(0));
        return sites_write_revision(agent->config->root, state, err);
    }
    *more = json_is_true(json_object_get(page, "more")) && json_integer_value(revision) > after;
    if (json_integer_value(revision) == after &&
        json_array_size(json_object_get(page, "sites")) == 0)
        return 0;
    json_object_set_new(state, "revision", json_integer(json_integer_value(revision)));
    return sites_write_revision(agent->config->root, state, err);
}

/* What failed in earlier passes, when it is due. */
static int run_failed(struct agent *agent, json_t *state, struct err *err)
{
    json_auto_t *again = json_deep_copy(json_object_get(state, "failed"));
    json_auto_t *report = report_new(json_integer_value(json_object_get(state, "revision")));

    json_object_clear(json_object_get(state, "failed"));
    run_jobs(agent, again, json_object_get(state, "failed"), report);
    if (work_stopping)
        return err_set(err, ERR_STOPPED, "stopping");
    return send_report(agent, report, err) || sites_write_revision(agent->config->root, state, err)
               ? -1
               : 0;
}

static bool take_flag(struct agent *agent, bool *flag)
{
    pthread_mutex_lock(&agent->lock);
    bool was = *flag;
    *flag = false;
    pthread_mutex_unlock(&agent->lock);
    return was;
}

static void set_flag(struct agent *agent, bool *flag)
{
    pthread_mutex_lock(&agent->lock);
    *flag = true;
    pthread_mutex_unlock(&agent->lock);
}

/* When the failed ones are due again: at once when the controller's list moved, else with a growing
 * delay. */
static int run_due(struct agent *agent, json_t *state, struct err *err)
{
    int64_t now = clock_mono_ms(clock_system());
    bool is_moved = take_flag(agent, &agent->is_moved);

    if (json_object_size(json_object_get(state, "failed")) == 0) {
        agent->delay = (struct delay){ 0 };
        return 0;
    }
    if (!is_moved && agent->delay.due_ms > now)
        return 0;
    if (agent->delay.due_ms && run_failed(agent, state, err))
        return -1;
    int64_t next =
        is_moved || !agent->delay.next_ms ? agent->config->retry_ms : agent->delay.next_ms * 2;
    agent->delay.next_ms = next < agent->config->retry_max_ms ? next : agent->config->retry_max_ms;
    agent->delay.due_ms = clock_mono_ms(clock_system()) + agent->delay.next_ms;
    return 0;
}

static int run_pass(struct agent *agent, json_t *state, struct err *err)
{
    bool more = true;

    while (more)
        if (run_page(agent, state, &more, err))
            return -1;
    if (take_flag(agent, &agent->is_complete_due) &&
        report_all(agent, json_integer_value(json_object_get(state, "revision")), err)) {
        set_flag(agent, &agent->is_complete_due);
        return -1;
    }
    return run_due(agent, state, err);
}

static int64_t tick(void *arg)
{
    struct agent *agent = arg;
    struct err err = { 0 };

    if (!rpc_client_is_up(agent->client))
        return agent->config->interval_ms; /* kicked when it comes up */
    json_auto_t *state = sites_read_revision(agent->config->root);
    if (run_pass(agent, state, &err)) {
        if (err.class != ERR_STOPPED)
            log_warn("following the wanted sites", E(&err));
        return agent->config->retry_ms;
    }
    int64_t left =
        agent->delay.due_ms ? agent->delay.due_ms - clock_mono_ms(clock_system()) : INT64_MAX;
    return left < agent->config->interval_ms ? left : agent->config->interval_ms;
}

/* Reads one sites.watch call until it ends. */
static void watch_once(struct agent *agent)
{
    auto_rpc_exchange *x = NULL;
    struct err err = { 0 };

    if (rpc_client_open(agent->client, "sites.watch", NULL, 0, &x, &err))
        return;
    while (!work_stopping) {
        struct rpc_item item = { 0 };
        struct err why = { 0 };
        int rc = rpc_exchange_read(x, READ_TIMEOUT_MS, &item, &why);
        if (rc == 0 || (rc < 0 && why.class != ERR_TIMEOUT))
            return;
        if (rc < 0)
            continue;
        rpc_item_done(&item);
        set_flag(agent, &agent->is_moved);
        ticker_kick(agent->ticker);
    }
}

static void watch(void *arg)
{
    do
        watch_once(arg);
    while (work_sleep(WATCH_AGAIN_MS));
}

static void link_up(void *arg)
{
    struct agent *agent = arg;

    set_flag(agent, &agent->is_complete_due);
    if (agent->ticker)
        ticker_kick(agent->ticker);
}

static int open_disk(const struct ssgen_config *config, struct err *err)
{
    const struct nginx_config nginx = { .conf_path = config->nginx_conf,
                                        .root = config->root,
                                        .listen = config->nginx_listen,
                                        .user = config->nginx_user };

    return sites_open(config->root, err) || nginx_write_conf(&nginx, err) ? -1 : 0;
}

static int open_link(struct agent *agent, struct err *err)
{
    const char *ca_file = agent->config->controller_ca_file;
    auto_wipe char *token = NULL;

    if (conf_read_secret(agent->config->controller_token_file, &token, err))
        return -1;
    const struct rpc_client_config link = { .address = agent->config->controller_address,
                                            .ca_file = *ca_file ? ca_file : NULL,
                                            .token = token,
                                            .kind = RPC_SSGEN,
                                            .name = agent->config->name,
                                            .up = link_up,
                                            .arg = agent };
    return rpc_client_start(agent->loop, &link, &agent->client, err);
}

int agent_start(struct loop *loop, const struct ssgen_config *config, struct agent **agent,
                struct err *err)
{
    struct agent *a = xcalloc(1, sizeof *a);

    a->loop = loop;
    a->config = config;
    pthread_mutex_init(&a->lock, NULL);
    if (open_disk(config, err) || open_link(a, err)) {
        pthread_mutex_destroy(&a->lock);
        free(a);
        return -1;
    }
    a->ticker =
        ticker_start("sites", tick, a); /* link_up comes later: on this thread, from the loop */
    a->watcher = thread_start(watch, a);
    *agent = a;
    return 0;
}

static void finish(void *arg)
{
    struct agent *agent = arg;

    thread_join(agent->closer);
    rpc_client_stop(agent->client);
    agent->stopped(agent->arg);
    pthread_mutex_destroy(&agent->lock);
    free(agent);
}

/* Calls under way need the loop to end, so it may not wait for them: this thread does. */
static void close_threads(void *arg)
{
    struct agent *agent = arg;

    thread_join(agent->watcher);
    ticker_stop(agent->ticker);
    loop_post(agent->loop, finish, agent);
}

void agent_stop(struct agent *agent, void (*stopped)(void *arg), void *arg)
{
    agent->stopped = stopped;
    agent->arg = arg;
    agent->closer = thread_start(close_threads, agent);
}
