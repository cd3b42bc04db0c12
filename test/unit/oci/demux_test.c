#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/demux.h"

/* Writes "STREAM:text|" for each frame. */
static int collect(void *arg, int stream, const void *data, size_t len, struct err *err)
{
    FILE *out = arg;

    (void)err;
    fprintf(out, "%d:%.*s|", stream, (int)len, (const char *)data);
    return 0;
}

static const unsigned char sample[] = "\1\0\0\0\0\0\0\3abc"
                                      "\2\0\0\0\0\0\0\0"
                                      "\2\0\0\0\0\0\0\4oops"
                                      "\0\0\0\0\0\0\0\1x";

static void frames_come_whole_whatever_the_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < sizeof sample; piece++) {
        auto_demux demux = { .header_len = 0 };
        struct err err = { .class = ERR_NONE };
        auto_free char *text = NULL;
        size_t len;
        FILE *out = xmemstream(&text, &len);

        for (size_t at = 0; at < sizeof sample - 1; at += piece) {
            size_t left = sizeof sample - 1 - at;
            assert_int_equal(
                demux_add(&demux, sample + at, left < piece ? left : piece, collect, out, &err), 0);
        }
        fclose(out);
        assert_string_equal(text, "1:abc|2:|2:oops|0:x|");
    }
}

static int refuse(void *arg, int stream, const void *data, size_t len, struct err *err)
{
    (void)arg;
    (void)stream;
    (void)data;
    (void)len;
    return err_set(err, ERR_STOPPED, "enough");
}

static void the_reader_may_end_it(void **state)
{
    auto_demux demux = { .header_len = 0 };
    struct err err = { .class = ERR_NONE };

    (void)state;
    assert_int_equal(demux_add(&demux, sample, sizeof sample - 1, refuse, NULL, &err), -1);
    assert_int_equal(err.class, ERR_STOPPED);
}

static void what_is_not_framed_is_refused(void **state)
{
    static const char *const wrong[] = {
        "\3\0\0\0\0\0\0\1x",  "\1\1\0\0\0\0\0\1x", "\1\0\0\0\xff\xff\xff\xff",
        "\1\0\0\0\0\x10\0\1", "plain text",
    };

    (void)state;
    for (size_t i = 0; i < countof(wrong); i++) {
        auto_demux demux = { .header_len = 0 };
        struct err err = { .class = ERR_NONE };
        FILE *out = fopen("/dev/null", "w");
        assert_int_equal(demux_add(&demux, wrong[i], 9, collect, out, &err), -1);
        assert_int_equal(err.class, ERR_INVALID);
        fclose(out);
    }
}

/* Random bytes that look like frames often enough: no crash, no leak, under the sanitizers. */
static void random_bytes_do_no_harm(void **state)
{
    unsigned seed = 1;
    unsigned char bytes[4096];

    (void)state;
    for (int round = 0; round < 300; round++) {
        auto_demux demux = { .header_len = 0 };
        struct err err = { .class = ERR_NONE };
        FILE *out = fopen("/dev/null", "w");
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)(rand_r(&seed) % 5 ? 0 : rand_r(&seed) % 3);
        for (size_t at = 0; at < sizeof bytes;) {
            size_t n = 1 + (size_t)rand_r(&seed) % 700;
            n = n < sizeof bytes - at ? n : sizeof bytes - at;
            if (demux_add(&demux, bytes + at, n, collect, out, &err))
                break;
            at += n;
        }
        fclose(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_whole_whatever_the_pieces),
        cmocka_unit_test(the_reader_may_end_it),
        cmocka_unit_test(what_is_not_framed_is_refused),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
