#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "git/pkt.h"

static int next(const char *text, size_t *at, struct git_pkt *pkt)
{
    /* a copy of exactly that size, so that the sanitizer sees a read past the end */
    size_t len = strlen(text);
    char *copy = xmemdup(text, len);
    struct err err = { 0 };
    int rc = git_pkt_next(copy, len, at, pkt, &err);

    if (pkt->data)
        pkt->data = text + (pkt->data - copy);
    free(copy);
    return rc;
}

static void data_and_marks_are_told_apart(void **state)
{
    static const char text[] = "0009hello0006a\n0000000100020004";
    static const struct {
        enum git_pkt_kind kind;
        const char *data;
    } expected[] = { { GIT_PKT_DATA, "hello" }, { GIT_PKT_DATA, "a" }, { GIT_PKT_FLUSH, "" },
                     { GIT_PKT_DELIM, "" },     { GIT_PKT_END, "" },   { GIT_PKT_DATA, "" } };
    struct git_pkt pkt = { 0 };
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < countof(expected); i++) {
        assert_int_equal(next(text, &at, &pkt), 1);
        assert_int_equal(pkt.kind, expected[i].kind);
        assert_int_equal(pkt.len, strlen(expected[i].data));
        assert_memory_equal(pkt.data ? pkt.data : "", expected[i].data, pkt.len);
    }
    assert_int_equal(next(text, &at, &pkt), 0);
}

static void a_cut_packet_waits_for_more(void **state)
{
    static const char *const cut[] = { "", "0", "000", "0009", "0009hell", "fff0" };
    struct git_pkt pkt = { 0 };

    (void)state;
    for (size_t i = 0; i < countof(cut); i++) {
        size_t at = 0;
        assert_int_equal(next(cut[i], &at, &pkt), 0);
        assert_int_equal(at, 0);
    }
}

static void nonsense_is_refused(void **state)
{
    static const char *const wrong[] = { "0003", "fff1aaaa", "ffff", "00g0",
                                         "-001", "    ",     "0x10", "<html>" };
    struct git_pkt pkt = { 0 };

    (void)state;
    for (size_t i = 0; i < countof(wrong); i++) {
        size_t at = 0;
        assert_int_equal(next(wrong[i], &at, &pkt), -1);
    }
}

static void what_is_written_is_read_back(void **state)
{
    auto_free char *text = NULL;
    size_t len = 0, at = 0;
    FILE *out = xmemstream(&text, &len);
    struct git_pkt pkt = { 0 };

    (void)state;
    git_pkt_put(out, "ok %s\n", "refs/heads/main");
    git_pkt_put_flush(out);
    fclose(out);
    assert_string_equal(text, "0017ok refs/heads/main\n0000");
    assert_int_equal(next(text, &at, &pkt), 1);
    assert_true(git_pkt_is(&pkt, "ok refs/heads/main"));
    assert_true(git_pkt_starts(&pkt, "ok "));
    assert_false(git_pkt_is(&pkt, "ok"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_and_marks_are_told_apart),
        cmocka_unit_test(a_cut_packet_waits_for_more),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(what_is_written_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
