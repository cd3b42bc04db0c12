/* 50,000 mutations of a good file, and 20,000 of a good document from the API, always the same
 * ones. What is accepted must be accepted again and complete or say why; nothing may crash, leak or
 * be slow. */
#include "unit.h"

static const char good[] =
    "app: shop\n"
    "build: {method: command, context: ., base: 'node:20', run: \"npm ci\", output: image,\n"
    "        args: {A: b}, timeout: 15m, memory: 1Gi, cpus: 2, watch: [\"web/**\"]}\n"
    "env:\n  LOG_LEVEL: info # a comment\n  TEXT: |\n    two\n    lines\n"
    "processes:\n"
    "  web: {command: node server.js, replicas: 2, port: 3000, protocol: http, memory: 256Mi,\n"
    "        cpus: 0.5, check: {path: /healthz, interval: 5s, timeout: 2s, grace: 30s}}\n"
    "  worker: {command: node worker.js}\n"
    "routes:\n  - {host: shop.example.org, path: /, process: web, https: false, auth: off}\n"
    "  - path: /api/\n"
    "deploy: {timeout: 5m, drain: 30s, stop: 30s, keep: 5}\n";

static const char *const pieces[] = {
    "\n",
    "  ",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "&a ",
    "*a",
    "!!str ",
    "|\n",
    ">\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "? ",
    "~",
    "null",
    "true",
    "\\0",
    "\xff",
    "\xc3\xa4",
    "..",
    "-1",
    "99999999999999999999",
    "0.5",
    "1e9",
    "\t",
    "#",
    "\xef\xbb\xbf",
    "<<",
    "app",
    "static",
    "\xe2\x80\xa8",
};

/* xorshift64*: the same numbers everywhere */
static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

/* One change: a byte, a piece put in, a stretch cut out, or a stretch repeated. `text` has room. */
static size_t mutate(char *text, size_t len, uint64_t *seed)
{
    size_t at = next(seed) % (len + 1), count = next(seed) % 40;
    const char *piece = pieces[next(seed) % countof(pieces)];

    if (count > len - at)
        count = len - at;
    switch (next(seed) % 4) {
    case 0:
        if (at < len)
            text[at] = (char)next(seed);
        return len;
    case 1:
        memmove(text + at, text + at + count, len - at - count);
        return len - count;
    case 2:
        memmove(text + at + count, text + at, len - at);
        return len + count;
    default:
        memmove(text + at + strlen(piece), text + at, len - at);
        memcpy(text + at, piece, strlen(piece));
        return len + strlen(piece);
    }
}

static void try_complete(const json_t *sparse)
{
    json_auto_t *again = NULL, *full = NULL;
    struct err err = { 0 };

    assert_int_equal(spec_check(sparse, &again, &err), 0);
    assert_true(json_equal(sparse, again));
    if (spec_complete(sparse, "shop", "shop.example.org", &full, &err)) {
        assert_int_equal(err.class, ERR_INVALID);
        return;
    }
    auto_free char *build = spec_build_key(full, "", "", "");
    auto_free char *release = spec_release_key(full, "");
    assert_string_not_equal(build, release);
}

static bool try_yaml(const char *text, size_t len)
{
    /* a copy of the exact size, so that reading past the end is seen */
    auto_free char *exact = xmemdup(text, len);
    json_auto_t *sparse = NULL;
    struct err err = { 0 };

    if (spec_parse_yaml(exact, len, "f", &sparse, &err)) {
        assert_int_equal(err.class, ERR_INVALID);
        assert_true(*err.text);
        return false;
    }
    try_complete(sparse);
    return true;
}

static bool try_json(const char *text, size_t len)
{
    json_auto_t *document = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_auto_t *sparse = NULL;
    struct err err = { 0 };

    if (!document)
        return false;
    if (spec_check(document, &sparse, &err)) {
        assert_int_equal(err.class, ERR_INVALID);
        assert_true(*err.text);
        return true;
    }
    try_complete(sparse);
    return true;
}

/* How many of `count` mutations of `start` were taken. */
static size_t try_many(const char *start, size_t count, bool (*try)(const char *text, size_t len))
{
    size_t start_len = strlen(start), taken = 0;
    auto_free char *text = xcalloc(start_len + 256, 1);
    uint64_t seed = 20240229;

    assert_true(try(start, start_len));
    for (size_t i = 0; i < count; i++) {
        size_t len = start_len, changes = 1 + next(&seed) % 3;
        memcpy(text, start, len);
        while (changes--)
            len = mutate(text, len, &seed);
        taken += try(text, len);
    }
    return taken;
}

/* In both, enough mutations go either way. */
static void test_yaml(void **state)
{
    (void)state;
    assert_in_range(try_many(good, 50000, try_yaml), 1000, 49000);
}

static void test_json(void **state)
{
    json_auto_t *sparse = sparse_of(good);
    auto_free char *text = spec_canonical(sparse);

    (void)state;
    assert_in_range(try_many(text, 20000, try_json), 1000, 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_yaml), cmocka_unit_test(test_json) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
