#include "model/member.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "model/spec.h"

/* ---- checks of texts ---- */

/* One line without control characters. */
static int check_line(char *value, const char *field, struct err *err)
{
    for (const char *c = value; *c; c++)
        if (iscntrl((unsigned char)*c))
            return err_field(err, field, NULL, "`%s` must be one line without control characters",
                             field);
    return 0;
}

static int check_script(char *value, const char *field, struct err *err)
{
    for (const char *c = value; *c; c++)
        if (iscntrl((unsigned char)*c) && *c != '\n' && *c != '\t')
            return err_field(err, field, NULL, "`%s` must not contain control characters", field);
    return 0;
}

static int check_app(char *value, const char *field, struct err *err)
{
    (void)field;
    return spec_check_name(value, "app", 40, err);
}

static int check_process(char *value, const char *field, struct err *err)
{
    return spec_check_name(value, field, 20, err);
}

static int check_host(char *value, const char *field, struct err *err)
{
    return spec_check_host(value, field, err);
}

static int check_env(char *value, const char *field, struct err *err)
{
    (void)field;
    if (strcmp(value, "PORT") == 0)
        return err_field(err, "env.PORT", "write the port into processes.NAME.port",
                         "`env.PORT` is set by Evenkeel from the port of each process");
    return spec_check_env_name(value, err);
}

static int check_arg(char *value, const char *field, struct err *err)
{
    (void)field;
    return spec_check_env_name(value, err);
}

/* The characters that image references are made of; the registry judges the rest. */
static int check_image(char *value, const char *field, struct err *err)
{
    if (isalnum((unsigned char)*value) &&
        strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:@-") ==
            strlen(value))
        return 0;
    return err_field(err, field, NULL, "`%s` must be an image reference like debian:12-slim",
                     field);
}

/* A path below a folder. Empty and "." components go: "./web/" becomes "web", "./" becomes ".". */
static int check_inside(char *value, const char *field, struct err *err)
{
    char *out = value;

    if (check_line(value, field, err))
        return -1;
    if (*value == '/')
        return err_field(err, field, NULL, "`%s` must be a path without a leading /", field);
    for (const char *in = value; *in; in += *in == '/') {
        size_t len = strcspn(in, "/");
        if (len == 2 && memcmp(in, "..", 2) == 0)
            return err_field(err, field, NULL, "`%s` must not contain ..", field);
        if (len && (len > 1 || *in != '.')) {
            if (out > value)
                *out++ = '/';
            memmove(out, in, len);
            out += len;
        }
        in += len;
    }
    if (out == value)
        *out++ = '.';
    *out = '\0';
    return 0;
}

/* What a router can match as it is: no escapes, no empty, "." or ".." components, no query. The
 * trailing slash goes. */
static int check_route_path(char *value, const char *field, struct err *err)
{
    size_t len = strlen(value);

    if (*value != '/')
        return err_field(err, field, NULL, "`%s` must start with /", field);
    if (strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._~@+-") !=
        len)
        return err_field(err, field, NULL,
                         "`%s` may contain only letters, digits and / . _ ~ @ + -", field);
    if (strstr(value, "//"))
        return err_field(err, field, NULL, "`%s` must not contain //", field);
    if (strstr(value, "/./") || strstr(value, "/../") || text_ends(value, "/.") ||
        text_ends(value, "/.."))
        return err_field(err, field, NULL, "`%s` must not contain . or .. as a folder", field);
    if (len > 1 && value[len - 1] == '/')
        value[len - 1] = '\0';
    return 0;
}

/* Goes into a request line as it is. */
static int check_request_path(char *value, const char *field, struct err *err)
{
    if (*value != '/')
        return err_field(err, field, NULL, "`%s` must start with /", field);
    for (const char *c = value; *c; c++)
        if (!isgraph((unsigned char)*c) || *c == '#')
            return err_field(err, field, NULL, "`%s` must be visible ASCII characters without #",
                             field);
    return 0;
}

/* ---- the table ---- */

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define MIB (INT64_C(1) << 20)
#define TIB (INT64_C(1) << 40)

static const char *const methods[] = { "auto", "command", "dockerfile", "image", "static", NULL };
static const char *const outputs[] = { "image", "site", NULL };
static const char *const protocols[] = { "http", NULL };

