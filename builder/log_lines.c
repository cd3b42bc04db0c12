#include "builder/log_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static const char cut_mark[] = " … (line cut)";

void log_lines_init(struct log_lines *lines, line_fn emit, void *arg)
{
    *lines = (struct log_lines){ .emit = emit, .arg = arg };
}

void log_lines_done(struct log_lines *lines)
{
    free(take(&lines->partial));
}

/* The index behind an escape sequence that starts at `i`: ESC [ … final byte, or ESC and one more.
 */
static size_t skip_escape(const unsigned char *text, size_t len, size_t i)
{
    i++;
    if (i >= len || text[i] != '[')
        return i < len ? i + 1 : len;
    i++;
    while (i < len && text[i] >= 0x20 && text[i] <= 0x3f)
        i++;
    return i < len ? i + 1 : len;
}

char *log_lines_clean(const void *data, size_t len)
{
    const unsigned char *in = data;
    auto_free char *plain = xcalloc(len + 1, 1);
    size_t n = 0;

    for (size_t i = 0; i < len;) {
        if (in[i] == 0x1b) {
            i = skip_escape(in, len, i);
            continue;
        }
        if (in[i] == '\n' || in[i] == '\t')
            plain[n++] = in[i] == '\t' ? '\t' : ' ';
        else if (in[i] >= ' ' && in[i] != 0x7f)
            plain[n++] = (char)in[i];
        i++;
    }
    return text_utf8(plain, n);
}

/* A byte that is not valid UTF-8 grows to three, so the bound is looked at once more here. */
static void emit(struct log_lines *lines)
{
    auto_free char *clean = log_lines_clean(lines->partial, lines->len);
    size_t len = strlen(clean), room = LINE_MAX_BYTES - sizeof cut_mark;

    if (len > room || lines->is_cut) {
        if (len > room)
            len = room;
        while (len && ((unsigned char)clean[len] & 0xc0) == 0x80)
            len--;
        auto_free char *cut = xasprintf("%.*s%s", (int)len, clean, cut_mark);
        lines->emit(lines->arg, cut, strlen(cut));
    } else {
        lines->emit(lines->arg, clean, len);
    }
    lines->len = 0;
    lines->is_cut = lines->is_returned = false;
}

static void put(struct log_lines *lines, char c)
{
    if (lines->len == LINE_MAX_BYTES) {
        lines->is_cut = true;
        return;
    }
    if (lines->len == lines->size) {
        lines->size = lines->size ? lines->size * 2 : 256;
        lines->partial = xreallocarray(lines->partial, lines->size, 1);
    }
    lines->partial[lines->len++] = c;
}

void log_lines_add(struct log_lines *lines, const void *data, size_t len)
{
    const char *in = data;

    for (size_t i = 0; i < len; i++) {
        if (in[i] == '\n') {
            emit(lines);
            continue;
        }
        if (lines->is_returned && in[i] != '\r') {
            lines->len = 0;
            lines->is_cut = lines->is_returned = false;
        }
        if (in[i] == '\r')
            lines->is_returned = true;
        else
            put(lines, in[i]);
    }
}

void log_lines_flush(struct log_lines *lines)
{
    if (lines->len)
        emit(lines);
}
