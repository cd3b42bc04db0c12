#include "controller/loops.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/work.h"
#include "controller/conditions.h"
#include "store/work.h"

/* A loop is a ticker, which looks at what comes first in the work queue, and a pool, which runs the
 * steps, so that a step that hangs (a remote, a pull) delays only its own subject. The end of a
 * step kicks the ticker.
 *
 * A step that failed waits 1 s, 2 s, 4 s … at most five minutes, ±25 % by subject and attempt so
 * that many that failed together do not come back together. After five failures in a row of the
 * kind that only a defect causes it waits an hour, or until something about it changes: quarantine,
 * of which a condition of the app tells. */
enum {
    BACKOFF_MS = 1000,
    BACKOFF_MAX_MS = 300000,
    QUARANTINE_AFTER = 5,
    QUARANTINE_MS = 3600000,
    THREADS_MAX = 16
};

#define EVERY(member) offsetof(struct controller_config, member)

const struct loop_entry loop_table[] = {
    { "crash_detector", crash_detector_step, crash_detector_pass, EVERY(crash_ms), 1 },
    { "dispatcher", dispatcher_step, dispatcher_pass, EVERY(dispatch_ms), 1 },
    { "fetcher", fetcher_step, fetcher_pass, EVERY(fetch_ms), 10 },
    { "janitor", janitor_step, janitor_pass, EVERY(clean_ms), 1 },
    { "registrar", registrar_step, registrar_pass, EVERY(register_ms), 4 },
    { "synchronizer", synchronizer_step, synchronizer_pass, EVERY(synchronize_ms), 8 },
};
const size_t loop_count = countof(loop_table);

struct runner;

struct step {
    LIST_ENTRY(step) link;
    struct runner *runner;
    struct work work;
};

struct runner {
    struct controller *c;
    const struct loop_entry *entry;
    struct pool *pool;
    int64_t pass_at_ms;    /* monotonic: the next full pass. The ticker's own */
    pthread_mutex_t lock;  /* guards: */
    struct ticker *ticker; /* NULL before the start and after the stop */
    LIST_HEAD(, step) under_way;
    unsigned count;
};

struct loops {
    struct runner runners[countof(loop_table)];
};

static int64_t spread(const struct work *work)
{
    uint32_t hash = 2166136261u + (uint32_t)work->attempts; /* FNV-1a */

    for (const char *p = work->subject; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    return (hash >> 8) & 255;
}

static bool is_quarantined(const struct work *work, const struct err *failure)
{
    return failure && failure->class == ERR_INTERNAL && work->attempts + 1 >= QUARANTINE_AFTER;
}

static int64_t backoff_ms(const struct work *work, const struct err *failure)
{
    int64_t shift = work->attempts < 9 ? work->attempts : 9;
    int64_t ms = (int64_t)BACKOFF_MS << shift;

    if (is_quarantined(work, failure))
        return QUARANTINE_MS;
    ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
    return ms * 3 / 4 + ms / 2 * spread(work) / 255;
}

static int say_quarantine(struct tx *tx, const char *loop, const struct work *work,
                          const struct err *failure, struct err *err)
{
    if (is_quarantined(work, failure)) {
        auto_free char *message =
            xasprintf("the %s failed %lld times in a row: %s; it tries again in an hour, or when "
                      "something changes",
                      loop, (long long)work->attempts + 1, failure->text);
        return note_quarantine(tx, loop, work->subject, message, QUARANTINE_MS,
                               work->attempts + 1 == QUARANTINE_AFTER, err);
    }
    return work->attempts >= QUARANTINE_AFTER ? clear_quarantine(tx, work->subject, err) : 0;
}

static int record(struct controller *c, const char *loop, const struct work *work, int64_t again_ms,
                  const struct err *failure, struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_OBSERVE, &tx, err) || say_quarantine(tx, loop, work, failure, err))
        return -1;
    if (failure ? store_fail_work(tx, loop, work, backoff_ms(work, failure), failure->text, err)
                : store_finish_work(tx, loop, work, again_ms, err))
        return -1;
    return tx_commit(&tx, err);
}

static void run_step(struct controller *c, const struct loop_entry *entry, const struct work *work)
{
    struct err failure = { 0 }, err = { 0 };
    int64_t again_ms = -1;

    int rc = entry->step(c, work->subject, &again_ms, &failure);
    if (rc && failure.class == ERR_STOPPED)
        return; /* the row is still there for the next start */
    if (rc)
        log_warn("a step did not succeed", S("loop", entry->name), S("subject", work->subject),
                 I("attempt", work->attempts + 1), E(&failure));
    if (record(c, entry->name, work, again_ms, rc ? &failure : NULL, &err))
        log_error("recording a step", S("loop", entry->name), S("subject", work->subject), E(&err));
}

static int next_work(struct controller *c, const char *loop, size_t limit, struct work_list *list,
                     struct err *err)
{
    auto_tx *tx = NULL;

    if (tx_begin(c->store, TX_READ, &tx, err))
        return -1;
    return store_next_work(tx, loop, limit, list, err);
}

