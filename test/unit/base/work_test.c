/* Threads: kicks coalesce, work_each bounds, pools bound and drain, sleeping ends at work_stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/work.h"

/* What the tests wait on: a number under a lock, never a sleep for luck. */
struct gate {
    pthread_mutex_t lock; /* guards: */
    pthread_cond_t moved;
    int arrived, open, running, most;
};

#define GATE                                                                 \
    {                                                                        \
        .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER \
    }

static void gate_wait(struct gate *g, const int *what, int value)
{
    pthread_mutex_lock(&g->lock);
    while (*what < value)
        pthread_cond_wait(&g->moved, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_add(struct gate *g, int *what, int value)
{
    pthread_mutex_lock(&g->lock);
    *what += value;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

static int64_t count_and_pass(void *arg)
{
    struct gate *g = arg;

    gate_add(g, &g->arrived, 1);
    gate_wait(g, &g->open, 1);
    return INT64_MAX;
}

static void test_kicks_during_a_run_become_one(void **state)
{
    struct gate g = GATE;
    (void)state;

    struct ticker *t = ticker_start("test", count_and_pass, &g);
    gate_wait(&g, &g.arrived, 1);
    for (int i = 0; i < 10; i++)
        ticker_kick(t);
    gate_add(&g, &g.open, 1);
    gate_wait(&g, &g.arrived, 2);
    ticker_stop(t);
    assert_int_equal(g.arrived, 2);
    ticker_stop(NULL);
}

static int64_t run_again_soon(void *arg)
{
    struct gate *g = arg;

    gate_add(g, &g->arrived, 1);
    return 1;
}

static void test_a_ticker_runs_by_itself(void **state)
{
    struct gate g = GATE;
    (void)state;

    struct ticker *t = ticker_start("test", run_again_soon, &g);
    gate_wait(&g, &g.arrived, 5);
    ticker_stop(t);
}

static void mark(void *item, void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    g->arrived++;
    g->running++;
    if (g->running > g->most)
        g->most = g->running;
    ++*(int *)item;
    /* the first three wait for each other: fewer threads than three would hang here */
    pthread_cond_broadcast(&g->moved);
    while (g->arrived < 3)
        pthread_cond_wait(&g->moved, &g->lock);
    g->running--;
    pthread_mutex_unlock(&g->lock);
}

static void test_each_item_once_on_three_threads(void **state)
{
    struct gate g = GATE;
    int seen[50] = { 0 };
    void *items[50];
    (void)state;

    for (size_t i = 0; i < countof(items); i++)
        items[i] = &seen[i];
    work_each(items, countof(items), 3, mark, &g);
    for (size_t i = 0; i < countof(items); i++)
        assert_int_equal(seen[i], 1);
    assert_true(g.most <= 3);
    work_each(NULL, 0, 3, mark, &g);
    assert_int_equal(g.arrived, 50);
}

static void hold(void *arg)
{
    struct gate *g = arg;

    gate_add(g, &g->arrived, 1);
    gate_wait(g, &g->open, 1);
}

static void test_a_pool_refuses_beyond_its_queue(void **state)
{
    struct gate g = GATE;
    (void)state;

    struct pool *pool = pool_start(2, 3);
    assert_true(pool_run(pool, hold, &g));
    assert_true(pool_run(pool, hold, &g));
    gate_wait(&g, &g.arrived, 2); /* both threads are busy, the queue is empty */
    for (int i = 0; i < 3; i++)
        assert_true(pool_run(pool, hold, &g));
    assert_false(pool_run(pool, hold, &g));
    gate_add(&g, &g.open, 1);
    pool_stop(pool); /* runs what is queued */
    assert_int_equal(g.arrived, 5);
    pool_stop(NULL);
}

static void sleep_long(void *arg)
{
    struct gate *g = arg;

    gate_add(g, &g->arrived, 1);
    if (!work_sleep(60000))
        gate_add(g, &g->open, 1);
}

static void test_stop_wakes_sleepers(void **state)
{
    struct gate g = GATE;
    int64_t before = clock_mono_ms(clock_system());
    int item = 0;
    void *items[] = { &item };
    (void)state;

    assert_true(work_sleep(-5)); /* what is over is over */
    assert_true(work_sleep(20));
    assert_true(clock_mono_ms(clock_system()) - before >= 19);
    struct thread *thread = thread_start(sleep_long, &g);
    gate_wait(&g, &g.arrived, 1);
    work_stop();
    thread_join(thread);
    assert_int_equal(g.open, 1);
    assert_true(clock_mono_ms(clock_system()) - before < 50000);
    work_each(items, 1, 1, mark, &g);
    assert_int_equal(item, 0); /* nothing begins any more */
    work_stopping = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kicks_during_a_run_become_one),
        cmocka_unit_test(test_a_ticker_runs_by_itself),
        cmocka_unit_test(test_each_item_once_on_three_threads),
        cmocka_unit_test(test_a_pool_refuses_beyond_its_queue),
        cmocka_unit_test(test_stop_wakes_sleepers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
