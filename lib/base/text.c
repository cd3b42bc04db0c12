#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool text_is_label(const char *text, size_t max)
{
    size_t n = strlen(text);

    if (n == 0 || n > max || text[0] == '-' || text[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_label_char(text[i]))
            return false;
    return true;
}

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), or 0. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t n = *p < 0x80                  ? 1
               : *p >= 0xc2 && *p <= 0xdf ? 2
               : *p >= 0xe0 && *p <= 0xef ? 3
               : *p >= 0xf0 && *p <= 0xf4 ? 4
                                          : 0;

    if (n == 0 || n > left || *p == 0)
        return 0;
    if (*p == 0xe0)
        low = 0xa0;
    if (*p == 0xed)
        high = 0x9f;
    if (*p == 0xf0)
        low = 0x90;
    if (*p == 0xf4)
        high = 0x8f;
    if (n > 1 && (p[1] < low || p[1] > high))
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

char *text_utf8(const void *data, size_t len)
{
    const unsigned char *p = data, *end = p + len;
    char *out = NULL;
    size_t out_len;
    FILE *f = xmemstream(&out, &out_len);

    while (p < end) {
        size_t n = utf8_len(p, (size_t)(end - p));
        if (n)
            fwrite(p, 1, n, f);
        else
            fputs("\xef\xbf\xbd", f);
        p += n ? n : 1;
    }
    fclose(f);
    return out;
}

bool text_int(const char *text, int64_t *value)
{
    char *end;

    if (!text || !*text || (*text != '-' && (*text < '0' || *text > '9')))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end)
        return false;
    *value = v;
    return true;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool with_unit(const char *text, const struct unit *units, size_t count, int64_t *value)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    int64_t n, product;

    if (digits == 0 || digits > 15)
        return false;
    auto_free char *number = xstrndup(text, digits);
    if (!text_int(number, &n))
        return false;
    size_t i = 0;
    for (; i < count; i++)
        if (strcmp(text + digits, units[i].name) == 0)
            break;
    if (i == count || __builtin_mul_overflow(n, units[i].factor, &product))
        return false;
    *value = product;
    return true;
}

bool text_duration_ms(const char *text, int64_t *ms)
{
    static const struct unit units[] = {
        { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }
    };
    return with_unit(text, units, countof(units), ms);
}

bool text_size(const char *text, int64_t *bytes)
{
    static const struct unit units[] = { { "", 1 },
                                         { "Ki", 1 << 10 },
                                         { "Mi", 1 << 20 },
                                         { "Gi", 1 << 30 },
                                         { "Ti", INT64_C(1) << 40 } };
    return with_unit(text, units, countof(units), bytes);
}

/* Levenshtein distance, up to 63 bytes of each word. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strnlen(b, 63);

    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] && i < 64; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[n];
}

const char *text_nearest(const char *word, const char *const *words)
{
    const char *best = NULL;
    size_t best_distance = 1 + strlen(word) / 3;

    for (; *words; words++) {
        size_t d = distance(word, *words);
        if (d <= best_distance && (!best || d < best_distance)) {
            best = *words;
            best_distance = d;
        }
    }
    return best;
}

char *text_hex(const void *data, size_t len)
{
    const unsigned char *p = data;
    char *out = xcalloc(len * 2 + 1, 1);

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = "0123456789abcdef"[p[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[p[i] & 15];
    }
    return out;
}

static const char base64_chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *text_base64(const void *data, size_t len)
{
    const unsigned char *p = data;
    char *out = xcalloc((len + 2) / 3 * 4 + 1, 1), *o = out;

    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < len ? p[i + 2] : 0);
        *o++ = base64_chars[v >> 18];
        *o++ = base64_chars[v >> 12 & 63];
        *o++ = i + 1 < len ? base64_chars[v >> 6 & 63] : '=';
        *o++ = i + 2 < len ? base64_chars[v & 63] : '=';
    }
    return out;
}

char *text_base64url(const void *data, size_t len)
{
    char *out = text_base64(data, len);

    for (char *c = out; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
    return out;
}

void *text_unbase64(const char *text, size_t len, size_t *out_len)
{
    auto_free unsigned char *out = xcalloc(len / 4 * 3 + 4, 1);
    size_t n = 0, bits = 0;
    unsigned value = 0;

    while (len && text[len - 1] == '=')
        len--;
    if (len % 4 == 1)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        const char *at = text[i] ? strchr(base64_chars, text[i]) : NULL;
        if (!at)
            return NULL;
        value = (value << 6 | (unsigned)(at - base64_chars)) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (unsigned char)(value >> bits);
        }
    }
    *out_len = n;
    return take(&out);
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

char *text_url_escape(const char *text)
{
    char *out = xcalloc(strlen(text) * 3 + 1, 1), *o = out;

    for (; *text; text++) {
        if (is_unreserved(*text))
            *o++ = *text;
        else
            o += snprintf(o, 4, "%%%02X", (unsigned char)*text);
    }
    return out;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

char *text_url_unescape(const char *text, size_t len)
{
    auto_free char *out = xcalloc(len + 1, 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 1 < len ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (!c)
            return NULL;
        out[n++] = c;
    }
    return take(&out);
}

char *text_time(int64_t unix_ms)
{
    /* RFC 3339 has years of four digits: 0000 to 9999 */
    const int64_t first = INT64_C(-62167219200000), last = INT64_C(253402300799999);
    int64_t ms = unix_ms < first ? first : unix_ms > last ? last : unix_ms;
    int part = (int)((ms % 1000 + 1000) % 1000);
    time_t seconds = (ms - part) / 1000;
    struct tm tm;

    gmtime_r(&seconds, &tm);
    return xasprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, part);
}
