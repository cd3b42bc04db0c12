/* Frames and messages: what is taken, what is refused, and 100,000 broken ones that must do no
 * harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "rpc/frame.h"
#include "rpc/rpc.h"

static void test_the_bytes_of_the_page(void **state)
{
    /* the worked example of schema/link.md */
    auto_buffer out = { 0 };
    (void)state;

    frame_add_call(&out, 2, "site.fetch", "{\"digest\":\"sha256:ab\"}", 0, true);
    frame_add_bytes(&out, 2, "tar", 3);
    frame_add_value(&out, "end", 2, "result", "{}", 2);
    frame_add_verb(&out, "ping", 1);
    auto_free char *hex = text_hex(out.data, out.len);
    assert_string_equal(
        hex,
        "0000004e00"
        "7b2263616c6c223a322c226d6574686f64223a22736974652e6665746368222c22706172616d73223a7b22"
        "646967657374223a227368613235363a6162227d2c2266696e697368223a747275657d"
        "000000070100000002746172"
        "00000015007b22656e64223a322c22726573756c74223a7b7d7d"
        "0000000a007b2270696e67223a317d");
}

static void test_frames_in_pieces(void **state)
{
    auto_buffer out = { 0 };
    struct frame f;
    struct err err = { 0 };
    (void)state;

    frame_add_verb(&out, "ping", 7);
    frame_add_bytes(&out, 9, "abc", 3);
    size_t first = out.len - 12;
    for (size_t n = 0; n < first; n++) {
        auto_free unsigned char *part = xmemdup(out.data, n);
        assert_int_equal(frame_parse(part, n, 100, &f, &err), 0);
    }
    assert_int_equal(frame_parse(out.data, out.len, 100, &f, &err), 1);
    assert_int_equal(f.size, first);
    assert_memory_equal(f.data, "{\"ping\":7}", f.len);
    assert_int_equal(frame_parse(out.data + first, 12, 100, &f, &err), 1);
    assert_int_equal(f.kind, FRAME_BYTES);
    assert_int_equal(f.call, 9);
    assert_int_equal(f.len, 3);
    assert_memory_equal(f.data, "abc", 3);
}

static void test_malformed_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        { "\x00\x10\x00\x01\x00", 5 },                 /* 1 MiB and a byte */
        { "\xff\xff\xff\xff\x00", 5 },                 /* 4 GiB */
        { "\x00\x00\x00\x02\x02{}", 7 },               /* unknown kind */
        { "\x00\x00\x00\x04\x01\x00\x00\x00\x01", 9 }, /* no data */
        { "\x00\x00\x00\x00\x01", 5 },
    };
    struct frame f;
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = { 0 };
        auto_free unsigned char *copy = xmemdup(cases[i].bytes, cases[i].len);
        assert_int_equal(frame_parse(copy, cases[i].len, RPC_FRAME_MAX, &f, &err), -1);
        assert_int_equal(err.class, ERR_INVALID);
    }
}

static void test_messages(void **state)
{
    static const struct {
        const char *text;
        int type; /* -1: refused */
    } cases[] = {
        { "{\"call\":1,\"method\":\"a.b\"}", MESSAGE_CALL },
        { "{\"call\":1,\"method\":\"a.b\",\"finish\":true,\"later\":[1]}", MESSAGE_CALL },
        { "{\"call\":4294967295,\"method\":\"a\",\"params\":{},\"deadline_ms\":1}", MESSAGE_CALL },
        { "{\"cancel\":1}", MESSAGE_CANCEL },
        { "{\"data\":1,\"value\":null}", MESSAGE_DATA },
        { "{\"end\":1,\"result\":{}}", MESSAGE_END },
        { "{\"end\":1,\"error\":{\"code\":\"x\"}}", MESSAGE_END },
        { "{\"finish\":1}", MESSAGE_FINISH },
        { "{\"ping\":1}", MESSAGE_PING },
        { "{\"pong\":1}", MESSAGE_PONG },
        { "{\"window\":1,\"bytes\":65536}", MESSAGE_WINDOW },
        { "", -1 },
        { "{", -1 },
        { "[]", -1 },
        { "1", -1 },
        { "{}", -1 },
        { "{} ", -1 },
        { "{\"hello\":1}", -1 },
        { "{\"ping\":1}{\"ping\":2}", -1 },
        { "{\"ping\":1,\"pong\":1}", -1 },
        { "{\"ping\":1,\"ping\":1}", -1 },
        { "{\"ping\":0}", -1 },
        { "{\"ping\":-1}", -1 },
        { "{\"ping\":\"1\"}", -1 },
        { "{\"ping\":1.0}", -1 },
        { "{\"cancel\":4294967296}", -1 },
        { "{\"call\":1}", -1 },
        { "{\"call\":1,\"method\":\"\"}", -1 },
        { "{\"call\":1,\"method\":\"A\"}", -1 },
        { "{\"call\":1,\"method\":\"a\",\"params\":[]}", -1 },
        { "{\"call\":1,\"method\":\"a\",\"deadline_ms\":0}", -1 },
        { "{\"call\":1,\"method\":\"a\",\"deadline_ms\":\"1\"}", -1 },
        { "{\"call\":1,\"method\":\"a\",\"finish\":1}", -1 },
        { "{\"data\":1}", -1 },
        { "{\"end\":1}", -1 },
        { "{\"end\":1,\"result\":{},\"error\":{}}", -1 },
        { "{\"end\":1,\"result\":1}", -1 },
        { "{\"window\":1}", -1 },
        { "{\"window\":1,\"bytes\":-1}", -1 },
        { "{\"window\":1,\"bytes\":99999999}", -1 },
        { "{\"data\":1,\"value\":\"\\u0000\"}", -1 },
        { "{\"data\":1,\"value\":\"\xff\"}", -1 },
    };
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        struct message m = { 0 };
        struct err err = { 0 };
        auto_free char *copy = xmemdup(cases[i].text, strlen(cases[i].text));
        int rc = message_parse(copy, strlen(cases[i].text), &m, &err);
        if (rc != (cases[i].type < 0 ? -1 : 0) || (rc == 0 && (int)m.type != cases[i].type))
            fail_msg("%s: %d %s", cases[i].text, rc, err.text);
        if (rc == 0)
            message_done(&m);
        else
            assert_int_equal(err.class, ERR_INVALID);
    }
}

