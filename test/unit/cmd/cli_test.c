/* The CLI's own parts: words to commands, text made visible, tables, YAML, server-sent events,
 * remotes, settings. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/cli/cli.h"
#include "cmd/cli/output.h"
#include "cmd/cli/port.h"
#include "cmd/cli/server.h"
#include "cmd/cli/settings.h"
#include "cmd/cli/sse.h"
#include "cmd/cli/target.h"
#include "cmd/cli/visible.h"
#include "cmd/cli/yaml_text.h"

/* ---- words ---- */

enum { WORDS_MAX = 12 };

static int parse(struct cli *cli, char **words, struct err *err)
{
    size_t count = 0;

    while (words[count])
        count++;
    *cli = (struct cli){ .output = { .file = stdout } };
    return cli_parse(cli, words, count, err);
}

#define PARSE(cli, err, ...) parse(cli, (char *[WORDS_MAX]){ __VA_ARGS__, NULL }, err)

static void test_table_is_sorted(void **state)
{
    (void)state;
    for (size_t i = 1; i < command_count; i++) {
        const struct command *a = &commands[i - 1], *b = &commands[i];
        int order = strcmp(a->noun, b->noun);
        assert_true(order < 0 || (order == 0 && strcmp(a->verb, b->verb) < 0));
    }
}

static void test_words_become_commands(void **state)
{
    struct cli cli;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(PARSE(&cli, &err, "apps", "create", "shop"), 0);
    assert_string_equal(cli.command->verb, "create");
    assert_string_equal(cli.args[0], "shop");
    assert_int_equal(PARSE(&cli, &err, "apps:create", "shop", "--ref=dev"), 0);
    assert_string_equal(cli.command->verb, "create");
    assert_string_equal(cli.options[OPT_REF], "dev");
    assert_int_equal(PARSE(&cli, &err, "apps"), 0);
    assert_string_equal(cli.command->verb, "list");
    assert_int_equal(PARSE(&cli, &err, "-p", "team", "deploy", "-a", "shop", "--retry"), 0);
    assert_string_equal(cli.command->noun, "deploy");
    assert_string_equal(cli.options[OPT_PROJECT], "team");
    assert_string_equal(cli.options[OPT_APP], "shop");
    assert_true(cli_has(&cli, OPT_RETRY));
    assert_int_equal(cli.arg_count, 0);
    assert_int_equal(PARSE(&cli, &err, "env", "set", "-ashop", "A=1", "--", "-b=2"), 0);
    assert_string_equal(cli.options[OPT_APP], "shop");
    assert_int_equal(cli.arg_count, 2);
    assert_string_equal(cli.args[1], "-b=2");
    assert_int_equal(PARSE(&cli, &err, "logs", "-f", "shop"), 0); /* -f follows here */
    assert_true(cli_has(&cli, OPT_FOLLOW));
    assert_string_equal(cli.args[0], "shop");
    assert_int_equal(PARSE(&cli, &err, "apps", "create", "shop", "-f", "x.yaml"),
                     0); /* and is a file here */
    assert_string_equal(cli.options[OPT_FILE], "x.yaml");
    assert_int_equal(PARSE(&cli, &err, "apps", "list", "-o", "json"), 0);
    assert_int_equal(cli.output.format, OUTPUT_JSON);
}

static void test_wrong_words_are_usage_errors(void **state)
{
    static char *const wrong[][WORDS_MAX] = {
        { "aps" },
        { "apps", "crate" },
        { "apps", "create" },
        { "apps", "list", "x" },
        { "deploy", "a", "b" },
        { "apps", "list", "--retry" },
        { "apps", "list", "-o", "xml" },
        { "deploy", "--retry=1" },
        { "deploy", "-a" },
        { ":" },
        { "apps:" },
        { "env", "set" },
    };
    (void)state;

    for (size_t i = 0; i < countof(wrong); i++) {
        struct cli cli;
        struct err err = { 0 };
        char *words[WORDS_MAX];
        memcpy(words, wrong[i], sizeof words);
        assert_int_not_equal(parse(&cli, words, &err), 0);
        assert_int_equal(err.class, ERR_INVALID);
        assert_true(*err.hint);
    }
}

