#include "builder/ignore.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PATTERNS_MAX = 1000, PATTERN_MAX = 1024 };

enum kind { ONE, ANY_ONE, ANY_NAME, ANY_FOLDERS, ANY_REST, CLASS };

struct token {
    enum kind kind;
    char c;            /* ONE */
    const char *class; /* CLASS: behind the `[`, in the pattern's text */
    size_t class_len;  /* to the `]` */
};

struct pattern {
    bool is_exception;
    char *text;
    struct token *tokens;
    size_t count;
};

struct ignore {
    struct pattern *patterns;
    size_t count;
};

/* ---- reading ---- */

static size_t class_length(const char *text)
{
    size_t i = text[0] == '^' ? 1 : 0;

    for (; text[i]; i++) {
        if (text[i] == ']' && i > 0)
            return i;
        if (text[i] == '\\' && text[i + 1])
            i++;
    }
    return 0; /* not closed: a plain bracket */
}

/* Puts the token that starts at `at`; returns the bytes it takes. */
static size_t read_token(const char *at, struct token *t)
{
    if (at[0] == '*' && at[1] == '*') {
        size_t len = at[2] == '/' ? 3 : 2;
        t->kind = at[len] ? ANY_FOLDERS : ANY_REST;
        return len;
    }
    if (at[0] == '*' || at[0] == '?') {
        t->kind = at[0] == '*' ? ANY_NAME : ANY_ONE;
        return 1;
    }
    if (at[0] == '[' && class_length(at + 1) > 0) {
        t->kind = CLASS;
        t->class = at + 1;
        t->class_len = class_length(at + 1);
        return t->class_len + 2;
    }
    t->kind = ONE;
    t->c = at[0];
    if (at[0] == '\\' && at[1]) {
        t->c = at[1];
        return 2;
    }
    return 1;
}

/* "/a/./b/" → "a/b"; inner ".." stay, and match nothing. */
static char *clean_path(const char *text, size_t len)
{
    auto_free char *out = xcalloc(len + 1, 1);
    size_t n = 0;

    for (size_t i = 0; i < len;) {
        size_t name = 0;
        while (i + name < len && text[i + name] != '/')
            name++;
        if (name && !(name == 1 && text[i] == '.')) {
            if (n)
                out[n++] = '/';
            memcpy(out + n, text + i, name);
            n += name;
        }
        i += name + 1;
    }
    return take(&out);
}

static int add_pattern(struct ignore *ignore, const char *line, size_t len, struct err *err)
{
    struct pattern p = { 0 };

    if (len && line[0] == '!') {
        p.is_exception = true;
        line++, len--;
        while (len && isspace((unsigned char)*line))
            line++, len--;
    }
    if (len > PATTERN_MAX || ignore->count == PATTERNS_MAX)
        return err_set(err, ERR_EXHAUSTED,
                       ".dockerignore has more than %d patterns, or one over %d bytes",
                       PATTERNS_MAX, PATTERN_MAX);
    p.text = clean_path(line, len);
    p.tokens = xcalloc(strlen(p.text) + 1, sizeof *p.tokens);
    for (const char *at = p.text; *at; p.count++)
        at += read_token(at, &p.tokens[p.count]);
    ignore->patterns = xreallocarray(ignore->patterns, ignore->count + 1, sizeof p);
    ignore->patterns[ignore->count++] = p;
    return 0;
}

int ignore_parse(const char *text, size_t len, struct ignore **out, struct err *err)
{
    auto_ignore *ignore = xcalloc(1, sizeof *ignore);
    const char *at = text, *end = text + len;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline ? newline + 1 : end, *stop = newline ? newline : end;
        bool is_comment = *at == '#';
        while (at < stop && isspace((unsigned char)*at))
            at++;
        while (stop > at && isspace((unsigned char)stop[-1]))
            stop--;
        if (!is_comment && at < stop && !memchr(at, 0, (size_t)(stop - at)) &&
            add_pattern(ignore, at, (size_t)(stop - at), err) < 0)
            return -1;
        at = next;
    }
    *out = take(&ignore);
    return 0;
}

void ignore_free(struct ignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->count; i++) {
        free(ignore->patterns[i].text);
        free(ignore->patterns[i].tokens);
    }
    free(ignore->patterns);
    free(ignore);
}

/* ---- matching ---- */

static char class_char(const char **at)
{
    if (**at == '\\')
        (*at)++;
    return *(*at)++;
}

static bool in_class(const struct token *t, char c)
{
    const char *at = t->class, *end = t->class + t->class_len;
    bool is_negated = *at == '^', is_in = false;

    if (is_negated)
        at++;
    while (at < end) {
        char low = class_char(&at), high = low;
        if (at + 1 < end && *at == '-') {
            at++;
            high = class_char(&at);
        }
        if ((unsigned char)c >= (unsigned char)low && (unsigned char)c <= (unsigned char)high)
            is_in = true;
    }
    return is_in != is_negated && c != '/';
}

/* Marks state i, and those reachable from it without a character. State i: tokens 0 … i-1 are
 * done. */
static void enter(const struct pattern *p, bool *states, size_t i)
{
    for (;; i++) {
        states[i] = true;
        if (i == p->count || (p->tokens[i].kind != ANY_NAME && p->tokens[i].kind != ANY_FOLDERS &&
                              p->tokens[i].kind != ANY_REST))
            return;
    }
}

static void step(const struct pattern *p, const bool *now, bool *next, char c)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct token *t = &p->tokens[i];
        if (!now[i])
            continue;
        if ((t->kind == ONE && t->c == c) || (t->kind == ANY_ONE && c != '/') ||
            (t->kind == CLASS && in_class(t, c)))
            enter(p, next, i + 1);
        else if (t->kind == ANY_REST || (t->kind == ANY_NAME && c != '/'))
            enter(p, next, i);
        else if (t->kind == ANY_FOLDERS) {
            next[i] = true; /* inside; on from here only behind a slash */
            if (c == '/')
                enter(p, next, i + 1);
        }
    }
}

/* Does the pattern match the path or a folder above it? */
static bool matches(const struct pattern *p, const char *path)
{
    bool a[PATTERN_MAX + 2] = { false }, b[PATTERN_MAX + 2];
    bool *now = a, *next = b;

    if (p->count == 0)
        return false;
    enter(p, now, 0);
    for (const char *c = path; *c; c++) {
        if (*c == '/' && c > path && now[p->count])
            return true;
        memset(next, 0, (p->count + 1) * sizeof *next);
        step(p, now, next, *c);
        bool *swap = now;
        now = next;
        next = swap;
    }
    return now[p->count];
}

bool ignore_matches(const struct ignore *ignore, const char *path)
{
    bool is_ignored = false;

    for (size_t i = 0; ignore && i < ignore->count; i++)
        if (ignore->patterns[i].is_exception == is_ignored && matches(&ignore->patterns[i], path))
            is_ignored = !ignore->patterns[i].is_exception;
    return is_ignored;
}
