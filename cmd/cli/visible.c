#include "cmd/cli/visible.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/mem.h"
#include "base/text.h"

/* Ranges that are shown by number. */
static const struct {
    uint32_t first, last;
} hidden[] = {
    { 0x00, 0x1f },     { 0x7f, 0x9f },       { 0xad, 0xad },     { 0x61c, 0x61c },
    { 0x200b, 0x200f }, { 0x2028, 0x202e },   { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
    { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
};

static bool is_hidden(uint32_t point)
{
    for (size_t i = 0; i < countof(hidden); i++)
        if (point >= hidden[i].first && point <= hidden[i].last)
            return true;
    return false;
}

/* One code point of valid UTF-8, and its length in bytes. */
static uint32_t decode(const char *text, size_t *len)
{
    const unsigned char *c = (const unsigned char *)text;

    *len = *c < 0x80 ? 1 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : 4;
    uint32_t point = *len == 1 ? *c : *c & (0x7fU >> *len);
    for (size_t i = 1; i < *len; i++)
        point = point << 6 | (c[i] & 0x3fU);
    return point;
}

static void put(FILE *out, const char *text, size_t len, uint32_t point)
{
    if (!is_hidden(point))
        fwrite(text, 1, len, out);
    else if (point == '\n' || point == '\t' || point == '\r')
        fprintf(out, "\\%c", point == '\n' ? 'n' : point == '\t' ? 't' : 'r');
    else if (point < 0x100)
        fprintf(out, "\\x%02x", point);
    else
        fprintf(out, "\\u{%x}", point);
}

char *visible(const char *text)
{
    auto_free char *valid = text_utf8(text, strlen(text));
    char *result = NULL;
    size_t result_len, len;
    FILE *out = xmemstream(&result, &result_len);

    for (const char *c = valid; *c; c += len) {
        uint32_t point = decode(c, &len);
        put(out, c, len, point);
    }
    fclose(out);
    return result;
}

static size_t width_of(uint32_t point)
{
    int width = wcwidth((wchar_t)point);

    return width < 0 ? 1 : (size_t)width;
}

size_t visible_width(const char *text)
{
    size_t width = 0, len;

    for (; *text; text += len)
        width += width_of(decode(text, &len));
    return width;
}

char *visible_cut(const char *text, size_t width)
{
    size_t used = 0, len;
    const char *c = text;

    if (visible_width(text) <= width)
        return xstrdup(text);
    for (; *c; c += len) {
        size_t more = width_of(decode(c, &len));
        if (used + more + 1 > width) /* 1: the … */
            break;
        used += more;
    }
    return xasprintf("%.*s…", (int)(c - text), text);
}
