#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controller/backend/docker/notes.h"

static void notes_are_kept_and_dropped(void **state)
{
    struct notes *notes = notes_new(10);
    struct note note = { .is_ready = true, .failures = 2, .probe = "well" };

    (void)state;
    assert_false(notes_get(notes, "a").is_ready);
    notes_set(notes, "a", &note);
    note.failures = 3;
    notes_set(notes, "a", &note);
    assert_int_equal(notes_get(notes, "a").failures, 3);
    assert_string_equal(notes_get(notes, "a").probe, "well");
    assert_int_equal(notes_count(notes), 1);
    notes_drop(notes, "a");
    notes_drop(notes, "a");
    assert_int_equal(notes_count(notes), 0);
    notes_free(notes);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
    struct notes *notes = notes_new(3);
    struct note note = { .is_ready = true };
    char id[2] = "a";

    (void)state;
    for (; id[0] <= 'e'; id[0]++)
        notes_set(notes, id, &note);
    assert_int_equal(notes_count(notes), 3);
    assert_false(notes_get(notes, "b").is_ready);
    assert_true(notes_get(notes, "c").is_ready);
    assert_true(notes_get(notes, "e").is_ready);
    notes_free(notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_are_kept_and_dropped),
        cmocka_unit_test(the_oldest_goes_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