static const struct member arg_value = { .type = MEMBER_TEXT, .max = 32768 };
static const struct member pattern = {
    .type = MEMBER_TEXT, .min = 1, .max = 1024, .check = check_line
};

/* clang-format off */
static const struct member build_members[] = {
    { "method", MEMBER_ENUM, .fallback = "auto", .words = methods,
      .help = "How the app is built; auto looks at the files." },
    { "context", MEMBER_TEXT, .fallback = ".", .min = 1, .max = 1024, .check = check_inside,
      .help = "Folder of the repository that is built; the other paths are below it." },
    { "dockerfile", MEMBER_TEXT, .fallback = "Dockerfile", .min = 1, .max = 1024,
      .check = check_inside, .help = "Path of the Dockerfile." },
    { "base", MEMBER_TEXT, .min = 1, .max = 512, .check = check_image,
      .help = "Image to build on (command), or to run as it is (image)." },
    { "run", MEMBER_TEXT, .min = 1, .max = 65536, .check = check_script,
      .help = "Shell script that builds the app (command)." },
    { "output", MEMBER_ENUM, .words = outputs,
      .help = "A container image, or a folder of files to be served. Default: image; site for "
              "method static." },
    { "site", MEMBER_TEXT, .min = 1, .max = 1024, .check = check_inside,
      .help = "Folder that holds the built site (output site). Default for method static: the "
              "context itself." },
    { "spa", MEMBER_BOOL, .fallback = "false",
      .help = "Paths that do not exist answer /index.html (output site)." },
    { "args", MEMBER_MAP, .max = 100, .item = &arg_value, .check = check_arg,
      .help = "Build arguments (dockerfile), or variables of the script (command)." },
    { "secrets", MEMBER_LATER, .help = NULL },
    { "timeout", MEMBER_DURATION, .fallback = "15m", .min = 10 * SECOND, .max = 24 * HOUR,
      .help = "A build that takes longer fails." },
    { "memory", MEMBER_SIZE, .fallback = "1Gi", .min = 64 * MIB, .max = TIB,
      .help = "Memory of the build." },
    { "cpus", MEMBER_CPUS, .fallback = "2", .min = 50, .max = 256000,
      .help = "Processors of the build." },
    { "watch", MEMBER_LIST, .max = 100, .item = &pattern,
      .help = "Patterns of paths; a commit that touches none of them is not built." },
    { .name = NULL },
};

static const struct member check_members[] = {
    { "path", MEMBER_TEXT, .min = 1, .max = 1024, .check = check_request_path,
      .help = "Answers 2xx or 3xx when the instance is ready. Without it the port must accept "
              "connections; without a port the instance must still run after `grace`." },
    { "interval", MEMBER_DURATION, .fallback = "5s", .min = 100, .max = HOUR,
      .help = "Time between two checks of a ready instance." },
    { "timeout", MEMBER_DURATION, .fallback = "2s", .min = 100, .max = 5 * MINUTE,
      .help = "Time for an answer." },
    { "grace", MEMBER_DURATION, .fallback = "30s", .min = 0, .max = HOUR,
      .help = "Time from the start in which failing checks are no fault." },
    { .name = NULL },
};

static const struct member process_members[] = {
    { "command", MEMBER_TEXT, .min = 1, .max = 8192, .check = check_script,
      .help = "What to run. Default: the image's own command." },
    { "replicas", MEMBER_INT, .fallback = "1", .min = 0, .max = 100,
      .help = "Number of instances." },
    { "port", MEMBER_INT, .min = 1, .max = 65535,
      .help = "Where it listens, given to it as PORT. Default: 8080 for web, none for others." },
    { "protocol", MEMBER_ENUM, .fallback = "http", .words = protocols,
      .help = "What is spoken on the port." },
    { "memory", MEMBER_SIZE, .fallback = "512Mi", .min = 6 * MIB, .max = TIB,
      .help = "Memory of an instance." },
    { "cpus", MEMBER_CPUS, .fallback = "1", .min = 10, .max = 256000,
      .help = "Processors of an instance." },
    { "pids", MEMBER_INT, .fallback = "512", .min = 16, .max = 32768,
      .help = "Processes and threads of an instance." },
    { "check", MEMBER_OBJECT, .members = check_members,
      .help = "When an instance counts as ready." },
    { "overlap", MEMBER_LATER, .help = NULL },
    { .name = NULL },
};
static const struct member process = { .type = MEMBER_OBJECT, .members = process_members };