static void test_numbers_are_checked(void **state)
{
    struct cli cli;
    struct err err = { 0 };
    int64_t value = -1;
    (void)state;

    assert_int_equal(PARSE(&cli, &err, "logs", "--tail", "7"), 0);
    assert_int_equal(cli_number(&cli, OPT_TAIL, 0, 10, 5, &value, &err), 0);
    assert_int_equal(value, 7);
    assert_int_equal(PARSE(&cli, &err, "logs", "--tail", "11"), 0);
    assert_int_equal(cli_number(&cli, OPT_TAIL, 0, 10, 5, &value, &err), EXIT_USAGE);
    assert_int_equal(PARSE(&cli, &err, "logs", "--tail", "7x"), 0);
    assert_int_equal(cli_number(&cli, OPT_TAIL, 0, 10, 5, &value, &err), EXIT_USAGE);
    assert_int_equal(PARSE(&cli, &err, "wait", "--timeout", "90s"), 0);
    assert_int_equal(cli_duration(&cli, OPT_TIMEOUT, 5, &value, &err), 0);
    assert_int_equal(value, 90000);
}

/* ---- text from outside ---- */

static void test_hostile_text_is_made_visible(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "plain", "plain" },
        { "caf\xc3\xa9", "caf\xc3\xa9" },
        { "\033[2Jgone", "\\x1b[2Jgone" },
        { "two\nlines\ttab\r", "two\\nlines\\ttab\\r" },
        { "\x7f", "\\x7f" },
        { "\xc2\x9b"
          "31m",
          "\\x9b31m" }, /* C1: the one-byte CSI */
        { "a\xe2\x80\xae"
          "b",
          "a\\u{202e}b" }, /* right to left override */
        { "\xff", "\xef\xbf\xbd" },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *got = visible(cases[i].text);
        assert_string_equal(got, cases[i].expected);
    }
}

static void test_cuts_count_columns(void **state)
{
    auto_free char *same = visible_cut("caf\xc3\xa9", 4), *cut = visible_cut("caf\xc3\xa9s", 4);
    (void)state;

    assert_string_equal(same, "caf\xc3\xa9");
    assert_string_equal(cut, "caf\xe2\x80\xa6");
}

/* ---- output ---- */

static char *list(struct output output, const char *json)
{
    static const struct column columns[] = { { "NAME", "name", COLUMN_TEXT },
                                             { "STATE", "state", COLUMN_STATE },
                                             { "COMMIT", "live.commit", COLUMN_SHORT },
                                             { "AGE", "at", COLUMN_AGE } };
    json_auto_t *items = json_loads(json, 0, NULL);
    char *text = NULL;
    size_t len;

    assert_non_null(items);
    output.file = xmemstream(&text, &len);
    output_list(&output, items, columns, countof(columns));
    fclose(output.file);
    return text;
}

static const char two[] =
    "[{\"name\":\"shop\",\"state\":\"live\",\"live\":{\"commit\":\"sha256:0123456789abcdef\"},"
    "\"at\":\"1970-01-01T00:00:00.000Z\"},{\"name\":\"a\\u001b[2J\",\"state\":\"failed\"}]";

static void test_tables(void **state)
{
    struct output output = { .now_ms = 3 * 60000 };
    (void)state;

    auto_free char *text = list(output, two);
    assert_string_equal(text, "NAME      STATE   COMMIT        AGE\n"
                              "shop      live    0123456789ab  3m\n"
                              "a\\x1b[2J  failed                \n");
    output.width = 24;
    auto_free char *narrow = list(output, two);
    for (char *line = narrow; *line; line = strchr(line, '\n') + 1) {
        auto_free char *one = xstrndup(line, strcspn(line, "\n"));
        assert_true(visible_width(one) <= 32); /* four columns cannot all be below CELL_MIN */
    }
    output.width = 0;
    output.has_colour = true;
    auto_free char *coloured = list(output, two);
    assert_non_null(strstr(coloured, "\033[32mlive\033[0m"));
    assert_null(strstr(coloured, "\033[2J"));
}

