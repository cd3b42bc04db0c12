/* A store in a folder of the test's own, on a clock that is turned by hand. */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/apps.h"
#include "store/builds.h"
#include "store/events.h"
#include "store/instances.h"
#include "store/projects.h"
#include "store/releases.h"
#include "store/repositories.h"
#include "store/sites.h"
#include "store/store.h"
#include "store/work.h"

struct fixture {
    char dir[32], *path;
    int64_t now_ms;
    struct clock clock;
    struct store *store;
    struct err err;
    char *project, *app;
};

static inline int64_t fixture_now(void *self)
{
    return ((struct fixture *)self)->now_ms;
}

#define ok(f, rc) ok_(f, rc, #rc, __FILE__, __LINE__)
static inline void ok_(const struct fixture *f, int rc, const char *what, const char *file,
                       int line)
{
    if (rc == 0)
        return;
    print_error("%s: %s: %s\n", what, err_code(f->err.class), f->err.text);
    _fail(file, line);
}

static inline void refused_(struct fixture *f, int rc, enum err_class class, const char *file,
                            int line)
{
    _assert_int_equal((unsigned long)rc, (unsigned long)-1, file, line);
    _assert_int_equal(f->err.class, class, file, line);
    f->err = (struct err){ 0 };
}
#define refused(f, rc, class) refused_(f, rc, class, __FILE__, __LINE__)

static inline struct tx *begin(struct fixture *f, enum tx_mode mode)
{
    struct tx *tx = NULL;
    ok(f, tx_begin(f->store, mode, &tx, &f->err));
    return tx;
}

static inline char *add_app(struct fixture *f, struct tx *tx, const char *project, const char *name)
{
    json_auto_t *overlay = json_object();
    char *id = NULL;
    ok(f, store_add_app(tx, project, name, NULL, "main", overlay, "test", &id, &f->err));
    return id;
}

static inline int fixture_open(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    auto_project project = { 0 };

    log_set_level("error");
    strcpy(f->dir, "/tmp/store_test.XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->path = fs_join(f->dir, "evenkeel.db");
    f->now_ms = 1700000000000;
    f->clock = (struct clock){ fixture_now, fixture_now, f };
    ok(f, store_open(f->path, &f->clock, &f->store, &f->err));
    ok(f, store_migrate(f->store, &f->err));
    auto_tx *tx = begin(f, TX_WRITE);
    ok(f, store_add_project(tx, "default", 16, &project, &f->err));
    f->project = take(&project.id);
    f->app = add_app(f, tx, f->project, "hello");
    ok(f, tx_commit(&tx, &f->err));
    *state = f;
    return 0;
}

static inline int fixture_close(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    fs_remove_tree(f->dir, &f->err);
    free(f->path);
    free(f->project);
    free(f->app);
    free(f);
    return 0;
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_open, fixture_close)

#endif
