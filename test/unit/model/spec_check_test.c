#include "unit.h"

#include "base/text.h"

struct refusal {
    const char *yaml, *message, *field, *hint;
};

/* Word for word what somebody sees; "evenkeel.yaml:" in front is left out here. */
static const struct refusal refusals[] = {
    /* the file */
    { "a: [\n", "2: not YAML: did not find expected node content", "", "" },
    { "a: b: c\n", "1: not YAML: mapping values are not allowed in this context", "", "" },
    { "app: a\n\tb: c\n", "2: not YAML: found a tab character that violates indentation", "", "" },
    { "app: \"a\n", "2: not YAML: found unexpected end of stream", "", "" },
    { "app: x\n---\napp: y\n", "2: a second document is not supported", "", "" },
    { "%YAML 1.1\n---\napp: x\n", "1: directives (%) are not supported", "", "" },
    { "env: &e {A: b}\n", "1: anchors (&name) are not supported", "", "" },
    { "env:\n  A: &x b\n", "2: anchors (&name) are not supported", "", "" },
    { "env:\n  A: *x\n", "2: aliases (*name) are not supported", "", "" },
    { "env:\n  A: !!str 5\n", "2: tags (!name) are not supported", "", "" },
    { "env: !x {}\n", "1: tags (!name) are not supported", "", "" },
    { "routes: !x []\n", "1: tags (!name) are not supported", "", "" },
    { "!x app: y\n", "1: tags (!name) are not supported", "", "" },
    { "? [a]\n: b\n", "1: a key must be a single word", "", "" },
    { "\"\": b\n", "1: a key is empty", "", "" },
    { "\"\\e[1m\": b\n", "1: a key contains a control character", "", "" },
    { "app: x\nenv:\n  A: 1\n  B: 2\n  A: 3\n", "5: `A` stands here a second time, first in line 3",
      "", "" },
    { "app: x\n# y\napp: x\n", "3: `app` stands here a second time, first in line 1", "", "" },
    { "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]\n", "1: nested deeper than 16 levels", "", "" },
    { "env:\n  A: \"x\\0y\"\n", "2: a NUL character is not allowed", "", "" },
    { "app: x\nenv: {A: \"\xff\"}\n", "2: not valid UTF-8", "", "" },
    { "app: x\n\xc3", "2: not valid UTF-8", "", "" },
    { "env: {A: \"\xed\xa0\x80\"}\n", "1: not valid UTF-8", "", "" },
    { "- app\n", "1: the document must be a mapping, not a list", "", "" },
    { "app\n", "1: the document must be a mapping", "", "" },
    /* keys */
    { "app: x\n\nprocesess:\n  web: {}\n", "3: unknown key `procesess`", "procesess",
      "did you mean `processes`?" },
    { "processes:\n  web:\n    prot: 80\n", "3: unknown key `prot` in `processes.web`",
      "processes.web.prot", "did you mean `port`?" },
    { "routes:\n  - host: a.b\n  - hots: a.b\n", "3: unknown key `hots` in `routes[1]`",
      "routes[1].hots", "did you mean `host`?" },
    { "processes: {web: {check: {url: /}}}\n", "1: unknown key `url` in `processes.web.check`",
      "processes.web.check.url", "" },
    { "<<: {}\n", "1: unknown key `<<`", "<<", "" },
    { "quite_something_else: 1\n", "1: unknown key `quite_something_else`", "quite_something_else",
      "" },
    /* kinds of values */
    { "app: [x]\n", "1: `app` must be a text, not a list", "app", "" },
    { "app:\n  x: y\n", "1: `app` must be a text, not a mapping", "app", "" },
    { "build: dockerfile\n", "1: `build` must be a mapping", "build", "" },
    { "env: [A]\n", "1: `env` must be a mapping, not a list", "env", "" },
    { "routes: {host: a.b}\n", "1: `routes` must be a list, not a mapping", "routes", "" },
    { "routes: [a.b]\n", "1: `routes[0]` must be a mapping", "routes[0]", "" },
    { "routes:\n  -\n", "2: `routes[0]` must be a mapping, not nothing", "routes[0]", "" },
    { "build:\n  watch: web/**\n", "2: `build.watch` must be a list", "build.watch", "" },
    { "build:\n  watch: [a, [b]]\n", "2: `build.watch[1]` must be a text, not a list",
      "build.watch[1]", "" },
    { "app:\n", "1: `app` has no value", "app",
      "write \"\" for an empty text, or leave the line out" },
    { "env: {A: ~}\n", "1: `env.A` has no value", "env.A",
      "write \"\" for an empty text, or leave the line out" },
    { "routes:\n", "1: `routes` has no value", "routes",
      "write [] for none, or leave the line out" },
    { "deploy: {keep: null}\n", "1: `deploy.keep` has no value", "deploy.keep",
      "leave the line out for the default" },
    /* values */
    { "app: Shop\n", "1: `app` must be 1 to 40 lower-case letters, digits and inner dashes", "app",
      "write one like shop-2" },
    { "app: git\n", "1: the name git is reserved", "app", "choose another name" },
    { "build: {method: docker}\n",
      "1: `build.method` must be auto, command, dockerfile, image or static", "build.method", "" },
    { "build: {method: dockerfiel}\n",
      "1: `build.method` must be auto, command, dockerfile, image or static", "build.method",
      "did you mean `dockerfile`?" },
    { "build: {output: folder}\n", "1: `build.output` must be image or site", "build.output", "" },
    { "build: {spa: yes}\n", "1: `build.spa` must be true or false", "build.spa", "" },
    { "build: {spa: \"true\"}\n", "1: `build.spa` must be true or false", "build.spa", "" },
    { "build: {timeout: 900}\n",
      "1: `build.timeout` must be a duration like 500ms, 30s, 15m or 1h, from 10s to 1d",
      "build.timeout", "" },
    { "build: {timeout: 2d}\n",
      "1: `build.timeout` must be a duration like 500ms, 30s, 15m or 1h, from 10s to 1d",
      "build.timeout", "" },
    { "build: {memory: 1GB}\n",
      "1: `build.memory` must be a size like 64Ki, 256Mi or 1Gi, from 64Mi to 1Ti", "build.memory",
      "" },
    { "build: {memory: 99999999999999999999Gi}\n",
      "1: `build.memory` must be a size like 64Ki, 256Mi or 1Gi, from 64Mi to 1Ti", "build.memory",
      "" },
    { "build: {cpus: 0.0001}\n",
      "1: `build.cpus` must be a number of processors like 0.5 or 2, from 0.05 to 256",
      "build.cpus", "" },
    { "build: {cpus: -1}\n",
      "1: `build.cpus` must be a number of processors like 0.5 or 2, from 0.05 to 256",
      "build.cpus", "" },
    { "build: {context: /srv}\n", "1: `build.context` must be a path without a leading /",
      "build.context", "" },
    { "build: {context: a/../../b}\n", "1: `build.context` must not contain ..", "build.context",
      "" },
    { "build: {dockerfile: ..}\n", "1: `build.dockerfile` must not contain ..", "build.dockerfile",
      "" },
    { "build: {site: \"a\\nb\"}\n", "1: `build.site` must be one line without control characters",
      "build.site", "" },
    { "build: {base: \"-x\"}\n", "1: `build.base` must be an image reference like debian:12-slim",
      "build.base", "" },
    { "build: {base: \"a b\"}\n", "1: `build.base` must be an image reference like debian:12-slim",
      "build.base", "" },
    { "build: {run: \"\"}\n", "1: `build.run` is empty", "build.run", "" },
    { "build: {args: {A-B: c}}\n",
      "1: the variable `A-B` must be named with letters, digits and _ only", "build.args.A-B", "" },
    { "env: {1A: c}\n",
      "1: a variable's name must be 1 to 200 letters, digits and _, not a digit first", "env.1A",
      "" },
    { "env: {EVENKEEL_X: c}\n",
      "1: the variable `EVENKEEL_X`: names with EVENKEEL_ are set by Evenkeel", "env.EVENKEEL_X",
      "choose another name" },
    { "env:\n  PORT: 80\n", "2: `env.PORT` is set by Evenkeel from the port of each process",
      "env.PORT", "write the port into processes.NAME.port" },
    { "processes: {Web: {}}\n",
      "1: `processes.Web` must be 1 to 20 lower-case letters, digits and inner dashes",
      "processes.Web", "write one like shop-2" },
    { "processes: {web: {replicas: 101}}\n",
      "1: `processes.web.replicas` must be a whole number, from 0 to 100", "processes.web.replicas",
      "" },
    { "processes: {web: {replicas: \"2\"}}\n",
      "1: `processes.web.replicas` must be a whole number, from 0 to 100", "processes.web.replicas",
      "" },
    { "processes: {web: {replicas: 1.5}}\n",
      "1: `processes.web.replicas` must be a whole number, from 0 to 100", "processes.web.replicas",
      "" },
    { "processes:\n  web:\n    port: 0\n",
      "3: `processes.web.port` must be a whole number, from 1 to 65535", "processes.web.port", "" },
    { "processes: {web: {protocol: h2c}}\n", "1: `processes.web.protocol` must be http",
      "processes.web.protocol", "" },
    { "processes: {web: {command: \"a\\u0007\"}}\n",
      "1: `processes.web.command` must not contain control characters", "processes.web.command",
      "" },
    { "processes: {web: {check: {path: healthz}}}\n",
      "1: `processes.web.check.path` must start with /", "processes.web.check.path", "" },
    { "processes: {web: {check: {path: \"/a b\"}}}\n",
      "1: `processes.web.check.path` must be visible ASCII characters without #",
      "processes.web.check.path", "" },
    { "routes: [{host: \"*.example.org\"}]\n",
      "1: `routes[0].host` must be one host; wildcards are not supported", "routes[0].host",
      "write one route per host" },
    { "routes: [{host: Example.org}]\n", "1: `routes[0].host` must be in lower case",
      "routes[0].host", "write it in lower case" },
    { "routes: [{host: 10.0.0.1}]\n",
      "1: `routes[0].host` must be a host name like shop.example.org, without scheme, port or "
      "path; an IP address is none",
      "routes[0].host", "" },
    { "routes: [{path: api}]\n", "1: `routes[0].path` must start with /", "routes[0].path", "" },
    { "routes: [{path: /a//b}]\n", "1: `routes[0].path` must not contain //", "routes[0].path",
      "" },
    { "routes: [{path: /a/..}]\n", "1: `routes[0].path` must not contain . or .. as a folder",
      "routes[0].path", "" },
    { "routes: [{path: /./a}]\n", "1: `routes[0].path` must not contain . or .. as a folder",
      "routes[0].path", "" },
    { "routes: [{path: \"/a?b\"}]\n",
      "1: `routes[0].path` may contain only letters, digits and / . _ ~ @ + -", "routes[0].path",
      "" },
    /* not supported yet */
    { "app: x\nrelease: {command: x}\n", "2: `release` is not supported yet", "release",
      "remove it" },
    { "app: x\ncron:\n  - name: x\n", "2: `cron` is not supported yet", "cron", "remove it" },
    { "volumes: []\n", "1: `volumes` is not supported yet", "volumes", "remove it" },
    { "files: []\n", "1: `files` is not supported yet", "files", "remove it" },
    { "ports: []\n", "1: `ports` is not supported yet", "ports", "remove it" },
    { "addons: {}\n", "1: `addons` is not supported yet", "addons", "remove it" },
    { "build:\n  secrets: [npm]\n", "2: `build.secrets` is not supported yet", "build.secrets",
      "remove it" },
    { "processes: {web: {overlap: false}}\n", "1: `processes.web.overlap` is not supported yet",
      "processes.web.overlap", "remove it" },
    { "routes:\n  - https: true\n", "2: `routes[0].https` is not supported yet, other than false",
      "routes[0].https", "leave it out" },
    { "routes:\n  - auth: hard\n", "2: `routes[0].auth` is not supported yet, other than off",
      "routes[0].auth", "leave it out" },
    { "env:\n  A: {secret: s}\n",
      "2: `env.A` refers to a secret or an addon, which is not supported yet", "env.A", "" },
    { "env:\n  A: {addon: db, key: url}\n",
      "2: `env.A` refers to a secret or an addon, which is not supported yet", "env.A", "" },
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(refusals); i++) {
        const struct refusal *want = &refusals[i];
        auto_free char *text = xasprintf("evenkeel.yaml:%s", want->message);
        struct err err = { 0 };
        json_t *sparse = NULL;
        if (spec_parse_yaml(want->yaml, strlen(want->yaml), "evenkeel.yaml", &sparse, &err) != -1)
            fail_msg("accepted: %s", want->yaml);
        assert_null(sparse);
        assert_int_equal(err.class, ERR_INVALID);
        assert_string_equal(err.text, text);
        assert_string_equal(err.field, want->field);
        assert_string_equal(err.hint, want->hint);
    }
}