static void test_yaml(void **state)
{
    struct output output = { .format = OUTPUT_YAML };
    (void)state;

    auto_free char *text = list(output, "[{\"a\":\"yes\",\"b\":\"plain\",\"c\":1,\"d\":null,\"e\":["
                                        "],\"f\":\"a: \\u001b\",\"g\":\"12\"}]");
    assert_string_equal(
        text,
        "- a: \"yes\"\n  b: plain\n  c: 1\n  d: null\n  e: []\n  f: \"a: \\e\"\n  g: \"12\"\n");
}

static void test_top_member(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "app: shop\n", "shop" },
        { "env: {app: wrong}\nlist: [app, x]\napp: right\n", "right" },
        { "env: {app: wrong}\n", NULL },
        { "x: app\ny: z\n", NULL }, /* a value, no key */
        { "app: {name: x}\n", NULL },
        { "- app\n- x\n", NULL },
        { "app: [", NULL },
        { "", NULL },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        auto_free char *got = yaml_top_member(cases[i].text, strlen(cases[i].text), "app");
        if (cases[i].expected)
            assert_string_equal(got, cases[i].expected);
        else
            assert_null(got);
    }
}

/* ---- server-sent events ---- */

static int record(void *arg, const char *event, const char *data, struct err *err)
{
    (void)err;
    fprintf(arg, "<%s|%s>", event, data);
    return strcmp(data, "stop") == 0 ? -1 : 0;
}

static void test_events_in_any_pieces(void **state)
{
    static const char stream[] = ": hello\n\nid: 7\nevent: step\ndata: one\ndata: "
                                 "two\n\ndata:three\r\n\r\nid: 8\n\nid: 9\ndata: begun";
    (void)state;

    for (size_t size = 1; size < sizeof stream; size++) {
        struct sse *sse = sse_new();
        struct err err = { 0 };
        auto_free char *text = NULL;
        size_t len;
        FILE *out = xmemstream(&text, &len);
        for (size_t at = 0; at < sizeof stream - 1; at += size) {
            size_t left = sizeof stream - 1 - at;
            assert_int_equal(
                sse_feed(sse, stream + at, left < size ? left : size, record, out, &err), 0);
        }
        fclose(out);
        assert_string_equal(text, "<step|one\ntwo><|three>");
        assert_string_equal(sse_last_id(sse), "8"); /* 9's event is not complete */
        sse_free(sse);
    }
}

