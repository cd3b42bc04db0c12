#include "unit.h"

static char *build_key(const char *yaml)
{
    json_auto_t *full = full_of(yaml);

    return spec_build_key(full, "4b825dc6", "", "");
}

static char *release_key(const char *yaml)
{
    json_auto_t *full = full_of(yaml);

    return spec_release_key(full, "sha256:00");
}

static void is_same(char *(*key)(const char *yaml), const char *a, const char *b, bool same)
{
    auto_free char *key_a = key(a), *key_b = key(b);

    assert_int_equal(strlen(key_a), 64);
    if ((strcmp(key_a, key_b) == 0) != same)
        fail_msg("should be %s: %s | %s", same ? "the same" : "different", a, b);
}

#define BASE "build: {method: dockerfile}\n"

static void test_running_does_not_rebuild(void **state)
{
    static const char *const changes[] = {
        BASE "processes: {web: {replicas: 3}}",
        BASE "processes: {web: {command: node b, memory: 64Mi, check: {path: /}}}",
        BASE "processes: {web: {}, worker: {}}",
        BASE "routes: [{host: other.example.org}]",
        BASE "env: {A: b}",
        BASE "deploy: {timeout: 1m, keep: 2}",
        BASE "app: other",
    };

    (void)state;
    for (size_t i = 0; i < countof(changes); i++)
        is_same(build_key, BASE, changes[i], true);
}

static void test_building_rebuilds(void **state)
{
    static const char *const changes[] = {
        "build: {method: dockerfile, dockerfile: other}",
        "build: {method: dockerfile, args: {A: b}}",
        "build: {method: dockerfile, output: site, site: a}",
        "build: {method: dockerfile, memory: 2Gi}",
        "build: {method: static}",
        "build: {method: static, site: a}",
        "build: {method: command, base: a}",
        "build: {method: command, base: b}",
        "build: {method: command, base: a, run: make}",
        "build: {method: image, base: a}",
        "build: {method: image, base: b}",
        BASE,
    };

    (void)state;
    for (size_t i = 0; i < countof(changes); i++)
        for (size_t j = 0; j < i; j++)
            is_same(build_key, changes[i], changes[j], false);
}

static void test_spelling_does_not_matter(void **state)
{
    static const char *const same[] = {
        BASE,
        "build: {timeout: 900s, method: dockerfile, context: ./}",
        "build: {memory: 1024Mi, cpus: 2.0, method: dockerfile, dockerfile: ./Dockerfile}\nenv: {}",
        "routes: [{process: web, path: /, host: shop.example.org, https: false}]\n" BASE
        "processes: {web: {port: 8080, replicas: 1, cpus: 1.000}}",
        BASE "deploy: {keep: 9}",
        /* elsewhere with the same content */
        "build: {method: dockerfile, context: web}",
    };

    (void)state;
    for (size_t i = 0; i < countof(same); i++) {
        is_same(build_key, BASE, same[i], true);
        is_same(release_key, BASE, same[i], true);
    }
}

static void test_release_key(void **state)
{
    static const char *const changes[] = {
        BASE,
        BASE "processes: {web: {replicas: 3}}",
        BASE "processes: {web: {command: node b}}",
        BASE "routes: [{host: other.example.org}]",
        BASE "env: {A: b}",
        BASE "env: {A: c}",
        BASE "deploy: {timeout: 1m}",
        BASE "deploy: {restart: 1}",
        BASE "deploy: {restart: 2}",
        "build: {method: static}",
        "build: {method: static, spa: true}",
    };

    (void)state;
    for (size_t i = 0; i < countof(changes); i++)
        for (size_t j = 0; j < i; j++)
            is_same(release_key, changes[i], changes[j], false);
}

/* Every input of a key changes it, and no two inputs can be mistaken for each other. */
static void test_inputs(void **state)
{
    static const char *const inputs[][3] = {
        { "", "", "" },   { "a", "", "" },  { "", "a", "" },    { "", "", "a" },
        { "ab", "", "" }, { "a", "b", "" }, { "a", "\"b", "" }, { "a\"", "b", "" },
    };
    json_auto_t *full = full_of(BASE);

    (void)state;
    for (size_t i = 0; i < countof(inputs); i++)
        for (size_t j = 0; j < i; j++) {
            auto_free char *a = spec_build_key(full, inputs[i][0], inputs[i][1], inputs[i][2]);
            auto_free char *b = spec_build_key(full, inputs[j][0], inputs[j][1], inputs[j][2]);
            assert_string_not_equal(a, b);
        }
    auto_free char *a = spec_release_key(full, "a"), *b = spec_release_key(full, "b");
    assert_string_not_equal(a, b);
}

static void keys_with(const json_t *overlay, char **build, char **release)
{
    json_auto_t *file = sparse_of(BASE "env: {A: b}\n");
    json_auto_t *sparse = spec_merge(file, overlay), *full = NULL;
    struct err err = { 0 };

    assert_int_equal(spec_complete(sparse, "shop", "shop.example.org", &full, &err), 0);
    *build = spec_build_key(full, "t", "", "");
    *release = spec_release_key(full, "d");
}

/* A → B → A through an overlay comes back to the keys of A. */
static void test_there_and_back(void **state)
{
    json_auto_t *change = json_pack("{s{ss}s{ss}}", "env", "A", "c", "build", "dockerfile", "b");
    json_auto_t *unset = json_pack("{s{sn}s{sn}}", "env", "A", "build", "dockerfile");
    json_auto_t *nothing = json_object(), *changed = spec_merge(nothing, change);
    json_auto_t *back = spec_merge(changed, unset);
    auto_free char *build_a = NULL, *build_b = NULL, *build_c = NULL;
    auto_free char *release_a = NULL, *release_b = NULL, *release_c = NULL;

    (void)state;
    keys_with(nothing, &build_a, &release_a);
    keys_with(changed, &build_b, &release_b);
    keys_with(back, &build_c, &release_c);
    assert_string_not_equal(build_a, build_b);
    assert_string_not_equal(release_a, release_b);
    assert_string_equal(build_a, build_c);
    assert_string_equal(release_a, release_c);
}

/* Keys name artifacts that exist: a change here orphans all of them, so it must be meant. When it
 * is, the version in spec_key.c changes as well. */
static void test_known_keys(void **state)
{
    auto_free char *build = build_key(BASE), *release = release_key(BASE);

    (void)state;
    assert_string_equal(build, "a62a9182386fb5e3e425bf2ddc655806e18bdfbd4b0d6b389c29bec58fcd7fc4");
    assert_string_equal(release,
                        "f8c06656f7b045608167ecb9321cc813ec0ced35f20128d697b056673f6f7fa7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running_does_not_rebuild),
        cmocka_unit_test(test_building_rebuilds),
        cmocka_unit_test(test_spelling_does_not_matter),
        cmocka_unit_test(test_release_key),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_known_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