static void test_nesting_is_bounded(void **state)
{
    enum { DEEP = 500000 };
    auto_free char *text = xcalloc(DEEP, 1);
    struct message m;
    struct err err = { 0 };
    (void)state;

    memset(text, '[', DEEP);
    memcpy(text, "{\"data\":1,\"value\":", 18);
    assert_int_equal(message_parse(text, DEEP, &m, &err), -1);
}

static void test_errors_go_both_ways(void **state)
{
    struct err in = { 0 }, out = { 0 };
    size_t len;
    (void)state;

    err_field(&in, "a.b", "do c", "wrong \"%s\"", "x");
    auto_free char *text = error_text(&in, &len);
    json_auto_t *object = json_loads(text, 0, NULL);
    error_from(object, &out);
    assert_int_equal(out.class, in.class);
    assert_string_equal(out.text, in.text);
    assert_string_equal(out.field, in.field);
    assert_string_equal(out.hint, in.hint);
    memset(in.text, 0xc3, sizeof in.text - 1); /* not UTF-8 */
    auto_free char *broken = error_text(&in, &len);
    json_auto_t *still = json_loads(broken, 0, NULL);
    assert_non_null(still);
    json_auto_t *odd = json_pack("{s:i, s:i}", "code", 5, "message", 7);
    error_from(odd, &out);
    assert_int_equal(out.class, ERR_INTERNAL);
}

/* xorshift: the same broken frames every time */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void add_samples(struct buffer *out)
{
    static const char error[] = "{\"code\":\"internal\",\"message\":\"x\"}";

    frame_add_call(out, 1, "link.hello", "{\"version\":1,\"kind\":\"cli\"}", 0, true);
    frame_add_call(out, 2, "build.lease", "{\"wait_ms\":[1,2.5,null,\"\\u00e4\"]}", 99, false);
    frame_add_value(out, "data", 2, "value", "{\"a\":{\"b\":[true]}}", 18);
    frame_add_bytes(out, 2, "0123456789abcdef", 16);
    frame_add_window(out, 2, 65536);
    frame_add_verb(out, "finish", 2);
    frame_add_value(out, "end", 2, "error", error, sizeof error - 1);
    frame_add_verb(out, "ping", 3);
}

static void mutate(struct buffer *b, uint32_t *seed)
{
    static const char odd[] = "{}[]\",:0-9\\\xff\x00\x01\x7f";

    for (uint32_t n = 1 + next_random(seed) % 4; n && b->len; n--) {
        size_t at = next_random(seed) % b->len;
        switch (next_random(seed) % 4) {
        case 0:
            b->data[at] ^= (unsigned char)(1u << next_random(seed) % 8);
            break;
        case 1:
            b->data[at] = (unsigned char)odd[next_random(seed) % (sizeof odd - 1)];
            break;
        case 2:
            b->len = at;
            break;
        default:
            buffer_drop(b, at);
        }
    }
}

/* Parses as a link would, up to the first thing it refuses. */
static size_t parse_all(const unsigned char *data, size_t len)
{
    size_t done = 0, count = 0;

    for (;;) {
        struct frame f;
        struct message m = { 0 };
        struct err err = { 0 };
        if (frame_parse(data + done, len - done, RPC_FRAME_MAX, &f, &err) != 1)
            return count;
        if (f.kind == FRAME_JSON) {
            if (message_parse(f.data, f.len, &m, &err))
                return count;
            message_done(&m);
        }
        done += f.size;
        count++;
    }
}

static void test_broken_frames_do_no_harm(void **state)
{
    auto_buffer samples = { 0 };
    uint32_t seed = 20260131;
    size_t good = 0;
    (void)state;

    add_samples(&samples);
    assert_int_equal(parse_all(samples.data, samples.len), 8);
    for (int i = 0; i < 100000; i++) {
        auto_buffer b = { 0 };
        buffer_add(&b, samples.data, samples.len);
        mutate(&b, &seed);
        /* the exact size, so that AddressSanitizer sees a read past it */
        auto_free unsigned char *exact = xmemdup(b.data, b.len);
        good += parse_all(exact, b.len);
    }
    assert_true(good > 1000 && good < 800000); /* neither all nor nothing was refused */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_of_the_page),    cmocka_unit_test(test_frames_in_pieces),
        cmocka_unit_test(test_malformed_frames),         cmocka_unit_test(test_messages),
        cmocka_unit_test(test_nesting_is_bounded),       cmocka_unit_test(test_errors_go_both_ways),
        cmocka_unit_test(test_broken_frames_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
