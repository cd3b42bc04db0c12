/* What every unit test of this folder includes: cmocka needs these first, in this order. */
#ifndef TEST_UNIT_MODEL_UNIT_H
#define TEST_UNIT_MODEL_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "model/spec.h"

/* A document in YAML → sparse; the test fails when it is refused. */
static inline json_t *sparse_of(const char *yaml)
{
    struct err err = { 0 };
    json_t *sparse = NULL;

    if (spec_parse_yaml(yaml, strlen(yaml), "evenkeel.yaml", &sparse, &err))
        fail_msg("%s", err.text);
    return sparse;
}

/* The same → full. */
static inline json_t *full_of(const char *yaml)
{
    json_auto_t *sparse = sparse_of(yaml);
    struct err err = { 0 };
    json_t *full = NULL;

    if (spec_complete(sparse, "shop", "shop.example.org", &full, &err))
        fail_msg("%s: %s", yaml, err.text);
    return full;
}

#endif
