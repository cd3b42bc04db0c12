/* The client: waiting for the link, losing it, coming back; calls from the loop thread. Each test
 * has a server and a client of its own. */
#include "rig.h"

#include <string.h>

static int new_both(void **state)
{
    rig.config.idle_ms = 3000;
    return start_both(state);
}

static void start_rig_later(void *arg)
{
    (void)arg;
    work_sleep(150);
    rig_start(&rig);
}

static void test_a_call_waits_for_the_link(void **state)
{
    struct err err = { 0 };
    (void)state;

    rig_start(&rig);
    rig_kill(&rig); /* the path is known, nobody is there */
    dialler_start(&dialler, rig.address);
    assert_false(rpc_client_is_up(dialler.client));
    assert_int_equal(rpc_client_call(dialler.client, "test.echo", NULL, 50, NULL, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    struct thread *thread = thread_start(start_rig_later, NULL);
    assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
    assert_true(rpc_client_is_up(dialler.client));
    thread_join(thread);
    stop_both(state);
}

static void kill_when_begun(void *arg)
{
    counter_wait(&rig.begun, *(int *)arg);
    rig_kill(&rig);
}

static void test_a_lost_link_fails_calls_and_comes_back(void **state)
{
    auto_rpc_exchange *x = NULL;
    struct rpc_item item;
    struct err err = { 0 };
    int at = 2;
    (void)state;

    assert_ok(rpc_client_open(dialler.client, "test.up", NULL, LIMIT_MS, &x, &err), &err);
    struct thread *thread = thread_start(kill_when_begun, &at);
    assert_int_equal(CALL("test.hold", NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    assert_int_equal(rpc_exchange_read(x, LIMIT_MS, &item, &err), 0);
    assert_int_equal(rpc_exchange_write(x, "x", 1, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    assert_int_equal(rpc_exchange_result(x, NULL, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    counter_wait(&dialler.downs, 1);
    thread_join(thread);
    assert_int_equal(counter_get(&rig.closed), 1);
    rig_start(&rig);
    assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
    counter_wait(&dialler.ups, 2);
    assert_int_equal(counter_get(&dialler.downs), 1);
}

static void stop_client_soon(void *arg)
{
    counter_wait(&rig.begun, 1);
    dialler_stop(arg);
}

static void test_stopping_fails_blocked_calls(void **state)
{
    struct rpc_client *client = dialler.client;
    struct err err = { 0 };
    (void)state;

    struct thread *thread = thread_start(stop_client_soon, &dialler);
    assert_int_equal(rpc_client_call(client, "test.hold", NULL, LIMIT_MS, NULL, &err), -1);
    assert_int_equal(err.class, ERR_STOPPED);
    thread_join(thread);
    counter_wait(&rig.gone, 1);
    rig_stop(&rig);
}

static void test_pings_keep_an_idle_link(void **state)
{
    struct err err = { 0 };
    (void)state;

    rig_stop(&rig);
    dialler_stop(&dialler);
    rig.config.idle_ms = 300;
    start_both(state);
    assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
    work_sleep(1200); /* four times idle_ms */
    assert_int_equal(counter_get(&dialler.downs), 0);
    assert_int_equal(counter_get(&rig.closed), 0);
}

/* ---- from the loop ---- */

struct job {
    const char *method;
    const json_t *params;
    int64_t timeout_ms;
    int cancel_at; /* data value at which to cancel; -1: right away; 0: never */
    struct rpc_async *async;
    int seen;
    bool in_order;
    struct err err;
    json_t *result;
    struct counter done, cancelled;
};

static void on_data(void *arg, const json_t *value)
{
    struct job *job = arg;

    job->in_order &= json_integer_value(json_object_get(value, "seq")) == job->seen++;
    if (job->cancel_at && job->seen == job->cancel_at) {
        rpc_async_cancel(job->async);
        counter_add(&job->cancelled, 1);
    }
}

static void on_done(void *arg, const json_t *result, const struct err *err)
{
    struct job *job = arg;

    if (err)
        job->err = *err;
    job->result = json_deep_copy(result);
    counter_add(&job->done, 1);
}

static void start_job(void *arg)
{
    struct job *job = arg;
    const struct rpc_async_events events = { on_data, on_done, job };

    counter_init(&job->done);
    counter_init(&job->cancelled);
    job->in_order = true;
    job->async =
        rpc_client_start_call(dialler.client, job->method, job->params, job->timeout_ms, &events);
    if (job->cancel_at < 0) {
        rpc_async_cancel(job->async);
        counter_add(&job->cancelled, 1);
    }
}

static void test_async_result_and_data(void **state)
{
    json_auto_t *params = json_pack("{s:i}", "n", 5000);
    struct job job = { .method = "test.count", .params = params, .timeout_ms = LIMIT_MS };
    (void)state;

    side_do(&dialler.side, start_job, &job);
    counter_wait(&job.done, 1);
    assert_int_equal(job.err.class, ERR_NONE);
    assert_int_equal(job.seen, 5000);
    assert_true(job.in_order);
    assert_int_equal(json_integer_value(json_object_get(job.result, "sent")), 5000);
    json_decref(job.result);
}

static void test_async_bytes_are_passed_over(void **state)
{
    json_auto_t *params = json_pack("{s:i, s:i}", "bytes", 3 << 20, "piece", 10000);
    struct job job = { .method = "test.down", .params = params, .timeout_ms = 0 };
    (void)state;

    side_do(&dialler.side, start_job, &job);
    counter_wait(&job.done, 1);
    assert_non_null(job.result);
    json_decref(job.result);
}

static void test_async_errors(void **state)
{
    json_auto_t *large = json_pack("{s:o}", "x", json_array());
    struct job jobs[] = { { .method = "test.errors", .timeout_ms = LIMIT_MS },
                          { .method = "test.hold", .timeout_ms = 60 },
                          { .method = "not a method" },
                          { .method = "test.echo", .params = large } };
    static const enum err_class classes[] = { ERR_NOT_FOUND, ERR_TIMEOUT, ERR_UNIMPLEMENTED,
                                              ERR_EXHAUSTED };
    (void)state;

    for (int i = 0; i < 400000; i++)
        json_array_append_new(json_object_get(large, "x"), json_integer(100));
    for (size_t i = 0; i < countof(jobs); i++) {
        side_do(&dialler.side, start_job, &jobs[i]);
        counter_wait(&jobs[i].done, 1);
        assert_int_equal(jobs[i].err.class, classes[i]);
        assert_null(jobs[i].result);
    }
    assert_string_equal(jobs[0].err.hint, "create it first");
    counter_wait(&rig.gone, 1);
}

static void test_async_cancel(void **state)
{
    json_auto_t *params = json_pack("{s:i}", "n", 100000);
    struct job in_data = { .method = "test.count", .params = params, .cancel_at = 10 };
    struct job at_once = { .method = "test.hold", .cancel_at = -1 };
    struct err err = { 0 };
    (void)state;

    side_do(&dialler.side, start_job, &in_data);
    side_do(&dialler.side, start_job, &at_once);
    counter_wait(&in_data.cancelled, 1);
    counter_wait(&at_once.cancelled, 1);
    for (int i = 0; i < 20; i++)
        assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
    assert_int_equal(in_data.seen, 10);
    assert_int_equal(counter_get(&in_data.done), 0);
    assert_int_equal(counter_get(&at_once.done), 0);
}

static void test_async_waits_for_the_link_and_ends_with_it(void **state)
{
    struct job late = { .method = "test.echo", .timeout_ms = LIMIT_MS };
    struct job never = { .method = "test.echo", .timeout_ms = 50 };
    struct job lost = { .method = "test.hold" };
    struct job stopped = { .method = "test.hold" };
    (void)state;

    side_do(&dialler.side, start_job, &lost);
    counter_wait(&rig.begun, 1);
    rig_kill(&rig);
    counter_wait(&lost.done, 1);
    assert_int_equal(lost.err.class, ERR_UNAVAILABLE);
    side_do(&dialler.side, start_job, &never);
    side_do(&dialler.side, start_job, &late);
    counter_wait(&never.done, 1);
    assert_int_equal(never.err.class, ERR_UNAVAILABLE);
    rig_start(&rig);
    counter_wait(&late.done, 1);
    assert_int_equal(late.err.class, ERR_NONE);
    json_decref(late.result);
    side_do(&dialler.side, start_job, &stopped);
    counter_wait(&rig.begun, 2);
    dialler_stop(&dialler);
    assert_int_equal(counter_get(&stopped.done), 1);
    assert_int_equal(stopped.err.class, ERR_STOPPED);
    rig_stop(&rig);
}

static void test_wrong_addresses(void **state)
{
    static const char *const wrong[] = { "",          "sock",      "unix:",     "unix:relative",
                                         "tls://",    "tls://h",   "tls://h:0", "tls://h:99999",
                                         "tls://:80", "tls://[:1", "http://h:1" };
    struct side side;
    (void)state;

    side.loop = loop_new(NULL, NULL);
    for (size_t i = 0; i < countof(wrong); i++) {
        struct rpc_client *client = NULL;
        struct err err = { 0 };
        const struct rpc_client_config config = {
            .address = wrong[i], .name = "x", .kind = RPC_CLI, .ca_file = "/nonexistent"
        };
        assert_int_equal(rpc_client_start(side.loop, &config, &client, &err), -1);
        assert_int_equal(err.class, ERR_INVALID);
    }
    loop_free(side.loop);
}

#define BOTH(test) cmocka_unit_test_setup_teardown(test, new_both, stop_both)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_waits_for_the_link),
        BOTH(test_a_lost_link_fails_calls_and_comes_back),
        cmocka_unit_test_setup(test_stopping_fails_blocked_calls, new_both),
        BOTH(test_pings_keep_an_idle_link),
        BOTH(test_async_result_and_data),
        BOTH(test_async_bytes_are_passed_over),
        BOTH(test_async_errors),
        BOTH(test_async_cancel),
        cmocka_unit_test_setup(test_async_waits_for_the_link_and_ends_with_it, new_both),
        cmocka_unit_test(test_wrong_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
