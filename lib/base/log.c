#include "base/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

static const char *const names[] = { "debug", "info", "warn", "error" };
static atomic_int threshold = LOG_INFO;

int log_set_level(const char *name)
{
    for (size_t i = 0; i < countof(names); i++)
        if (strcmp(names[i], name) == 0) {
            threshold = (int)i;
            return 0;
        }
    return -1;
}

static void put_time(FILE *out)
{
    struct timespec now;
    struct tm tm;
    char text[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(out, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static bool is_plain(const char *value)
{
    if (!*value)
        return false;
    for (const unsigned char *c = (const unsigned char *)value; *c; c++)
        if (*c <= ' ' || *c == '"' || *c == '=' || *c == '\\' || *c >= 0x7f)
            return false;
    return true;
}

static void put_quoted(FILE *out, const char *value)
{
    auto_free char *clean = text_utf8(value, strlen(value));

    putc('"', out);
    for (const char *c = clean; *c; c++) {
        if (*c == '\n')
            fputs("\\n", out);
        else if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            fprintf(out, "\\x%02x", (unsigned char)*c);
        else
            putc(*c, out);
    }
    putc('"', out);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    auto_free char *line = NULL;
    size_t len;

    if ((int)level < threshold)
        return;
    FILE *out = xmemstream(&line, &len);
    put_time(out);
    fprintf(out, " %s %s", names[level], event);
    for (const struct log_field *f = fields; f->key; f++) {
        fprintf(out, " %s=", f->key);
        if (!f->text)
            fprintf(out, "%lld", (long long)f->number);
        else if (is_plain(f->text))
            fputs(f->text, out);
        else
            put_quoted(out, f->text);
    }
    putc('\n', out);
    fclose(out);
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say it */
}