static const struct member route_members[] = {
    { "host", MEMBER_TEXT, .min = 1, .max = 253, .check = check_host,
      .help = "Host name. Default: the app's own." },
    { "path", MEMBER_TEXT, .fallback = "/", .min = 1, .max = 255, .check = check_route_path,
      .help = "This path and everything below it." },
    { "process", MEMBER_TEXT, .min = 1, .max = 20, .check = check_process,
      .help = "Which process answers. Default: web; a site has none." },
    { "https", MEMBER_ONLY, .fallback = "false" },
    { "auth", MEMBER_ONLY, .fallback = "off" },
    { .name = NULL },
};
static const struct member route = { .type = MEMBER_OBJECT, .members = route_members };

static const struct member deploy_members[] = {
    { "timeout", MEMBER_DURATION, .fallback = "5m", .min = SECOND, .max = HOUR,
      .help = "A release whose instances are not ready by then is rejected." },
    { "drain", MEMBER_DURATION, .fallback = "30s", .min = 0, .max = HOUR,
      .help = "Longest time that old instances may finish their requests." },
    { "stop", MEMBER_DURATION, .fallback = "30s", .min = 0, .max = HOUR,
      .help = "Time between SIGTERM and SIGKILL." },
    { "keep", MEMBER_INT, .fallback = "5", .min = 1, .max = 100,
      .help = "Number of earlier releases whose artifacts are kept." },
    { "restart", MEMBER_INT, .min = 0, .max = INT32_MAX,
      .help = "Another number makes a new release of the same; evenkeel restart counts it up." },
    { .name = NULL },
};

static const struct member root_members[] = {
    { "app", MEMBER_TEXT, .min = 1, .max = 40, .check = check_app,
      .help = "Name for the app when it is created." },
    { "build", MEMBER_OBJECT, .members = build_members,
      .help = "How the repository becomes an artifact." },
    { "env", MEMBER_MAP, .max = 500, .item = &arg_value, .check = check_env,
      .help = "Environment of all processes; not of the build." },
    { "processes", MEMBER_MAP, .max = 20, .item = &process, .check = check_process,
      .help = "What runs, by name. Default: one called web; a site has none." },
    { "routes", MEMBER_LIST, .max = 100, .item = &route,
      .help = "Which requests come here. Default: everything at the app's own host." },
    { "deploy", MEMBER_OBJECT, .members = deploy_members,
      .help = "How a release goes live." },
    { "addons", MEMBER_LATER, .help = NULL },
    { "cron", MEMBER_LATER, .help = NULL },
    { "files", MEMBER_LATER, .help = NULL },
    { "ports", MEMBER_LATER, .help = NULL },
    { "release", MEMBER_LATER, .help = NULL },
    { "volumes", MEMBER_LATER, .help = NULL },
    { .name = NULL },
};
/* clang-format on */

const struct member spec_root = { .type = MEMBER_OBJECT, .members = root_members };

const struct member *member_find(const struct member *members, const char *name)
{
    for (; members->name; members++)
        if (strcmp(members->name, name) == 0)
            return members;
    return NULL;
}

/* ---- scalars ---- */

int64_t member_cpus_milli(const char *text)
{
    size_t whole = strspn(text, "0123456789");
    size_t decimals = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    int64_t milli = 0;

    if (whole == 0 || whole > 6 || decimals > 3 || text[whole + (text[whole] == '.') + decimals] ||
        (text[whole] == '.' && decimals == 0))
        return -1;
    for (size_t i = 0; i < whole; i++)
        milli = milli * 10 + (text[i] - '0');
    for (size_t i = 0; i < 3; i++)
        milli = milli * 10 + (i < decimals ? text[whole + 1 + i] - '0' : 0);
    return milli;
}

