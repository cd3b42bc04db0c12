/* Ids: valid, different, and in order, also within a millisecond and when the clock jumps back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/work.h"

static int64_t fixed_now(void *self)
{
    return *(int64_t *)self;
}

static void test_ids_sort_by_time(void **state)
{
    int64_t now = INT64_C(4000000000000); /* beyond the other tests: the state is the process's */
    const struct clock clock = { .now_ms = fixed_now, .mono_ms = fixed_now, .self = &now };
    auto_free char *before = id_new(&clock);
    (void)state;

    for (int i = 0; i < 2000; i++) {
        if (i == 700)
            now += 5;
        if (i == 1400)
            now -= 100; /* the clock jumped back */
        char *id = id_new(&clock);
        assert_true(id_is_valid(id));
        assert_true(strcmp(before, id) < 0);
        free(before);
        before = id;
    }
}

static void test_the_time_is_in_the_id(void **state)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    int64_t now = INT64_C(5000000000000);
    const struct clock clock = { .now_ms = fixed_now, .mono_ms = fixed_now, .self = &now };
    auto_free char *id = id_new(&clock);
    int64_t decoded = 0;
    (void)state;

    for (int i = 0; i < 10; i++)
        decoded = decoded * 32 + (strchr(digits, id[i]) - digits);
    assert_int_equal(decoded, now);
}

static void test_validity(void **state)
{
    (void)state;
    assert_true(id_is_valid("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
    assert_false(id_is_valid("01ARZ3NDEKTSV4RRFFQ69G5FA"));
    assert_false(id_is_valid("01ARZ3NDEKTSV4RRFFQ69G5FAVX"));
    assert_false(id_is_valid("01arz3ndektsv4rrffq69g5fav"));
    assert_false(id_is_valid("81ARZ3NDEKTSV4RRFFQ69G5FAV")); /* more than 128 bits */
    assert_false(id_is_valid("01ARZ3NDEKTSV4RRFFQ69G5FIV"));
    assert_false(id_is_valid("../../../../etc/passwd/aaa"));
}

enum { PER_THREAD = 500 };

static void make_ids(void *item, void *arg)
{
    char **ids = item;
    (void)arg;

    for (int i = 0; i < PER_THREAD; i++)
        ids[i] = id_new(clock_system());
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_threads_never_get_the_same(void **state)
{
    char *ids[4 * PER_THREAD];
    void *parts[] = { ids, ids + PER_THREAD, ids + 2 * PER_THREAD, ids + 3 * PER_THREAD };
    (void)state;

    work_each(parts, 4, 4, make_ids, NULL);
    qsort(ids, countof(ids), sizeof *ids, compare);
    for (size_t i = 1; i < countof(ids); i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
    for (size_t i = 0; i < countof(ids); i++)
        free(ids[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_never_get_the_same),
        cmocka_unit_test(test_ids_sort_by_time),
        cmocka_unit_test(test_the_time_is_in_the_id),
        cmocka_unit_test(test_validity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
