/* What the store of a world says. */
#ifndef TEST_CONTROLLER_EXPECT_H
#define TEST_CONTROLLER_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "world.h"

static inline void expect_(struct world *w, const char *sql, const char *expected, const char *file,
                           int line)
{
    auto_free char *answer = world_ask(w, sql);

    _assert_string_equal(answer, expected, file, line);
}
/* The answer to a question, as text. */
#define expect(w, sql, expected) expect_(w, sql, expected, __FILE__, __LINE__)

#endif
