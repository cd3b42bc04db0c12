/* The work queue: what is due, what is not lost. */
#include "store_fixture.h"

static struct work_list next(struct fixture *f, const char *loop)
{
    struct work_list list = { 0 };
    auto_tx *tx = begin(f, TX_READ);
    ok(f, store_next_work(tx, loop, 10, &list, &f->err));
    return list;
}

static void add(struct fixture *f, const char *subject, int64_t delay_ms)
{
    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_add_work(tx, "loop", subject, delay_ms, &f->err));
    ok(f, tx_commit(&tx, &f->err));
}

static void finish(struct fixture *f, const struct work *work, int64_t again_ms)
{
    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_finish_work(tx, "loop", work, again_ms, &f->err));
    ok(f, tx_commit(&tx, &f->err));
}

static void fail_work(struct fixture *f, const struct work *work, int64_t delay_ms)
{
    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_fail_work(tx, "loop", work, delay_ms, "why", &f->err));
    ok(f, tx_commit(&tx, &f->err));
}

static void test_causes_coalesce(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 100; i++)
        add(f, "a", i % 2 ? 5000 : 1000);
    auto_work_list list = next(f, "loop");
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].due_ms, 1000); /* the earliest */
    assert_int_equal(list.items[0].revision, 100);
    finish(f, &list.items[0], -1);
    auto_work_list after = next(f, "loop");
    assert_int_equal(after.count, 0);
}

static void test_order_is_by_time(void **state)
{
    struct fixture *f = *state;

    add(f, "late", 3000);
    add(f, "soon", 1000);
    add(f, "now", 0);
    auto_work_list list = next(f, "loop");
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].subject, "now");
    assert_string_equal(list.items[1].subject, "soon");
    f->now_ms += 2000;
    auto_work_list later = next(f, "loop");
    assert_int_equal(later.items[1].due_ms, -1000);
    assert_int_equal(later.items[2].due_ms, 1000);
    auto_work_list other = next(f, "another");
    assert_int_equal(other.count, 0);
}

static void test_cause_during_a_step_is_not_lost(void **state)
{
    struct fixture *f = *state;

    add(f, "a", 0);
    auto_work_list taken = next(f, "loop");
    add(f, "a", 0); /* while the step runs */
    finish(f, &taken.items[0], -1);
    auto_work_list again = next(f, "loop");
    assert_int_equal(again.count, 1);
    assert_true(again.items[0].due_ms <= 0);
    add(f, "a", 0);
    finish(f, &again.items[0], 60000); /* coming back later is not later than the cause */
    auto_work_list third = next(f, "loop");
    assert_true(third.items[0].due_ms <= 0);
    finish(f, &third.items[0], 60000);
    auto_work_list waits = next(f, "loop");
    assert_int_equal(waits.items[0].due_ms, 60000);
}

static void test_failures_are_counted(void **state)
{
    struct fixture *f = *state;

    add(f, "a", 0);
    for (int64_t i = 0; i < 3; i++) {
        auto_work_list list = next(f, "loop");
        assert_int_equal(list.items[0].attempts, i);
        fail_work(f, &list.items[0], 1000 << i);
        auto_work_list after = next(f, "loop");
        assert_int_equal(after.items[0].due_ms, 1000 << i);
        assert_string_equal(after.items[0].reason, "why");
    }
    auto_work_list list = next(f, "loop");
    add(f, "a", 0); /* a cause ends the waiting */
    auto_work_list due = next(f, "loop");
    assert_true(due.items[0].due_ms <= 0);
    fail_work(f, &list.items[0], 8000); /* of the step before the cause: does not put it off */
    auto_work_list still = next(f, "loop");
    assert_true(still.items[0].due_ms <= 0);
    assert_int_equal(still.items[0].attempts, 4);
    finish(f, &still.items[0], 500);
    auto_work_list good = next(f, "loop");
    assert_int_equal(good.items[0].attempts, 0);
    assert_null(good.items[0].reason);
}

static void test_missing_polls_are_added_once(void **state)
{
    struct fixture *f = *state;
    auto_repository remote = { 0 }, hosted = { 0 };
    const struct repository_row far = { .project_id = f->project,
                                        .name = (char[]){ "far" },
                                        .url = (char[]){ "https://example/far" } };
    const struct repository_row here = { .project_id = f->project, .name = (char[]){ "here" } };

    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_add_repository(tx, &far, &remote, &f->err));
    ok(f, store_add_repository(tx, &here, &hosted, &f->err));
    ok(f, store_add_missing_polls(tx, &f->err));
    ok(f, store_add_missing_polls(tx, &f->err));
    ok(f, tx_commit(&tx, &f->err));
    auto_work_list list = next(f, "fetcher");
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].subject, remote.id);
    assert_int_equal(list.items[0].revision, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(test_causes_coalesce),
        with_store(test_order_is_by_time),
        with_store(test_cause_during_a_step_is_not_lost),
        with_store(test_failures_are_counted),
        with_store(test_missing_polls_are_added_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
