/* Data inside calls, both ways: whole and in order whatever the speeds, and never more under way
 * than the window. */
#include "rig.h"

#include <string.h>

#include "base/digest.h"

enum { MANY_BYTES = 5 << 20, MANY_VALUES = 20000 };

static struct rpc_exchange *open_call(const char *method, json_t *params, int64_t timeout_ms)
{
    struct rpc_exchange *x = NULL;
    struct err err = { 0 };
    json_auto_t *owned = params;

    assert_ok(rpc_client_open(dialler.client, method, owned, timeout_ms, &x, &err), &err);
    return x;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void send_up(json_t *params, size_t piece)
{
    auto_rpc_exchange *x = open_call("test.up", params, LIMIT_MS);
    auto_free unsigned char *data = xcalloc(MANY_BYTES, 1);
    json_auto_t *result = NULL;
    struct err err = { 0 };

    for (size_t i = 0; i < MANY_BYTES; i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
    auto_free char *sha = sha256_hex(data, MANY_BYTES);
    for (size_t done = 0; done < MANY_BYTES; done += piece)
        assert_ok(rpc_exchange_write(x, data + done,
                                     piece < MANY_BYTES - done ? piece : MANY_BYTES - done, &err),
                  &err);
    assert_ok(rpc_exchange_finish(x, &err), &err);
    assert_ok(rpc_exchange_finish(x, &err), &err);
    assert_ok(rpc_exchange_result(x, &result, &err), &err);
    assert_int_equal(number_of(result, "bytes"), MANY_BYTES);
    assert_string_equal(text_of(result, "sha256"), sha);
}

static void test_up(void **state)
{
    (void)state;
    send_up(NULL, MANY_BYTES);
    send_up(NULL, 1000);
}

static void test_up_to_a_slow_reader(void **state)
{
    (void)state;
    send_up(json_pack("{s:b}", "slowly", 1), 100000);
}

static void read_down(size_t piece, int sleep_ms)
{
    auto_rpc_exchange *x = open_call(
        "test.down", json_pack("{s:i, s:i}", "bytes", MANY_BYTES, "piece", (int)piece), LIMIT_MS);
    auto_sha256 *sha = sha256_new();
    json_auto_t *result = NULL;
    struct rpc_item item;
    struct err err = { 0 };
    size_t bytes = 0;
    int rc;

    while ((rc = rpc_exchange_read(x, LIMIT_MS, &item, &err)) == 1) {
        assert_null(item.json);
        assert_true(item.len <= RPC_WINDOW);
        sha256_add(sha, item.bytes, item.len);
        bytes += item.len;
        rpc_item_done(&item);
        if (sleep_ms)
            work_sleep(sleep_ms);
    }
    assert_ok(rc, &err);
    assert_int_equal(bytes, MANY_BYTES);
    assert_ok(rpc_exchange_result(x, &result, &err), &err);
    auto_free char *hex = sha256_end(sha);
    assert_string_equal(text_of(result, "sha256"), hex);
}

static void test_down(void **state)
{
    (void)state;
    read_down(MANY_BYTES, 0);
    read_down(777, 0);
    read_down(300000, 1);
}

static void test_a_reader_that_does_not_read_stops_its_writer(void **state)
{
    enum { PIECE = 16 * 1024 };
    int begun = counter_get(&rig.begun);
    auto_rpc_exchange *x = open_call("test.hold", NULL, 400);
    char data[PIECE] = { 0 };
    struct err err = { 0 };
    size_t taken = 0;
    (void)state;

    while (taken <= 2 * RPC_WINDOW && rpc_exchange_write(x, data, PIECE, &err) == 0) {
        taken += PIECE;
        if (taken == RPC_WINDOW) /* a stuck call holds up no other */
            assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
    }
    assert_int_equal(taken, RPC_WINDOW);
    assert_int_equal(err.class, ERR_TIMEOUT);
    counter_wait(&rig.begun, begun + 1);
    rpc_call_unref(take(&rig.held));
}

static void test_a_writer_wakes_when_its_reader_goes(void **state)
{
    int gone = counter_get(&rig.gone);
    struct rpc_exchange *x = open_call(
        "test.down", json_pack("{s:i, s:i}", "bytes", MANY_BYTES, "piece", 65536), LIMIT_MS);
    struct rpc_item item;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(rpc_exchange_read(x, LIMIT_MS, &item, &err), 1);
    rpc_item_done(&item);
    rpc_exchange_close(x);
    counter_wait(&rig.gone, gone + 1);
}

static void test_reading_may_time_out_and_go_on(void **state)
{
    int begun = counter_get(&rig.begun);
    auto_rpc_exchange *x = open_call("test.hold", NULL, LIMIT_MS);
    struct rpc_item item;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(rpc_exchange_read(x, 30, &item, &err), -1);
    assert_int_equal(err.class, ERR_TIMEOUT);
    counter_wait(&rig.begun, begun + 1);
    assert_true(rpc_call_try_send(rig.held, json_pack("{s:i}", "n", 1)));
    assert_int_equal(rpc_exchange_read(x, LIMIT_MS, &item, &err), 1);
    assert_int_equal(number_of(item.json, "n"), 1);
    rpc_item_done(&item);
    rpc_call_end(rig.held, NULL);
    rpc_call_unref(take(&rig.held));
    assert_int_equal(rpc_exchange_read(x, LIMIT_MS, &item, &err), 0);
    assert_ok(rpc_exchange_result(x, NULL, &err), &err);
}

static void read_values(const char *method, int n)
{
    auto_rpc_exchange *x = open_call(method, json_pack("{s:i}", "n", n), LIMIT_MS);
    struct rpc_item item;
    struct err err = { 0 };
    int rc, seen = 0;

    while ((rc = rpc_exchange_read(x, LIMIT_MS, &item, &err)) == 1) {
        assert_int_equal(number_of(item.json, "seq"), seen);
        seen++;
        rpc_item_done(&item);
    }
    assert_ok(rc, &err);
    assert_ok(rpc_exchange_result(x, NULL, &err), &err);
    assert_int_equal(seen, n);
}

static void test_values_from_a_thread(void **state)
{
    (void)state;
    read_values("test.count", MANY_VALUES);
    read_values("test.count", 0);
}

static void test_values_from_the_loop(void **state)
{
    (void)state;
    read_values("test.pump", MANY_VALUES);
}

static void test_items_on_the_loop(void **state)
{
    auto_rpc_exchange *x = open_call("test.items", NULL, LIMIT_MS);
    auto_free char *data = xcalloc(50000, 1);
    json_auto_t *result = NULL, *value = json_pack("{s:s}", "line", "hello");
    struct err err = { 0 };
    (void)state;

    for (int i = 0; i < 50; i++) {
        assert_ok(rpc_exchange_write(x, data, 50000, &err), &err);
        assert_ok(rpc_exchange_send(x, value, &err), &err);
    }
    assert_ok(rpc_exchange_finish(x, &err), &err);
    assert_int_equal(rpc_exchange_write(x, data, 1, &err), -1);
    assert_ok(rpc_exchange_result(x, &result, &err), &err);
    assert_int_equal(number_of(result, "bytes"), 50 * 50000);
    assert_int_equal(number_of(result, "values"), 50);
}

static void test_values_larger_than_the_window(void **state)
{
    auto_rpc_exchange *x = open_call("test.up", NULL, LIMIT_MS);
    auto_free char *text = xcalloc(900001, 1);
    json_auto_t *result = NULL;
    struct err err = { 0 };
    (void)state;

    memset(text, 'x', 900000);
    json_auto_t *value = json_string(text);
    for (int i = 0; i < 4; i++) {
        assert_ok(rpc_exchange_send(x, value, &err), &err);
        assert_ok(rpc_exchange_write(x, text, 3000, &err), &err);
    }
    assert_ok(rpc_exchange_result(x, &result, &err), &err);
    assert_int_equal(number_of(result, "values"), 4);
    assert_int_equal(number_of(result, "bytes"), 12000);
}

static void up_and_down(void *item, void *arg)
{
    (void)arg;
    if (*(int *)item % 2)
        read_down(50000, 0);
    else
        send_up(NULL, 50000);
}

static void test_streams_side_by_side(void **state)
{
    int numbers[4] = { 0, 1, 2, 3 };
    void *items[4] = { &numbers[0], &numbers[1], &numbers[2], &numbers[3] };
    (void)state;

    work_each(items, 4, 4, up_and_down, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_up_to_a_slow_reader),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_a_reader_that_does_not_read_stops_its_writer),
        cmocka_unit_test(test_a_writer_wakes_when_its_reader_goes),
        cmocka_unit_test(test_reading_may_time_out_and_go_on),
        cmocka_unit_test(test_values_from_a_thread),
        cmocka_unit_test(test_values_from_the_loop),
        cmocka_unit_test(test_items_on_the_loop),
        cmocka_unit_test(test_values_larger_than_the_window),
        cmocka_unit_test(test_streams_side_by_side),
    };
    return cmocka_run_group_tests(tests, start_both, stop_both);
}
