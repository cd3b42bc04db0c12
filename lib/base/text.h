/* Text: what C's string functions leave out. Everything returned as `char *` is the caller's to
 * free. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);

/* A DNS label: a-z, 0-9 and inner dashes, 1 to `max` bytes. Projects, apps, processes. */
bool text_is_label(const char *text, size_t max);

/* Bytes made valid UTF-8: each wrong byte, and NUL, becomes U+FFFD. */
char *text_utf8(const void *data, size_t len);

/* Whole-string parsers: false when anything but the value is there. */
bool text_int(const char *text, int64_t *value);
bool text_duration_ms(const char *text, int64_t *ms); /* "250ms", "30s", "15m", "1h", "7d" */
bool text_size(const char *text, int64_t *bytes);     /* "512", "64Ki", "256Mi", "1Gi" */

/* The item of a NULL-ended list that `word` was probably meant to be, or NULL when none is near. */
const char *text_nearest(const char *word, const char *const *words);

/* Lower-case hex of bytes; base64 of RFC 4648, with padding, and its URL form without. */
char *text_hex(const void *data, size_t len);
char *text_base64(const void *data, size_t len);
char *text_base64url(const void *data, size_t len);
/* NULL when `text` is not base64 (standard alphabet, padding optional). A NUL follows the data. */
void *text_unbase64(const char *text, size_t len, size_t *out_len);

/* %XX for everything but RFC 3986's unreserved characters; and back (NULL when malformed or with a
 * NUL). */
char *text_url_escape(const char *text);
char *text_url_unescape(const char *text, size_t len);

/* RFC 3339 in UTC with milliseconds: "2026-01-31T08:00:00.000Z"; years outside 0 to 9999 become the
 * nearest inside. */
char *text_time(int64_t unix_ms);

#endif
