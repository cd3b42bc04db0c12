#include "builder/dockerfile.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

/* BuildKit reads a Dockerfile by lines of at most 65,535 bytes. */
enum { IMAGE_MAX = 512, SCRIPT_MAX = 60000 };

/* ---- the syntax line ---- */

struct directive {
    const char *key, *value;
    size_t key_len, value_len;
};

/* `# key = value`, the form of BuildKit's parser directives; also with // as newer ones take. */
static bool parse_directive(const char *line, size_t len, struct directive *d)
{
    const char *at = line, *end = line + len;

    if (at < end && *at == '#')
        at++;
    else if (end - at >= 2 && at[0] == '/' && at[1] == '/')
        at += 2;
    else
        return false;
    while (at < end && isspace((unsigned char)*at))
        at++;
    d->key = at;
    while (at < end && isalnum((unsigned char)*at))
        at++;
    d->key_len = (size_t)(at - d->key);
    while (at < end && isspace((unsigned char)*at))
        at++;
    if (d->key_len == 0 || at == end || *at != '=')
        return false;
    at++;
    while (at < end && isspace((unsigned char)*at))
        at++;
    while (end > at && isspace((unsigned char)end[-1]))
        end--;
    d->value = at;
    d->value_len = (size_t)(end - at);
    return d->value_len > 0;
}

static bool is_syntax(const struct directive *d)
{
    return d->key_len == 6 && strncasecmp(d->key, "syntax", 6) == 0;
}

/* Goes through the lines that may hold directives: those at the start of the file, up to the first
 * that is none. Syntax lines go to `removed`, the others to `out`; returns what is behind. */
static const char *split_head(const char *at, const char *end, FILE *out, FILE *removed,
                              char **image)
{
    struct directive d;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline + 1 - at) : (size_t)(end - at);
        bool is_directive = parse_directive(at, len, &d);
        if (!is_directive && !(len > 2 && memcmp(at, "#!", 2) == 0))
            break;
        bool is_removed = is_directive && is_syntax(&d);
        if (is_removed && !*image)
            *image = xstrndup(d.value, d.value_len);
        if (is_removed)
            fprintf(removed, "# removed: syntax=%.*s\n", (int)d.value_len, d.value);
        else
            fwrite(at, 1, len, out);
        at += len;
    }
    return at;
}

/* The comments in the place of syntax lines come behind the other directives, because a comment
 * ends those. */
char *dockerfile_strip_syntax(const char *text, size_t len, char **image)
{
    const char *at = text, *end = text + len;
    auto_free char *out = NULL;
    auto_free char *comments = NULL;
    auto_free char *found = NULL;
    size_t out_len, comments_len;
    FILE *file = xmemstream(&out, &out_len);
    FILE *removed = xmemstream(&comments, &comments_len);

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    fwrite(text, 1, (size_t)(at - text), file);
    at = split_head(at, end, file, removed, &found);
    fclose(removed);
    fwrite(comments, 1, comments_len, file);
    fwrite(at, 1, (size_t)(end - at), file);
    fclose(file);
    *image = take(&found);
    return take(&out);
}

/* ---- the method command ---- */

bool dockerfile_is_image(const char *text)
{
    if (!text || !isalnum((unsigned char)text[0]) || strlen(text) > IMAGE_MAX)
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._/:@-", *c))
            return false;
    return true;
}

static bool is_argument(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return strlen(name) <= 255;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that the same arguments give the same layers. */
static int put_arguments(FILE *out, const json_t *args, struct err *err)
{
    size_t count = json_object_size(args), n = 0;
    auto_free const char **names = xcalloc(count + 1, sizeof *names);
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)args, name, value) {
        if (!is_argument(name))
            return err_field(err, "build.args", NULL, "\"%s\" is not a name of a variable", name);
        names[n++] = name;
    }
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "ARG %s\n", names[i]);
    return 0;
}

/* RUN in its JSON form is neither expanded nor split by the Dockerfile's parser; ASCII only, so one
 * line whatever the script holds. */
static int put_script(FILE *out, const char *script, struct err *err)
{
    json_auto_t *argv = json_pack("[s,s,s]", "sh", "-ec", script);
    auto_free char *text = argv ? json_dumps(argv, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    if (!text)
        return err_field(err, "build.run", NULL, "the script is not valid UTF-8");
    if (strlen(text) > SCRIPT_MAX)
        return err_field(err, "build.run", "put it into a file of the repository and run that",
                         "the script is longer than %d bytes", SCRIPT_MAX);
    fprintf(out, "RUN %s\n", text);
    return 0;
}

int dockerfile_for_command(const struct build_spec *build, char **text, struct err *err)
{
    auto_free char *made = NULL;
    size_t len;
    int rc;

    if (!dockerfile_is_image(build->base))
        return err_field(err, "build.base", NULL, "\"%s\" is not the name of an image",
                         build->base ? build->base : "");
    FILE *out = xmemstream(&made, &len);
    fprintf(out, "FROM %s\nWORKDIR /app\n", build->base);
    rc = put_arguments(out, build->args, err);
    fprintf(out, "COPY app/ ./\n");
    if (rc == 0 && build->run && *build->run)
        rc = put_script(out, build->run, err);
    fclose(out);
    if (rc == 0)
        *text = take(&made);
    return rc;
}
