/* A peer that is not ours, on a raw socket: what closes the link, what is answered, what is
 * ignored. */
#include "rig.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc/buffer.h"
#include "rpc/frame.h"

static int connect_raw(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, rig.path, strlen(rig.path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void put(int fd, const void *data, size_t len)
{
    for (const char *p = data; len;) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0)
            return; /* closed: reading will say so */
        p += n;
        len -= (size_t)n;
    }
}

static void put_json(int fd, const char *text)
{
    size_t len = strlen(text);
    unsigned char header[FRAME_HEADER] = { 0, (unsigned char)(len >> 16), (unsigned char)(len >> 8),
                                           (unsigned char)len, FRAME_JSON };

    put(fd, header, sizeof header);
    put(fd, text, len);
}

static bool get(int fd, void *data, size_t len)
{
    for (char *p = data; len;) {
        struct pollfd ready = { fd, POLLIN, 0 };
        if (poll(&ready, 1, LIMIT_MS) != 1)
            fail_msg("neither an answer nor an end");
        ssize_t n = read(fd, p, len);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* The next JSON message; NULL when the link was closed. */
static json_t *get_json(int fd)
{
    unsigned char header[FRAME_HEADER];

    if (!get(fd, header, sizeof header))
        return NULL;
    size_t len = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    auto_free char *text = xcalloc(len + 1, 1);
    if (!get(fd, text, len))
        return NULL;
    return header[4] == FRAME_JSON ? json_loadb(text, len, 0, NULL) : json_null();
}

#define HELLO                                                                                    \
    "{\"call\":1,\"method\":\"link.hello\",\"params\":{\"version\":1,\"kind\":\"cli\",\"name\":" \
    "\"raw\"}}"

static int connect_greeted(void)
{
    int fd = connect_raw();

    put_json(fd, HELLO);
    json_auto_t *answer = get_json(fd);
    const json_t *result = json_object_get(answer, "result");
    assert_true(json_is_integer(json_object_get(result, "session")));
    assert_true(json_integer_value(json_object_get(result, "ping_ms")) > 0);
    return fd;
}

/* Does the link still answer? */
static bool is_alive(int fd)
{
    put_json(fd, "{\"ping\":77}");
    for (;;) {
        json_auto_t *answer = get_json(fd);
        if (!answer)
            return false;
        if (json_integer_value(json_object_get(answer, "pong")) == 77)
            return true;
    }
}

#define OPEN(n) "{\"call\":" #n ",\"method\":\"test.items\"}"

/* After a hello. Each string is a JSON frame, or with a leading '#' bytes of hex as they are. */
static const struct {
    const char *name;
    bool stays;
    const char *sent[6];
} cases[] = {
    { "nothing odd", true, { OPEN(2), "{\"data\":2,\"value\":1}", "{\"finish\":2}" } },
    { "unknown members", true, { "{\"call\":2,\"method\":\"test.echo\",\"x\":{}}" } },
    { "unknown method", true, { "{\"call\":2,\"method\":\"no.such\"}" } },
    { "numbers with gaps", true, { OPEN(5), OPEN(900) } },
    { "cancel", true, { OPEN(2), "{\"cancel\":2}" } },
    { "cancel twice", true, { OPEN(2), "{\"cancel\":2}", "{\"cancel\":2}" } },
    { "data after cancel", true, { OPEN(2), "{\"cancel\":2}", "{\"data\":2,\"value\":1}" } },
    { "bytes after cancel", true, { OPEN(2), "{\"cancel\":2}", "#00000005 01 00000002 61" } },
    { "window after cancel", true, { OPEN(2), "{\"cancel\":2}", "{\"window\":2,\"bytes\":9}" } },
    { "pong unasked", true, { "{\"pong\":9}" } },
    { "not JSON", false, { "hello" } },
    { "no object", false, { "[1]" } },
    { "empty object", false, { "{}" } },
    { "empty frame", false, { "#00000000 00" } },
    { "unknown message", false, { "{\"shout\":2}" } },
    { "unknown frame kind", false, { "#00000002 07 7b7d" } },
    { "a frame over 1 MiB", false, { "#00100001 00" } },
    { "bytes without any", false, { OPEN(2), "#00000004 01 00000002" } },
    { "call number again", false, { OPEN(2), OPEN(2) } },
    { "call number falls", false, { OPEN(9), OPEN(8) } },
    { "call number of hello", false, { OPEN(1) } },
    { "call without method", false, { "{\"call\":2}" } },
    { "params no object", false, { "{\"call\":2,\"method\":\"test.echo\",\"params\":3}" } },
    { "second hello", false, { "{\"call\":2,\"method\":\"link.hello\"}" } },
    { "data never opened", false, { "{\"data\":2,\"value\":1}" } },
    { "bytes never opened", false, { "#00000005 01 00000002 61" } },
    { "bytes for call 0", false, { "#00000005 01 00000000 61" } },
    { "cancel never opened", false, { "{\"cancel\":2}" } },
    { "finish never opened", false, { "{\"finish\":2}" } },
    { "window never opened", false, { "{\"window\":2,\"bytes\":1}" } },
    { "window not taken", false, { OPEN(2), "{\"window\":2,\"bytes\":1}" } },
    { "end from the dialling side", false, { OPEN(2), "{\"end\":2,\"result\":{}}" } },
    { "data after finish",
      false,
      { "{\"call\":2,\"method\":\"test.hold\"}", "{\"finish\":2}", "{\"data\":2,\"value\":1}" } },
    { "data after finish in the call",
      false,
      { "{\"call\":2,\"method\":\"test.hold\",\"finish\":true}", "{\"data\":2,\"value\":1}" } },
    { "finish twice",
      false,
      { "{\"call\":2,\"method\":\"test.hold\"}", "{\"finish\":2}", "{\"finish\":2}" } },
};

static void put_case(int fd, const char *text)
{
    unsigned byte;

    if (*text != '#') {
        put_json(fd, text);
        return;
    }
    for (text++; sscanf(text, "%2x", &byte) == 1; text += 2) {
        unsigned char c = (unsigned char)byte;
        put(fd, &c, 1);
        while (text[2] == ' ')
            text++;
    }
}

static void test_cases(void **state)
{
    (void)state;

    for (size_t i = 0; i < countof(cases); i++) {
        auto_fd int fd = connect_greeted();
        for (size_t n = 0; n < countof(cases[i].sent) && cases[i].sent[n]; n++)
            put_case(fd, cases[i].sent[n]);
        if (is_alive(fd) != cases[i].stays)
            fail_msg("%s: the link %s", cases[i].name, cases[i].stays ? "was closed" : "stayed");
    }
}

static void test_before_hello(void **state)
{
    static const char *const first[] = {
        "{\"call\":1,\"method\":\"test.echo\"}",
        "{\"data\":1,\"value\":1}",
        "{\"call\":1,\"method\":\"link.hello\",\"params\":[]}",
        "GET / HTTP/1.1",
        "#00004001 00", /* more than 16 KiB */
    };
    (void)state;

    for (size_t i = 0; i < countof(first); i++) {
        auto_fd int fd = connect_raw();
        put_case(fd, first[i]);
        assert_false(is_alive(fd));
    }
}

static void test_refused_hellos(void **state)
{
    static const struct {
        const char *params, *code;
    } refused[] = {
        { "{\"version\":2,\"kind\":\"cli\",\"name\":\"a\"}", "failed_precondition" },
        { "{\"kind\":\"cli\",\"name\":\"a\"}", "failed_precondition" },
        { "{\"version\":1,\"kind\":\"king\",\"name\":\"a\"}", "invalid_argument" },
        { "{\"version\":1,\"kind\":\"cli\"}", "invalid_argument" },
        { "{\"version\":1,\"kind\":\"cli\",\"name\":\"a b\"}", "invalid_argument" },
        { "{}", "failed_precondition" },
    };
    (void)state;

    for (size_t i = 0; i < countof(refused); i++) {
        auto_fd int fd = connect_raw();
        auto_free char *hello =
            xasprintf("{\"call\":1,\"method\":\"link.hello\",\"params\":%s}", refused[i].params);
        put_json(fd, hello);
        json_auto_t *answer = get_json(fd); /* says why, then closes */
        const json_t *error = json_object_get(answer, "error");
        assert_string_equal(json_string_value(json_object_get(error, "code")), refused[i].code);
        assert_null(get_json(fd));
    }
}

/* More data than the window, to a handler that does not read. */
static void test_overrunning_the_window(void **state)
{
    auto_fd int fd = connect_greeted();
    auto_free char *data = xcalloc(64 * 1024, 1);
    auto_buffer frames = { 0 };
    (void)state;

    put_json(fd, "{\"call\":2,\"method\":\"test.hold\"}");
    for (int i = 0; i < 4; i++)
        frame_add_bytes(&frames, 2, data, 64 * 1024);
    put(fd, frames.data, frames.len);
    assert_true(is_alive(fd)); /* exactly the window */
    frames.len = 0;
    frame_add_bytes(&frames, 2, "x", 1);
    put(fd, frames.data, frames.len);
    assert_false(is_alive(fd));
}

static void test_too_many_calls(void **state)
{
    auto_fd int fd = connect_greeted();
    int refused = 0;
    (void)state;

    for (int i = 2; i < RPC_CALLS_MAX + 12; i++) {
        auto_free char *call = xasprintf("{\"call\":%d,\"method\":\"test.items\"}", i);
        put_json(fd, call);
        if (i % 128 == 0)
            assert_true(is_alive(fd)); /* not faster than the pool */
    }
    put_json(fd, "{\"ping\":5}");
    for (;;) {
        json_auto_t *answer = get_json(fd);
        assert_non_null(answer);
        if (json_object_get(answer, "error"))
            refused++;
        if (json_integer_value(json_object_get(answer, "pong")) == 5)
            break;
    }
    assert_true(refused >= 10); /* the calls beyond the bound; the link stays */
}

static void test_a_silent_link_is_closed(void **state)
{
    auto_fd int fd = connect_greeted();
    auto_fd int mute = connect_raw(); /* not even a hello */
    int pings = 0;
    (void)state;

    for (;;) {
        json_auto_t *message = get_json(fd);
        if (!message)
            break;
        pings += json_object_get(message, "ping") != NULL;
    }
    assert_true(pings >= 2);
    assert_null(get_json(mute));
}

static void test_garbage_of_a_fixed_seed(void **state)
{
    uint32_t seed = 4711;
    (void)state;

    for (int i = 0; i < 300; i++) {
        auto_fd int fd = i % 2 ? connect_greeted() : connect_raw();
        unsigned char data[64] = { 0 };
        for (size_t n = 4; n < sizeof data; n++) {
            seed = seed * 1664525 + 1013904223;
            data[n] = (unsigned char)(seed >> 24);
        }
        data[3] = (unsigned char)(i % 50);
        data[4] &= 1;
        put(fd, data, sizeof data);
    }
    auto_fd int fd = connect_greeted();
    assert_true(is_alive(fd));
}

static int start(void **state)
{
    (void)state;
    rig.config.idle_ms = 900;
    rig_start(&rig);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_before_hello),
        cmocka_unit_test(test_refused_hellos),
        cmocka_unit_test(test_overrunning_the_window),
        cmocka_unit_test(test_too_many_calls),
        cmocka_unit_test(test_a_silent_link_is_closed),
        cmocka_unit_test(test_garbage_of_a_fixed_seed),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
