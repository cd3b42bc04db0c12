/* The loop: posts run in order on its thread, signals stop it once, what is posted late still runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/work.h"

enum { POSTS = 1000 };

struct seen {
    struct loop *loop;
    pthread_t thread;
    int next, stops;
    bool in_order, on_loop;
};

struct numbered {
    struct seen *seen;
    int number;
};

static void on_stop(void *arg)
{
    struct seen *seen = arg;

    seen->stops++;
    loop_stop(seen->loop);
}

static void note(void *arg)
{
    struct numbered *n = arg;

    n->seen->in_order &= n->number == n->seen->next++;
    n->seen->on_loop &= (bool)pthread_equal(pthread_self(), n->seen->thread);
    free(n);
}

static void post_all(void *arg)
{
    struct seen *seen = arg;

    for (int i = 0; i < POSTS; i++) {
        struct numbered *n = xcalloc(1, sizeof *n);
        *n = (struct numbered){ seen, i };
        loop_post(seen->loop, note, n);
    }
    kill(getpid(), SIGTERM); /* as the operator would */
}

static void test_posts_run_in_order_until_the_signal(void **state)
{
    struct seen seen = { .thread = pthread_self(), .in_order = true, .on_loop = true };
    (void)state;

    seen.loop = loop_new(on_stop, &seen);
    struct thread *thread = thread_start(post_all, &seen);
    loop_run(seen.loop);
    thread_join(thread);
    loop_free(seen.loop);
    assert_int_equal(seen.next, POSTS);
    assert_int_equal(seen.stops, 1);
    assert_true(seen.in_order);
    assert_true(seen.on_loop);
}

static void stop_now(void *arg)
{
    loop_stop(((struct seen *)arg)->loop);
}

static void post_again(void *arg)
{
    struct seen *seen = arg;

    seen->next++;
    loop_post(seen->loop, stop_now, seen);
}

static void test_a_post_may_post(void **state)
{
    struct seen seen = { 0 };
    (void)state;

    seen.loop = loop_new(on_stop, &seen);
    loop_post(seen.loop, post_again, &seen);
    loop_run(seen.loop);
    loop_free(seen.loop);
    assert_int_equal(seen.next, 1);
    assert_int_equal(seen.stops, 0);
}

static void test_free_runs_what_is_left(void **state)
{
    struct seen seen = { .thread = pthread_self(), .in_order = true, .on_loop = true };
    struct numbered *n = xcalloc(1, sizeof *n);
    (void)state;

    seen.loop = loop_new(on_stop, &seen);
    *n = (struct numbered){ &seen, 0 };
    loop_post(seen.loop, note, n);
    loop_free(seen.loop);
    assert_int_equal(seen.next, 1);
    loop_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts_run_in_order_until_the_signal),
        cmocka_unit_test(test_a_post_may_post),
        cmocka_unit_test(test_free_runs_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
