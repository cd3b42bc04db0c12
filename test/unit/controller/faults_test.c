/* Every call to the outside goes wrong once, in turn: before it took effect, after it, and as if
 * the program had ended there. The course comes to the same end each time, and what was served
 * stays served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/apps.h"
#include "world.h"

enum { MINUTE = 60000, HEAL_MS = 20 * MINUTE };

#define WEB(more) \
    "app: hello\nbuild: {method: dockerfile}\nprocesses:\n  web: {port: 8080" more "}\n"

static const struct fault {
    const char *name;
    bool is_after;
    enum err_class class;
} faults[] = {
    { "fails", false, ERR_UNAVAILABLE },    { "answer is lost", true, ERR_UNAVAILABLE },
    { "ends before", false, ERR_STOPPED },  { "ends after", true, ERR_STOPPED },
    { "is a defect", false, ERR_INTERNAL },
};

/* ---- courses: from a world in which hello v1 is live ---- */

static void push_another(struct world *w, const char *id)
{
    (void)id;
    world_push(w, 'b', 'b', WEB(", replicas: 2"));
    world_run(w, HEAL_MS);
}

static void push_and_go_back(struct world *w, const char *id)
{
    (void)id;
    world_push(w, 'b', 'b', WEB(""));
    world_run(w, HEAL_MS);
    world_push(w, 'a', 'a', WEB(""));
    world_run(w, HEAL_MS);
}

static void push_what_is_rejected(struct world *w, const char *id)
{
    (void)id;
    w->start_ms = INT32_MAX;
    world_push(w, 'b', 'b', WEB("") "deploy: {timeout: 10s}\n");
    world_run(w, HEAL_MS);
}

static void destroy(struct world *w, const char *id)
{
    auto_tx *tx = NULL;
    struct err err = { 0 };

    w->must_serve = NULL;
    world_must(tx_begin(w->c.store, TX_WRITE, &tx, &err) || store_set_deleting(tx, id, &err) ||
                   tx_commit(&tx, &err),
               &err, "destroying");
    world_run(w, HEAL_MS);
}

static void restart_router(struct world *w, const char *id)
{
    world_entry(w, id)->generation = 0;
    w->containers[0].started_ms++; /* so that there is something to look at */
    world_kick(w, "synchronizer", id);
    world_run(w, HEAL_MS);
}

/* The end of a course in which call number `at` (0: none) goes wrong; *calls says how many there
 * were. */
static char *run(void (*course)(struct world *w, const char *id), const struct fault *fault,
                 size_t at, size_t *calls)
{
    struct world *w = world_new();
    auto_free char *id = world_app(w, "hello", NULL);

    w->must_serve = "hello.localhost";
    world_push(w, 'a', 'a', WEB(""));
    world_run(w, MINUTE);
    size_t before = w->calls;
    w->fail.at = at ? before + at : 0;
    w->fail.is_after = fault->is_after;
    w->fail.class = fault->class;
    course(w, id);
    *calls = w->calls - before;
    char *end = world_show(w);
    if (*w->wrong)
        fail_msg("call %zu %s: %s", at, fault->name, w->wrong);
    world_free(w);
    return end;
}

static void expect_the_same_end(void (*course)(struct world *w, const char *id))
{
    size_t count, ignored;
    auto_free char *good = run(course, &faults[0], 0, &count);

    /* later calls are looks at what is already as it should be; the first eighty hold all the steps
     */
    assert_true(count > 2);
    for (size_t f = 0; f < countof(faults); f++)
        for (size_t at = 1; at <= count && at <= 80; at++) {
            auto_free char *end = run(course, &faults[f], at, &ignored);
            if (strcmp(good, end) != 0)
                fail_msg("call %zu %s. Expected:\n%s\nGot:\n%s", at, faults[f].name, good, end);
        }
}

#define COURSE(name)                      \
    static void test_##name(void **state) \
    {                                     \
        (void)state;                      \
        expect_the_same_end(name);        \
    }
COURSE(push_another)
COURSE(push_and_go_back)
COURSE(push_what_is_rejected)
COURSE(destroy)
COURSE(restart_router)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_another),          cmocka_unit_test(test_push_and_go_back),
        cmocka_unit_test(test_push_what_is_rejected), cmocka_unit_test(test_destroy),
        cmocka_unit_test(test_restart_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