static void test_events_are_bounded(void **state)
{
    struct sse *sse = sse_new();
    struct err err = { 0 };
    auto_free char *piece = xcalloc(1, 65536);
    int rc = 0;
    (void)state;

    memset(piece, 'x', 65536);
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = sse_feed(sse, piece, 65536, record, stdout, &err);
    assert_int_equal(rc, -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    sse_reset(sse);
    assert_int_equal(
        sse_feed(sse, "id: a\x01\ndata: stop\n\ndata: more\n\n", 29, record, stdout, &err), -1);
    assert_string_equal(sse_last_id(sse), ""); /* would have gone into a header */
    sse_free(sse);
}

/* ---- where to ---- */

static void test_remotes(void **state)
{
    char *project = NULL, *app = NULL;
    (void)state;

    assert_true(target_of_remote("http://h:1/git/default/shop.git", "http://h:1", &project, &app));
    assert_string_equal(project, "default");
    assert_string_equal(app, "shop");
    free(project);
    free(app);
    assert_false(
        target_of_remote("http://h:12/git/default/shop.git", "http://h:1", &project, &app));
    assert_false(target_of_remote("http://h:1/git/../shop.git", "http://h:1", &project, &app));
    assert_false(target_of_remote("http://h:1/git/default", "http://h:1", &project, &app));
    assert_false(target_of_remote("http://h:1/git/default/a/b.git", "http://h:1", &project, &app));
}

static void test_server_addresses(void **state)
{
    static const char *const wrong[] = { "",           "ftp://h",    "http://", "http:///",
                                         "http://h\"", "http://u@h", "a b",     "http://h?x" };
    struct err err = { 0 };
    char *url = NULL;
    (void)state;

    assert_int_equal(server_check_url("http://h:1//", &url, &err), 0);
    assert_string_equal(url, "http://h:1");
    free(url);
    assert_int_equal(server_check_url("paas.example.org", &url, &err), 0);
    assert_string_equal(url, "https://paas.example.org");
    free(url);
    for (size_t i = 0; i < countof(wrong); i++)
        assert_int_equal(server_check_url(wrong[i], &url, &err), -1);
}

static void test_settings_are_checked(void **state)
{
    static const struct {
        enum option option;
        const char *value;
    } wrong[] = { { OPT_HTTP_PORT, "0" },  { OPT_HTTP_PORT, "x" },       { OPT_HTTP_PORT, "8081" },
                  { OPT_PREFIX, "Up" },    { OPT_NETWORK_RANGE, "all" }, { OPT_DOMAIN, "a b" },
                  { OPT_DATA, "/tmp/a b" } };
    (void)state;

    for (size_t i = 0; i < countof(wrong); i++) {
        struct cli cli = { 0 };
        struct settings settings = { 0 };
        struct err err = { 0 };
        cli.options[OPT_DATA] = "/nonexistent/data/";
        assert_int_equal(settings_read(&cli, &settings, &err), 0);
        assert_string_equal(settings.data, "/nonexistent/data");
        assert_int_equal(settings.http_port, 8080);
        settings_done(&settings);
        memset(&settings, 0, sizeof settings);
        cli.options[wrong[i].option] = wrong[i].value;
        assert_int_equal(settings_read(&cli, &settings, &err), -1);
        settings_done(&settings);
    }
}

/* ---- ports ---- */

static void test_a_taken_port_has_an_owner(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    struct err err = { 0 };
    auto_free char *name = NULL;
    bool is_free = true;
    pid_t pid = 0;
    int yes = 1;
    (void)state;

    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes),
                     0); /* like HAProxy */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    int64_t port = ntohs(address.sin_port);
    assert_int_equal(port_is_free("127.0.0.1", port, &is_free, &err), 0);
    assert_false(is_free);
    assert_int_equal(port_is_free("0.0.0.0", port, &is_free, &err), 0);
    assert_false(is_free);
    assert_true(port_find_owner(port, &pid, &name));
    assert_int_equal(pid, getpid());
    assert_string_equal(name, "test-cmd-cli");
    assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
    assert_int_equal(port_is_free("127.0.0.1", port, &is_free, &err), 0);
    assert_true(is_free);
    assert_false(port_find_owner(port, &pid, &name));
    assert_int_equal(port_is_free("here", port, &is_free, &err), -1);
    assert_int_equal(err.class, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sorted),
        cmocka_unit_test(test_words_become_commands),
        cmocka_unit_test(test_wrong_words_are_usage_errors),
        cmocka_unit_test(test_numbers_are_checked),
        cmocka_unit_test(test_hostile_text_is_made_visible),
        cmocka_unit_test(test_cuts_count_columns),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_top_member),
        cmocka_unit_test(test_events_in_any_pieces),
        cmocka_unit_test(test_events_are_bounded),
        cmocka_unit_test(test_remotes),
        cmocka_unit_test(test_server_addresses),
        cmocka_unit_test(test_settings_are_checked),
        cmocka_unit_test(test_a_taken_port_has_an_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