/* Bytes after a NUL, which the table cannot hold. */
static void test_nul_byte(void **state)
{
    static const char yaml[] = "app: x\n\0app: y\n";
    struct err err = { 0 };
    json_t *sparse = NULL;

    (void)state;
    assert_int_equal(spec_parse_yaml(yaml, sizeof yaml - 1, "f", &sparse, &err), -1);
    assert_string_equal(err.text, "f:2: a NUL character is not allowed");
}

/* start, then `count` times a number between two texts. */
static void refuse_long(const char *start, const char *before, const char *after, size_t count,
                        const char *message)
{
    auto_free char *yaml = NULL;
    size_t len;
    FILE *out = xmemstream(&yaml, &len);
    struct err err = { 0 };
    json_t *sparse = NULL;

    fputs(start, out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%zu%s", before, i, after);
    fclose(out);
    assert_int_equal(spec_parse_yaml(yaml, len, "f", &sparse, &err), -1);
    assert_string_equal(err.text, message);
}

static void test_bounds(void **state)
{
    (void)state;
    refuse_long("", "# a comment ", "\n", 30000, "f: larger than 256 KiB");
    refuse_long("env:\n", "  A", ": b\n", 501, "f:1: `env` has more than 500 items");
    refuse_long("env:\n", "  A", ": b\n", 1001, "f:1002: more than 1000 items in a mapping");
    refuse_long("build: {watch: [", "a", ",", 1001, "f:1: more than 1000 items in a list");
    refuse_long("routes:\n", "- {path: /", "}\n", 101, "f:1: `routes` has more than 100 items");
    refuse_long("processes:\n", "  p", ": {}\n", 21, "f:1: `processes` has more than 20 items");
    refuse_long("env:\n  A: ", "aaaaaa", "", 4097, "f:2: `env.A` is longer than 32768 bytes");
    refuse_long("? ", "aaaaaa", "", 50, "f:1: a key is longer than 256 bytes");
    refuse_long("app: ", "[", ",", 30000, "f:1: nested deeper than 16 levels");
    refuse_long("app: ", "{a", ": ", 20000, "f:1: nested deeper than 16 levels");
}

static void is_sparse(const char *yaml, const char *json)
{
    json_auto_t *sparse = sparse_of(yaml);
    auto_free char *text = spec_canonical(sparse);

    assert_string_equal(text, json);
}

static void test_sparse(void **state)
{
    (void)state;
    is_sparse("", "{}");
    is_sparse("# nothing\n", "{}");
    is_sparse("---\n", "{}");
    is_sparse("---\napp: x\n...\n", "{\"app\":\"x\"}");
    is_sparse("\xef\xbb\xbf"
              "app: x\r\n",
              "{\"app\":\"x\"}");
    is_sparse("env:\n#  A: b\nbuild:\n", "{\"build\":{},\"env\":{}}");
    is_sparse("processes:\n  web:\n", "{\"processes\":{\"web\":{}}}");
    is_sparse("env: {A: 1.10, B: true, C: off, D: \"\", E: 0x1F, F: 'x'}",
              "{\"env\":{\"A\":\"1.10\",\"B\":\"true\",\"C\":\"off\",\"D\":\"\",\"E\":\"0x1F\","
              "\"F\":\"x\"}}");
    is_sparse("processes: {web: {command: 8080, port: 8080}}",
              "{\"processes\":{\"web\":{\"command\":\"8080\",\"port\":8080}}}");
    is_sparse("build: {timeout: 15m, memory: 1Gi, cpus: 2, spa: true}",
              "{\"build\":{\"cpus\":\"2\",\"memory\":1073741824,\"spa\":true,\"timeout\":900000}}");
    is_sparse("build: {timeout: \"900s\", memory: 1073741824, cpus: \"0.500\"}",
              "{\"build\":{\"cpus\":\"0.5\",\"memory\":1073741824,\"timeout\":900000}}");
    is_sparse("build: {context: ./a//b/, dockerfile: ./, site: a/./b}",
              "{\"build\":{\"context\":\"a/b\",\"dockerfile\":\".\",\"site\":\"a/b\"}}");
    is_sparse("build: {context: ...a, watch: ['web/**']}",
              "{\"build\":{\"context\":\"...a\",\"watch\":[\"web/**\"]}}");
    is_sparse("routes: [{path: /api/, https: false, auth: off}, {path: /}]",
              "{\"routes\":[{\"path\":\"/api\"},{\"path\":\"/\"}]}");
    is_sparse("build:\n  run: |\n    npm ci\n    npm run build\n",
              "{\"build\":{\"run\":\"npm ci\\nnpm run build\\n\"}}");
}

static void is_checked(const char *json, const char *want)
{
    json_auto_t *document = json_loads(json, JSON_DECODE_ANY, NULL), *sparse = NULL;
    struct err err = { 0 };

    assert_non_null(document);
    if (spec_check(document, &sparse, &err)) {
        assert_string_equal(err.text, want);
        return;
    }
    auto_free char *text = spec_canonical(sparse);
    assert_string_equal(text, want);
}

static void test_check_json(void **state)
{
    (void)state;
    is_checked("{}", "{}");
    is_checked("null", "the document must be a mapping, not nothing");
    is_checked("[]", "the document must be a mapping, not a list");
    is_checked("{\"env\":{\"A\":null,\"B\":0.1,\"C\":true}}",
               "{\"env\":{\"A\":null,\"B\":\"0.1\",\"C\":\"true\"}}");
    is_checked("{\"processes\":{\"web\":null},\"deploy\":{\"keep\":null},\"routes\":null}",
               "{\"deploy\":{\"keep\":null},\"processes\":{\"web\":null},\"routes\":null}");
    is_checked("{\"routes\":[{\"host\":null}]}", "`routes[0].host` must be a text, not nothing");
    is_checked("{\"routes\":[null]}", "`routes[0]` must be a mapping, not nothing");
    is_checked("{\"deploy\":{\"timeout\":60000,\"drain\":\"30s\"}}",
               "{\"deploy\":{\"drain\":30000,\"timeout\":60000}}");
    is_checked("{\"build\":{\"cpus\":0.5}}", "{\"build\":{\"cpus\":\"0.5\"}}");
    is_checked("{\"build\":{\"cpus\":1e-7}}", "`build.cpus` must be a number of processors like "
                                              "0.5 or 2, from 0.05 to 256");
    is_checked("{\"deplyo\":null}", "unknown key `deplyo`");
    is_checked("{\"a\\n\":1}", "a key contains a control character");
    is_checked("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "nested deeper than 16 levels");
}

/* What comes out goes in again unchanged: an overlay is stored and checked once more. */
static void test_check_keeps_sparse(void **state)
{
    json_auto_t *sparse = sparse_of("build: {timeout: 1h, memory: 2Gi, cpus: 0.25, context: ./x/}\n"
                                    "processes: {web: {port: 80, check: {grace: 0s}}}\n");
    json_auto_t *again = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(spec_check(sparse, &again, &err), 0);
    assert_true(json_equal(sparse, again));
}

static void test_procfile(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "{\"processes\":{}}" },
        { "web: node server.js\r\n# x\n\n  worker :  a: b \t\n",
          "{\"processes\":{\"web\":{\"command\":\"node server.js\"},"
          "\"worker\":{\"command\":\"a: b\"}}}" },
        { "web: a\nweb: b\n", "Procfile:2: `web` stands here a second time" },
        { "web\n", "Procfile:1: a line must read `name: command`" },
        { "web:\n", "Procfile:1: `web` has no command" },
        { "a\nweb: a\n", "Procfile:1: a line must read `name: command`" },
        { "\nrelease: x\n", "Procfile:2: `release` is not supported yet" },
        { "My_web: a\n",
          "Procfile:1: `processes` must be 1 to 20 lower-case letters, digits and inner dashes" },
        { "web: a\nworker: \xff\n", "Procfile:2: not valid UTF-8" },
        { "web: a\x07\n", "Procfile: `processes.web.command` must not contain control characters" },
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        json_auto_t *sparse = NULL;
        struct err err = { 0 };
        bool is_good = !spec_parse_procfile(cases[i].text, strlen(cases[i].text), &sparse, &err);
        auto_free char *text = is_good ? spec_canonical(sparse) : xstrdup(err.text);
        assert_string_equal(text, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_bounds),     cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_check_json), cmocka_unit_test(test_check_keeps_sparse),
        cmocka_unit_test(test_procfile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
