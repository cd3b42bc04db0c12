#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "conf/conf.h"

struct test_config {
    char *listen, *socket, *token;
    int64_t slots, timeout_ms, memory;
    bool is_quiet;
};

#define AT(member) offsetof(struct test_config, member)

static const struct conf_key keys[] = {
    { "docker.memory", CONF_SIZE, AT(memory), "1Gi", "4Mi", NULL, "memory of a build" },
    { "docker.socket", CONF_TEXT, AT(socket), "/var/run/docker.sock", NULL, NULL, "the daemon" },
    { "docker.timeout", CONF_DURATION, AT(timeout_ms), "30s", "1s", "1h", "time limit of a call" },
    { "listen", CONF_TEXT, AT(listen), "127.0.0.1:80", NULL, NULL, "address and port" },
    { "quiet", CONF_BOOL, AT(is_quiet), "false", NULL, NULL, "fewer lines" },
    { "slots", CONF_INT, AT(slots), "2", "1", "64", "builds at a time" },
    { "token", CONF_TEXT, AT(token), NULL, NULL, NULL, "the secret of the link" },
};

static int read_text(const char *text, struct test_config *config, struct err *err)
{
    char path[] = "/tmp/evenkeel-conf-test-XXXXXX";
    struct err ignored = { 0 };

    close(mkstemp(path));
    assert_int_equal(fs_write(path, text, strlen(text), 0600, &ignored), 0);
    int result = conf_read(path, keys, countof(keys), config, err);
    unlink(path);
    return result;
}

static void test_defaults_then_file(void **state)
{
    struct test_config config = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(
        read_text("token: 12ab\ndocker: {socket: /s, memory: 64Mi}\nquiet: true\n", &config, &err),
        0);
    assert_string_equal(config.token, "12ab");
    assert_string_equal(config.socket, "/s");
    assert_string_equal(config.listen, "127.0.0.1:80");
    assert_int_equal(config.memory, 64 << 20);
    assert_int_equal(config.timeout_ms, 30000);
    assert_int_equal(config.slots, 2);
    assert_true(config.is_quiet);
    conf_done(keys, countof(keys), &config);
    assert_null(config.token);
}

static void test_a_secret_is_the_first_line(void **state)
{
    char path[] = "/tmp/conf-secret-XXXXXX";
    struct err err = { 0 };
    char *secret = NULL;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(fs_write(path, "ab c\r\nnext\n", 12, 0600, &err), 0);
    assert_int_equal(conf_read_secret(path, &secret, &err), 0);
    assert_string_equal(secret, "ab c");
    free(secret);
    unlink(path);
    assert_int_equal(conf_read_secret(path, &secret, &err), -1);
    assert_non_null(strstr(err.text, path));
    assert_null(secret);
    assert_int_equal(conf_read_secret("", &secret, &err), 0);
    assert_null(secret);
}

static void test_without_a_file(void **state)
{
    struct test_config config = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(conf_read(NULL, keys, countof(keys) - 1, &config, &err), 0);
    assert_int_equal(config.slots, 2);
    conf_done(keys, countof(keys) - 1, &config);

    assert_int_equal(conf_read(NULL, keys, countof(keys), &config, &err), -1);
    assert_string_equal(err.text, "`token` is required");
    assert_null(config.listen);
}

static void test_missing_file(void **state)
{
    struct test_config config = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_int_equal(conf_read("/nonexistent/a.yaml", keys, countof(keys), &config, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
}

/* Every refusal, word for word; the path in front is cut off. */
static void test_refusals(void **state)
{
    static const struct {
        const char *text, *message, *hint;
    } cases[] = {
        { "token: a\nslotz: 3\n", ":2: unknown key `slotz`", "did you mean `slots`?" },
        { "token: a\ndocker:\n  sockte: /x\n", ":3: unknown key `docker.sockte`",
          "did you mean `docker.socket`?" },
        { "zzzzzz: 1\n", ":1: unknown key `zzzzzz`", "" },
        { "slots: many\n", ":1: `slots` must be a whole number", "" },
        { "slots: \"3\"\n", ":1: `slots` must be a whole number", "" },
        { "slots: 0\n", ":1: `slots` must be at least 1", "" },
        { "slots: 65\n", ":1: `slots` must be at most 64", "" },
        { "slots: 99999999999999999999\n", ":1: `slots` must be a whole number", "" },
        { "docker: {timeout: 2h}\n", ":1: `docker.timeout` must be at most 1h", "" },
        { "docker: {timeout: 30}\n",
          ":1: `docker.timeout` must be a duration like 500ms, 30s, 15m, 1h or 7d", "" },
        { "docker: {memory: 1Ki}\n", ":1: `docker.memory` must be at least 4Mi", "" },
        { "docker: 5\n", ":1: `docker` must be a mapping, not a single value", "" },
        { "listen: [a]\n", ":1: `listen` must be a text, not a list", "" },
        { "listen:\n", ":1: `listen` has no value", "leave the line out for the default" },
        { "quiet: yes\n", ":1: `quiet` must be true or false", "" },
        { "- a\n", ":1: the file must be a mapping, not a list", "" },
        { "slots: 1\nslots: 2\n", ":2: `slots` stands here a second time, first in line 1", "" },
        { "slots: 1\n", ": `token` is required", "the secret of the link" },
        { "", ": `token` is required", "the secret of the link" },
        { "a: [\n", ":2: not YAML: did not find expected node content", "" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct test_config config = { 0 };
        struct err err = { 0 };
        assert_int_equal(read_text(cases[i].text, &config, &err), -1);
        assert_int_equal(err.class, ERR_INVALID);
        const char *colon = strchr(err.text, ':');
        assert_non_null(colon);
        assert_string_equal(colon, cases[i].message);
        assert_string_equal(err.hint, cases[i].hint);
        assert_null(config.listen);
    }
}

static void test_print(void **state)
{
    auto_free char *text = NULL;
    size_t len;
    FILE *out = xmemstream(&text, &len);

    (void)state;
    conf_print(out, keys + 5, 2);
    fclose(out);
    assert_string_equal(text, "slots (int, default 2, at least 1, at most 64)\n"
                              "    builds at a time\n"
                              "token (text, required)\n"
                              "    the secret of the link\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_then_file),
        cmocka_unit_test(test_a_secret_is_the_first_line),
        cmocka_unit_test(test_without_a_file),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
