/* Against streams recorded from a Docker 20.10 daemon (fixtures/), and against damage. */
#include "builder/progress.h"

#include <jansson.h>

#include "base/fs.h"
#include "base/text.h"
#include "support.h"

static void play(struct progress *p, const char *name)
{
    auto_free char *path = xasprintf("%s/%s", FIXTURES, name);
    FILE *in = fopen(path, "r");
    auto_free char *line = NULL;
    size_t size = 0;

    assert_non_null(in);
    while (getline(&line, &size, in) > 0) {
        json_auto_t *value = json_loads(line, 0, NULL);
        const char *aux = json_string_value(json_object_get(value, "aux"));
        size_t len;
        if (!aux)
            continue;
        auto_free void *data = text_unbase64(aux, strlen(aux), &len);
        assert_non_null(data);
        assert_true(progress_add(p, data, len));
    }
    fclose(in);
    progress_flush(p);
}

struct run {
    FILE *file;
    char *text;
    size_t len;
    struct progress *progress;
};

static void begin(struct run *run)
{
    run->file = xmemstream(&run->text, &run->len);
    run->progress = progress_new(gather, run->file);
}

static void end(struct run *run)
{
    progress_free(run->progress);
    if (run->file)
        fclose(run->file);
    free(run->text);
}

static const char *text_of(struct run *run)
{
    fflush(run->file);
    return run->text;
}

static void test_success(void **state)
{
    struct run run;
    (void)state;

    begin(&run);
    play(run.progress, "build-ok.jsonl");
    const char *text = text_of(&run);
    assert_non_null(strstr(text, "#1 FROM docker.io/builder-test/base:1\n"));
    assert_non_null(strstr(text, "#4 RUN echo hello me && echo err >&2"));
    assert_non_null(strstr(text, "#4 hello me\n"));
    assert_non_null(strstr(text, "#4 err\n"));
    assert_non_null(strstr(text, "#4 DONE 0."));
    assert_null(strstr(text, "[internal]"));
    assert_null(strstr(text, "copy /context"));
    assert_null(progress_failed_step(run.progress));
    end(&run);
}

static void test_failing_step(void **state)
{
    struct run run;
    (void)state;

    begin(&run);
    play(run.progress, "build-failing-run.jsonl");
    const char *text = text_of(&run);
    assert_non_null(strstr(text, "CACHED\n"));
    assert_non_null(strstr(text, "RUN echo start; exit 3\n"));
    assert_non_null(strstr(text, " start\n"));
    assert_non_null(strstr(text, "ERROR: executor failed running [/bin/sh -c echo start; exit 3]"));
    assert_string_equal(progress_failed_step(run.progress), "RUN echo start; exit 3");
    assert_non_null(strstr(progress_failed_error(run.progress), "exit code: 3"));
    assert_null(progress_missing_image(run.progress));
    end(&run);
}

static void test_missing_base(void **state)
{
    struct run run;
    (void)state;

    begin(&run);
    play(run.progress, "build-missing-base.jsonl");
    assert_string_equal(progress_missing_image(run.progress), "docker.io/builder-test/none:1");
    end(&run);
}

/* One message with one vertex or log, by hand. */
static size_t put(uint8_t *out, unsigned number, const void *data, size_t len)
{
    out[0] = (uint8_t)(number << 3 | 2);
    out[1] = (uint8_t)len;
    memcpy(out + 2, data, len);
    return len + 2;
}

static void test_output_goes_by_lines(void **state)
{
    uint8_t vertex[64], log[64], message[128];
    struct run run;
    size_t n;
    (void)state;

    begin(&run);
    n = put(vertex, 1, "d", 1);
    n += put(vertex + n, 3, "[build 2/4] RUN x", 17);
    n += put(vertex + n, 5, "", 0);
    assert_true(progress_add(run.progress, message, put(message, 1, vertex, n)));
    n = put(log, 1, "d", 1);
    n += put(log + n, 4, "hal", 3);
    assert_true(progress_add(run.progress, message, put(message, 3, log, n)));
    assert_string_equal(text_of(&run), "#1 [build] RUN x\n");
    n = put(log, 1, "d", 1);
    n += put(log + n, 4, "f\nrest", 6);
    assert_true(progress_add(run.progress, message, put(message, 3, log, n)));
    progress_flush(run.progress);
    assert_string_equal(text_of(&run), "#1 [build] RUN x\n#1 half\n#1 rest\n");
    end(&run);
}

/* What was recorded, with bytes changed, cut and repeated: no crash, no leak, bounded lines. */
static void test_damage(void **state)
{
    auto_free char *path = xasprintf("%s/build-failing-run.jsonl", FIXTURES);
    auto_free char *all = NULL;
    struct err err = { 0 };
    unsigned seed = 1;
    (void)state;

    assert_int_equal(fs_read(path, 1 << 20, &all, NULL, &err), 0);
    for (int round = 0; round < 200; round++) {
        struct run run;
        begin(&run);
        for (char *line = all; line && *line; line = strchr(line, '\n')) {
            line += *line == '\n';
            size_t line_len = strcspn(line, "\n"), len;
            json_auto_t *value = json_loadb(line, line_len, 0, NULL);
            const char *aux = json_string_value(json_object_get(value, "aux"));
            if (!aux)
                continue;
            auto_free uint8_t *data = text_unbase64(aux, strlen(aux), &len);
            for (int i = 0; i < 4; i++)
                data[(size_t)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
            size_t cut = (size_t)rand_r(&seed) % (len + 1);
            auto_free uint8_t *exact = cut ? xmemdup(data, cut) : NULL;
            if (exact)
                progress_add(run.progress, exact, cut);
        }
        progress_flush(run.progress);
        end(&run);
    }
    /* lengths and numbers at their ends */
    static const uint8_t huge[] = { 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 };
    static const uint8_t endless[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t group[] = { 0x0b, 0x0c };
    struct run run;
    begin(&run);
    assert_false(progress_add(run.progress, huge, sizeof huge));
    assert_false(progress_add(run.progress, endless, sizeof endless));
    assert_false(progress_add(run.progress, group, sizeof group));
    assert_true(progress_add(run.progress, "", 0));
    end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),      cmocka_unit_test(test_failing_step),
        cmocka_unit_test(test_missing_base), cmocka_unit_test(test_output_goes_by_lines),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
