/* Calls without streams: results, errors, answers that come later, the end of patience on both
 * sides. */
#include "rig.h"

#include <string.h>

static void test_echo(void **state)
{
    json_auto_t *params = json_pack("{s:s, s:[i,i]}", "text", "\xc3\xa4", "list", 1, 2);
    json_auto_t *result = NULL;
    struct err err = { 0 };
    (void)state;

    assert_ok(CALL("test.echo", params, &result, &err), &err);
    assert_true(json_equal(result, params));
    assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
}

static void test_errors_have_all_members(void **state)
{
    json_t *result = NULL;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(CALL("test.errors", NULL, &result, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_string_equal(err.text, "no app shop");
    assert_string_equal(err.field, "app");
    assert_string_equal(err.hint, "create it first");
    assert_null(result);
}

static void test_internal_errors_stay_inside(void **state)
{
    struct err err = { 0 };
    (void)state;

    assert_int_equal(CALL("test.internal", NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_INTERNAL);
    assert_null(strstr(err.text, "disk"));
}

static void test_who_may_and_what_there_is(void **state)
{
    struct err err = { 0 };
    (void)state;

    assert_int_equal(CALL("test.gateway", NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_DENIED);
    assert_int_equal(CALL("test.unknown", NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_UNIMPLEMENTED);
    assert_int_equal(CALL("no\"method", NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_UNIMPLEMENTED);
    assert_ok(CALL("test.echo", NULL, NULL, &err), &err); /* the link is still there */
}

static void end_held(void *arg)
{
    struct rpc_call *call = take(&rig.held);
    struct err err = { 0 };

    err_set(&err, ERR_CONFLICT, "too late");
    work_sleep(20);
    rpc_call_end(call, json_pack("{s:i}", "n", 42));
    rpc_call_end(call, NULL);
    rpc_call_fail(call, &err);
    rpc_call_unref(call);
    (void)arg;
}

static void end_when_begun(void *arg)
{
    counter_wait(&rig.begun, *(int *)arg);
    end_held(NULL);
}

static void test_an_answer_may_come_later(void **state)
{
    int at = counter_get(&rig.begun) + 1, gone = counter_get(&rig.gone);
    struct err err = { 0 };
    json_auto_t *result = NULL;
    (void)state;

    struct thread *thread = thread_start(end_when_begun, &at);
    assert_ok(CALL("test.hold", NULL, &result, &err), &err);
    assert_int_equal(json_integer_value(json_object_get(result, "n")), 42);
    thread_join(thread);
    assert_int_equal(counter_get(&rig.gone), gone); /* ended is not gone */
}

static void test_a_dropped_call_is_answered(void **state)
{
    struct err err = { 0 };
    (void)state;

    assert_int_equal(CALL("test.drop", NULL, NULL, &err), -1);
    assert_int_equal(err.class, ERR_INTERNAL);
}

static void test_the_deadline_ends_both_sides(void **state)
{
    int gone = counter_get(&rig.gone);
    struct err err = { 0 };
    (void)state;

    assert_int_equal(rpc_client_call(dialler.client, "test.hold", NULL, 80, NULL, &err), -1);
    assert_int_equal(err.class, ERR_TIMEOUT);
    counter_wait(&rig.gone, gone + 1);
    rpc_call_unref(take(&rig.held)); /* `gone` came after the handler set it */
    gone = counter_get(&rig.gone);
    assert_int_equal(rpc_client_call(dialler.client, "test.wait_gone", NULL, 80, NULL, &err), -1);
    assert_int_equal(err.class, ERR_TIMEOUT);
    counter_wait(&rig.gone, gone + 1);
}

static void test_closing_an_exchange_cancels(void **state)
{
    int gone = counter_get(&rig.gone), begun = counter_get(&rig.begun);
    struct rpc_exchange *x = NULL;
    struct err err = { 0 };
    (void)state;

    assert_ok(rpc_client_open(dialler.client, "test.wait_gone", NULL, LIMIT_MS, &x, &err), &err);
    counter_wait(&rig.begun, begun + 1);
    rpc_exchange_close(x);
    counter_wait(&rig.gone, gone + 1);
    rpc_exchange_close(NULL);
}

static void test_frames_bound_what_is_sent(void **state)
{
    auto_free char *text = xcalloc((2 << 20) + 1, 1);
    json_auto_t *result = NULL;
    struct err err = { 0 };
    (void)state;

    memset(text, 'x', 2 << 20);
    json_auto_t *params = json_pack("{s:s}", "text", text);
    assert_int_equal(CALL("test.echo", params, NULL, &err), -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    json_auto_t *ask = json_pack("{s:i}", "bytes", 2 << 20);
    assert_int_equal(CALL("test.large", ask, NULL, &err), -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    json_auto_t *fits = json_pack("{s:i}", "bytes", 1000000);
    assert_ok(CALL("test.large", fits, &result, &err), &err);
    assert_int_equal(json_string_length(json_object_get(result, "text")), 1000000);
}

enum { THREADS = 6, CALLS = 200 };

static void call_often(void *item, void *arg)
{
    struct counter *good = arg;

    for (int i = 0; i < CALLS; i++) {
        json_auto_t *params = json_pack("{s:i, s:i}", "thread", *(int *)item, "call", i);
        json_auto_t *result = NULL;
        struct err err = { 0 };
        if (CALL("test.echo", params, &result, &err) == 0 && json_equal(params, result))
            counter_add(good, 1);
    }
}

static void test_many_threads(void **state)
{
    int numbers[THREADS];
    void *threads[THREADS];
    struct counter good;
    (void)state;

    counter_init(&good);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        threads[i] = &numbers[i];
    }
    work_each(threads, THREADS, THREADS, call_often, &good);
    assert_int_equal(counter_get(&good), THREADS * CALLS);
}

static void test_stopping_wakes_callers(void **state)
{
    struct err err = { 0 };
    (void)state;

    work_stop();
    assert_int_equal(CALL("test.hold", NULL, NULL, &err), -1);
    work_stopping = false;
    assert_int_equal(err.class, ERR_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_errors_have_all_members),
        cmocka_unit_test(test_internal_errors_stay_inside),
        cmocka_unit_test(test_who_may_and_what_there_is),
        cmocka_unit_test(test_an_answer_may_come_later),
        cmocka_unit_test(test_a_dropped_call_is_answered),
        cmocka_unit_test(test_the_deadline_ends_both_sides),
        cmocka_unit_test(test_closing_an_exchange_cancels),
        cmocka_unit_test(test_frames_bound_what_is_sent),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_stopping_wakes_callers),
    };
    return cmocka_run_group_tests(tests, start_both, stop_both);
}
