#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/image.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check(const char *text, const char *host, const char *name, const char *tag,
                  const char *digest)
{
    auto_image image = { .host = NULL };
    struct err err = { .class = ERR_NONE };
    const char *want[] = { host, name, tag, digest };

    if (image_parse(text, &image, &err))
        fail_msg("%s: %s", text, err.text);
    const char *got[] = { image.host, image.name, image.tag, image.digest };
    for (size_t i = 0; i < countof(want); i++) {
        assert_int_equal(!want[i], !got[i]);
        if (want[i])
            assert_string_equal(got[i], want[i]);
    }
    auto_free char *back = image_text(&image);
    assert_string_equal(back, text);
}

static void references_are_split(void **state)
{
    (void)state;
    check("busybox", NULL, "busybox", NULL, NULL);
    check("busybox:1.36", NULL, "busybox", "1.36", NULL);
    check("evenkeel/default/shop:0a1b2c", NULL, "evenkeel/default/shop", "0a1b2c", NULL);
    check("localhost/a", "localhost", "a", NULL, NULL);
    check("127.0.0.1:5000/a/b:t", "127.0.0.1:5000", "a/b", "t", NULL);
    check("r.example.org/a@sha256:" HEX, "r.example.org", "a", NULL, "sha256:" HEX);
    check("r.example.org/a:v1@sha256:" HEX, "r.example.org", "a", "v1", "sha256:" HEX);
    check("sha256:" HEX, NULL, NULL, NULL, "sha256:" HEX);
    check("a__b/c---d.e_f", NULL, "a__b/c---d.e_f", NULL, NULL);
}

static void wrong_references_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "A",
        "a b",
        "a//b",
        "/a",
        "a/",
        "a:",
        "a:-x",
        "a:x y",
        "a@sha256:0",
        "a@md5:" HEX,
        "a@",
        "a..b",
        "a___b",
        "-a",
        "a-",
        "h.x:/a",
        "h.x:123456/a",
        "h.x:p/a",
        "h..x/a",
        "a?b",
        "a/../b",
        "a%2fb",
        "a#b",
        "a:t:u",
        "../etc",
        "a\nb",
        "a@b@c",
        "sha256:" HEX "0@x",
        "a:" HEX HEX "0",
    };

    (void)state;
    for (size_t i = 0; i < countof(wrong); i++) {
        auto_image image = { .host = NULL };
        struct err err = { .class = ERR_NONE };
        if (!image_parse(wrong[i], &image, &err))
            fail_msg("\"%s\" was accepted", wrong[i]);
        assert_int_equal(err.class, ERR_INVALID);
    }
}

static void long_references_are_refused(void **state)
{
    char text[IMAGE_TEXT_MAX + 2];
    auto_image image = { .host = NULL };
    struct err err = { .class = ERR_NONE };

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(image_parse(text, &image, &err), -1);
    text[IMAGE_TEXT_MAX] = '\0';
    assert_int_equal(image_parse(text, &image, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_split),
        cmocka_unit_test(wrong_references_are_refused),
        cmocka_unit_test(long_references_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