int loop_turn(struct controller *c, const struct loop_entry *entry, struct err *err)
{
    for (;;) {
        auto_work_list list = { 0 };
        if (next_work(c, entry->name, 1, &list, err))
            return -1;
        if (list.count == 0 || list.items[0].due_ms > 0)
            return 0;
        run_step(c, entry, &list.items[0]);
    }
}

static void step_main(void *arg)
{
    struct step *step = arg;
    struct runner *r = step->runner;

    if (!work_stopping)
        run_step(r->c, r->entry, &step->work);
    pthread_mutex_lock(&r->lock);
    LIST_REMOVE(step, link);
    r->count--;
    if (r->ticker)
        ticker_kick(r->ticker);
    pthread_mutex_unlock(&r->lock);
    struct work_list one = { .items = xmemdup(&step->work, sizeof step->work), .count = 1 };
    work_list_done(&one);
    free(step);
}

/* Starts the step unless its subject is under way; false when there is no thread for it. Takes the
 * work. */
static bool start_step(struct runner *r, struct work *work)
{
    struct step *s;
    bool has_room = false, is_under_way = false;

    pthread_mutex_lock(&r->lock);
    LIST_FOREACH(s, &r->under_way, link)
        is_under_way = is_under_way || strcmp(s->work.subject, work->subject) == 0;
    has_room = r->count < r->entry->threads;
    if (!is_under_way && has_room) {
        s = xcalloc(1, sizeof *s);
        *s = (struct step){ .runner = r, .work = *work };
        *work = (struct work){ 0 };
        LIST_INSERT_HEAD(&r->under_way, s, link);
        r->count++;
        pool_run(r->pool, step_main, s);
    }
    pthread_mutex_unlock(&r->lock);
    return has_room;
}

static void full_pass(struct runner *r, int64_t interval_ms)
{
    struct err err = { 0 };

    if (clock_mono_ms(r->c->clock) < r->pass_at_ms)
        return;
    r->pass_at_ms = clock_mono_ms(r->c->clock) + interval_ms;
    if (r->entry->pass(r->c, &err) && err.class != ERR_STOPPED)
        log_warn("a full pass did not succeed", S("loop", r->entry->name), E(&err));
}

/* Starts what is due; returns how long nothing new will be. */
static int64_t start_due(struct runner *r, struct err *err)
{
    auto_work_list list = { 0 };

    if (work_stopping)
        return INT64_MAX;
    if (next_work(r->c, r->entry->name, 2 * THREADS_MAX, &list, err))
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i].due_ms > 0)
            return list.items[i].due_ms;
        if (!start_step(r, &list.items[i]))
            return INT64_MAX; /* the end of a step kicks */
    }
    return INT64_MAX;
}

/* The ticker's function: returns how long to sleep. */
static int64_t run(void *arg)
{
    struct runner *r = arg;
    int64_t interval_ms =
        *(const int64_t *)(const void *)((const char *)r->c->config + r->entry->interval_offset);
    struct err err = { 0 };

    full_pass(r, interval_ms);
    int64_t due_ms = start_due(r, &err);
    if (due_ms < 0) {
        log_error("reading the work queue", S("loop", r->entry->name), E(&err));
        return BACKOFF_MS;
    }
    int64_t pass_ms = r->pass_at_ms - clock_mono_ms(r->c->clock);
    return due_ms < pass_ms ? due_ms : pass_ms;
}

struct loops *loops_new(struct controller *c)
{
    struct loops *loops = xcalloc(1, sizeof *loops);

    for (size_t i = 0; i < loop_count; i++) {
        struct runner *r = &loops->runners[i];
        *r = (struct runner){ .c = c, .entry = &loop_table[i] };
        LIST_INIT(&r->under_way);
        pthread_mutex_init(&r->lock, NULL);
    }
    return loops;
}

void loops_start(struct loops *loops)
{
    for (size_t i = 0; i < loop_count; i++) {
        struct runner *r = &loops->runners[i];
        r->pool = pool_start(r->entry->threads, THREADS_MAX);
        pthread_mutex_lock(&r->lock);
        r->ticker = ticker_start(r->entry->name, run, r);
        pthread_mutex_unlock(&r->lock);
    }
}

void loops_kick(struct loops *loops, const char *name)
{
    for (size_t i = 0; i < loop_count; i++) {
        struct runner *r = &loops->runners[i];
        if (strcmp(r->entry->name, name) != 0)
            continue;
        pthread_mutex_lock(&r->lock);
        if (r->ticker)
            ticker_kick(r->ticker);
        pthread_mutex_unlock(&r->lock);
    }
}

void loops_stop(struct loops *loops)
{
    for (size_t i = 0; i < loop_count; i++) {
        struct runner *r = &loops->runners[i];
        pthread_mutex_lock(&r->lock);
        struct ticker *ticker = r->ticker;
        r->ticker = NULL;
        pthread_mutex_unlock(&r->lock);
        ticker_stop(ticker);
        pool_stop(r->pool);
        r->pool = NULL;
    }
}

void loops_free(struct loops *loops)
{
    for (size_t i = 0; loops && i < loop_count; i++)
        pthread_mutex_destroy(&loops->runners[i].lock);
    free(loops);
}