/* 500 → "0.5" */
static char *cpus_text(int64_t milli)
{
    char *text = xasprintf("%" PRId64 ".%03d", milli / 1000, (int)(milli % 1000));
    char *end = text + strlen(text);

    while (end[-1] == '0')
        *--end = '\0';
    if (end[-1] == '.')
        *--end = '\0';
    return text;
}

static bool parse_cpus(const char *text, int64_t *milli)
{
    *milli = member_cpus_milli(text);
    return *milli >= 0;
}

struct unit {
    int64_t factor;
    const char *name;
};

/* In the largest unit that divides it; the last unit is 1. */
static char *with_unit(int64_t value, const struct unit *units)
{
    while (value % units->factor)
        units++;
    return xasprintf("%" PRId64 "%s", value / units->factor, units->name);
}

static char *duration_text(int64_t ms)
{
    static const struct unit units[] = {
        { 24 * HOUR, "d" }, { HOUR, "h" }, { MINUTE, "m" }, { SECOND, "s" }, { 1, "ms" }
    };
    return ms ? with_unit(ms, units) : xstrdup("0s");
}

static char *size_text(int64_t bytes)
{
    static const struct unit units[] = {
        { TIB, "Ti" }, { 1024 * MIB, "Gi" }, { MIB, "Mi" }, { 1024, "Ki" }, { 1, "" }
    };
    return with_unit(bytes, units);
}

static char *int_text(int64_t value)
{
    return xasprintf("%" PRId64, value);
}

static const struct scalar {
    const char *noun, *example;
    bool (*parse)(const char *text, int64_t *value);
    char *(*write)(int64_t value);
} scalars[] = {
    [MEMBER_INT] = { "a whole number", "", text_int, int_text },
    [MEMBER_DURATION] = { "a duration", " like 500ms, 30s, 15m or 1h", text_duration_ms,
                          duration_text },
    [MEMBER_SIZE] = { "a size", " like 64Ki, 256Mi or 1Gi", text_size, size_text },
    [MEMBER_CPUS] = { "a number of processors", " like 0.5 or 2", parse_cpus, cpus_text },
};

static char *words_text(const char *const *words)
{
    char *text = xstrdup(words[0]);

    for (size_t i = 1; words[i]; i++) {
        auto_free char *before = text;
        text = xasprintf("%s%s%s", before, words[i + 1] ? ", " : " or ", words[i]);
    }
    return text;
}

char *member_example(const struct member *member)
{
    switch (member->type) {
    case MEMBER_TEXT:
        return xstrdup("a text");
    case MEMBER_ENUM:
        return words_text(member->words);
    case MEMBER_BOOL:
        return xstrdup("true or false");
    case MEMBER_LIST:
        return xstrdup("a list");
    case MEMBER_INT:
    case MEMBER_DURATION:
    case MEMBER_SIZE:
    case MEMBER_CPUS:
        break;
    default:
        return xstrdup("a mapping");
    }
    const struct scalar *scalar = &scalars[member->type];
    auto_free char *min = scalar->write(member->min), *max = scalar->write(member->max);
    return xasprintf("%s%s, from %s to %s", scalar->noun, scalar->example, min, max);
}

json_t *member_parse(const struct member *member, const char *text)
{
    const struct scalar *scalar = &scalars[member->type];
    int64_t value;

    if (member->type == MEMBER_BOOL)
        return strcmp(text, "true") == 0    ? json_true()
               : strcmp(text, "false") == 0 ? json_false()
                                            : NULL;
    if (member->type == MEMBER_ENUM) {
        for (const char *const *word = member->words; *word; word++)
            if (strcmp(*word, text) == 0)
                return json_string(text);
        return NULL;
    }
    if (!scalar->parse(text, &value) || value < member->min || value > member->max)
        return NULL;
    if (member->type != MEMBER_CPUS)
        return json_integer(value);
    auto_free char *normal = cpus_text(value);
    return json_string(normal);
}

json_t *member_fallback(const struct member *member)
{
    if (!member->fallback || member->type == MEMBER_ONLY)
        return NULL;
    if (member->type == MEMBER_TEXT)
        return json_string(member->fallback);
    json_t *value = member_parse(member, member->fallback);
    if (!value)
        abort();
    return value;
}
