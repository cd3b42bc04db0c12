/* Words to a command: `noun verb args`, `noun:verb args`, or `verb args` for the verbs of every
 * day; options anywhere, "--" ends them. A noun alone means its `list`. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/cli.h"
#include "cmd/cli/server.h"
#include "cmd/cli/visible.h"
#include "http/client.h"

enum { HELP_COLUMN = 26 };

struct option_row {
    const char *name;
    char letter;
    const char *value; /* for the help; NULL: a flag */
    const char *help;
};

static const struct option_row rows[OPT_COUNT] = {
    [OPT_API_PORT] = { "api-port", 0, "PORT", "port of the API and of git (8081)" },
    [OPT_APP] = { "app", 'a', "APP", "the app; else found from evenkeel.yaml or a git remote" },
    [OPT_BACKGROUND] = { "background", 0, NULL, "return when everything answers" },
    [OPT_CONFIRM] = { "confirm", 0, "NAME", "the name once more, instead of being asked" },
    [OPT_DATA] = { "data", 0, "DIR", "folder of everything this installation keeps" },
    [OPT_DOMAIN] = { "domain", 0, "DOMAIN", "apps are at APP.DOMAIN (localhost)" },
    [OPT_FILE] = { "file", 'f', "FILE", "read it from a file" },
    [OPT_FOLLOW] = { "follow", 'f', NULL, "go on with what is new" },
    [OPT_FOREGROUND] = { "foreground", 0, NULL, "stay until stopped (the default)" },
    [OPT_HELP] = { "help", 'h', NULL, "this help" },
    [OPT_HTTP_PORT] = { "http-port", 0, "PORT", "port of the apps (8080)" },
    [OPT_KEEP_APPS] = { "keep-apps", 0, NULL, "stop the programs, leave the apps running" },
    [OPT_LIMIT] = { "limit", 0, "N", "at most so many" },
    [OPT_MESSAGE] = { "message", 'm', "TEXT", "why" },
    [OPT_NETWORK_RANGE] = { "network-range", 0, "CIDR",
                            "where networks of projects are taken from" },
    [OPT_OUTPUT] = { "output", 'o', "FORMAT", "table, json or yaml" },
    [OPT_PASSWORD_STDIN] = { "password-stdin", 0, NULL, "read the password from standard input" },
    [OPT_PREFIX] = { "prefix", 0, "TEXT", "before every name given to Docker" },
    [OPT_PROCESS] = { "process", 0, "NAME", "only this process" },
    [OPT_PROJECT] = { "project", 'p', "PROJECT", "the project (default)" },
    [OPT_REF] = { "ref", 0, "REF", "branch or tag that is deployed (main)" },
    [OPT_REPLACE] = { "replace", 0, NULL,
                      "take over from the one that runs; apps answer meanwhile" },
    [OPT_REPOSITORY] = { "repository", 0, "NAME", "where its code is (hosted here)" },
    [OPT_RETRY] = { "retry", 0, NULL, "try again what has failed" },
    [OPT_STATE] = { "state", 0, "STATE", "only those in this state" },
    [OPT_TAIL] = { "tail", 'n', "N", "begin with the last N lines (100)" },
    [OPT_TIMEOUT] = { "timeout", 0, "TIME", "give up after so long, like 90s or 10m" },
    [OPT_TOKEN] = { "token", 0, "TOKEN", "the API token; asked for when it is not given" },
    [OPT_USER] = { "user", 0, "NAME", "user name at the remote" },
    [OPT_VERSION] = { "version", 0, NULL, "print the version" },
    [OPT_WAIT] = { "wait", 'w', NULL, "follow until it is done (the default on a terminal)" },
    [OPT_YES] = { "yes", 'y', NULL, "do not ask" },
};

static const uint64_t common = OPT(HELP) | OPT(OUTPUT) | OPT(PROJECT) | OPT(VERSION);

/* ---- commands ---- */

static const struct command *find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].noun, noun) == 0 && strcmp(commands[i].verb, verb) == 0)
            return &commands[i];
    return NULL;
}

static bool is_noun(const char *word)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].noun, word) == 0)
            return true;
    return false;
}

static int unknown_noun(const char *word, struct err *err)
{
    const char **names = xcalloc(command_count + 1, sizeof *names);
    auto_free char *clean = visible(word);

    for (size_t i = 0; i < command_count; i++)
        names[i] = commands[i].noun;
    const char *near = text_nearest(word, names);
    err_set(err, ERR_INVALID, "there is no command \"%s\"", clean);
    if (near)
        err_hint(err, "did you mean \"%s\"? `evenkeel help` lists all", near);
    else
        err_hint(err, "`evenkeel help` lists all");
    free(names);
    return -1;
}

/* Takes noun and verb off the front of the words. */
static int take_command(struct cli *cli, struct err *err)
{
    char *colon = strchr(cli->args[0], ':');
    auto_free char *noun =
        colon ? xstrndup(cli->args[0], (size_t)(colon - cli->args[0])) : xstrdup(cli->args[0]);
    const char *verb = colon ? colon + 1 : cli->arg_count > 1 ? cli->args[1] : "";
    size_t used = colon ? 1 : 2;

    if (!is_noun(noun))
        return unknown_noun(noun, err);
    cli->command = find(noun, verb);
    if (!cli->command && !colon) {
        used = 1;
        cli->command = find(noun, "");
        if (!cli->command && cli->arg_count == 1)
            cli->command = find(noun, "list");
    }
    if (!cli->command) {
        auto_free char *clean = visible(verb);
        err_set(err, ERR_INVALID, "\"%s\" has no verb \"%s\"", noun, clean);
        return err_hint(err, "`evenkeel help %s` lists them", noun);
    }
    if (used > cli->arg_count)
        used = cli->arg_count;
    cli->args += used;
    cli->arg_count -= used;
    return 0;
}

/* "A [B] C…" → how many words there must be, and may be. */
static void bounds(const char *args, size_t *min, size_t *max)
{
    bool is_inside = false, begins = true;

    *min = *max = 0;
    for (const char *c = args; *c; c++) {
        if (*c == '[')
            is_inside = true;
        else if (*c == ']')
            is_inside = false;
        else if (*c == ' ')
            begins = true;
        else if (text_starts(c, "…"))
            *max = SIZE_MAX;
        else if (begins) {
            begins = false;
            *min += !is_inside;
            *max += *max != SIZE_MAX;
        }
    }
}

static int check_count(const struct cli *cli, struct err *err)
{
    size_t min, max;

    bounds(cli->command->args, &min, &max);
    if (cli->arg_count < min)
        return cli_usage(cli, err, "something is missing");
    if (cli->arg_count > max) {
        auto_free char *clean = visible(cli->args[max]);
        return cli_usage(cli, err, "\"%s\" is one word too many", clean);
    }
    return 0;
}

/* ---- options ---- */

struct given { /* options as they stand in the words; which are meant is known once the command is
                */
    const char *name; /* as written, without dashes and value */
    size_t name_len;
    const char *value; /* after "=", or NULL */
    size_t at;         /* how many words that are no options came before */
    bool is_letter;
};

static bool matches(const struct option_row *row, const char *name, size_t len, bool is_letter)
{
    if (is_letter)
        return row->letter == name[0];
    return strncmp(row->name, name, len) == 0 && !row->name[len];
}

/* The option that the command takes under this name, any with that name when `command` is NULL, or
 * OPT_COUNT. */
static enum option option_find(const struct command *command, const char *name, size_t len,
                               bool is_letter)
{
    for (unsigned i = 0; i < OPT_COUNT; i++)
        if (matches(&rows[i], name, len, is_letter) &&
            (!command || (common | command->options) & (UINT64_C(1) << i)))
            return (enum option)i;
    return OPT_COUNT;
}

static int unknown_option(const struct cli *cli, const char *word, struct err *err)
{
    const char *names[OPT_COUNT + 1] = { NULL };
    size_t count = 0;
    auto_free char *clean = visible(word);

    for (unsigned i = 0; i < OPT_COUNT; i++)
        if ((common | cli->command->options) & (UINT64_C(1) << i))
            names[count++] = rows[i].name;
    const char *near = text_nearest(word + strspn(word, "-"), names);
    cli_usage(cli, err, "unknown option %s", clean);
    if (near)
        err_hint(err, "did you mean --%s?", near);
    return EXIT_USAGE;
}

/* One option word; `next` is the word after it, or NULL. Says in `used` whether that was its value.
 */
static int take_option(struct cli *cli, const char *word, const char *next, bool *used,
                       struct err *err)
{
    bool is_letter = word[1] != '-';
    const char *name = word + (is_letter ? 1 : 2);
    size_t len = is_letter ? 1 : strcspn(name, "=");
    enum option option = option_find(cli->command, name, len, is_letter);

    *used = false;
    if (option == OPT_COUNT)
        return unknown_option(cli, word, err);
    const char *value = name[len] ? name + len + !is_letter : NULL;
    if (is_letter && value && *value == '=')
        value++;
    if (!rows[option].value) {
        cli->options[option] = "";
        return value ? cli_usage(cli, err, "--%s takes no value", rows[option].name) : 0;
    }
    if (!value) {
        value = next;
        *used = true;
    }
    if (!value)
        return cli_usage(cli, err, "--%s wants a %s", rows[option].name, rows[option].value);
    cli->options[option] = value;
    return 0;
}

/* Does this word's option take the next word as its value? Before the command is known, so -f
 * counts as a flag: no command whose words begin with it. */
static bool takes_next(const char *word)
{
    bool is_letter = word[1] != '-';
    const char *name = word + (is_letter ? 1 : 2);
    size_t len = is_letter ? 1 : strcspn(name, "=");
    enum option option = option_find(NULL, name, len, is_letter);

    return option != OPT_COUNT && option != OPT_FILE && rows[option].value && !name[len];
}

/* Noun and verb may come after options: the first words that are none, copied to the front of
 * `args`. */
static int find_command(struct cli *cli, char **words, size_t count, struct err *err)
{
    char *front[2] = { NULL, NULL };
    size_t found = 0;

    for (size_t i = 0; i < count && found < 2 && strcmp(words[i], "--") != 0; i++) {
        if (words[i][0] == '-' && words[i][1])
            i += takes_next(words[i]);
        else
            front[found++] = words[i];
    }
    cli->args = front;
    cli->arg_count = found;
    if (!found)
        return 0;
    return take_command(cli, err);
}

static int set_output(struct cli *cli, struct err *err)
{
    const char *name = cli->options[OPT_OUTPUT];

    if (!name)
        return 0;
    if (!output_set_format(&cli->output, name))
        return cli_usage(cli, err, "-o takes table, json or yaml");
    return 0;
}

/* Options out, words to the front. */
static int sort_words(struct cli *cli, char **words, size_t count, struct err *err)
{
    size_t kept = 0;
    bool is_over = false, used;

    for (size_t i = 0; i < count; i++) {
        if (!is_over && strcmp(words[i], "--") == 0) {
            is_over = true;
        } else if (is_over || words[i][0] != '-' || !words[i][1]) {
            words[kept++] = words[i];
        } else {
            int rc = take_option(cli, words[i], i + 1 < count ? words[i + 1] : NULL, &used, err);
            if (rc)
                return rc;
            i += used;
        }
    }
    cli->args = words;
    cli->arg_count = kept;
    return 0;
}

int cli_parse(struct cli *cli, char **words, size_t count, struct err *err)
{
    static const struct command none = { .noun = "", .verb = "", .args = "[…]" };
    int rc = find_command(cli, words, count, err);

    if (rc)
        return rc;
    bool has_command = cli->command != NULL;
    if (!has_command)
        cli->command = &none;
    rc = sort_words(cli, words, count, err);
    if (!has_command)
        cli->command = NULL;
    if (rc || !has_command)
        return rc;
    rc = take_command(cli, err);
    if (rc || cli_has(cli, OPT_HELP))
        return rc;
    rc = set_output(cli, err);
    return rc ? rc : check_count(cli, err);
}

void cli_done(struct cli *cli)
{
    http_client_free(cli->http);
    server_free(cli->server);
}

/* ---- what commands ask about their options ---- */

int cli_usage(const struct cli *cli, struct err *err, const char *fmt, ...)
{
    const struct command *c = cli->command;
    auto_free char *text = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    va_end(args);
    err_set(err, ERR_INVALID, "%s", text);
    err_hint(err, "usage: evenkeel %s%s%s %s", c->noun, *c->verb ? " " : "", c->verb, c->args);
    return EXIT_USAGE;
}

int cli_number(const struct cli *cli, enum option option, int64_t min, int64_t max,
               int64_t fallback, int64_t *value, struct err *err)
{
    int64_t number = fallback;

    if (cli->options[option] && !text_int(cli->options[option], &number))
        return cli_usage(cli, err, "--%s wants a whole number", rows[option].name);
    if (number < min || number > max)
        return cli_usage(cli, err, "--%s is from %lld to %lld", rows[option].name, (long long)min,
                         (long long)max);
    *value = number;
    return 0;
}

int cli_duration(const struct cli *cli, enum option option, int64_t fallback_ms, int64_t *ms,
                 struct err *err)
{
    *ms = fallback_ms;
    if (cli->options[option] && (!text_duration_ms(cli->options[option], ms) || *ms <= 0))
        return cli_usage(cli, err, "--%s wants a time like 90s or 10m", rows[option].name);
    return 0;
}

/* ---- help ---- */

static void print_options(FILE *out, uint64_t options)
{
    fputs("\noptions:\n", out);
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        if (!(options & (UINT64_C(1) << i)))
            continue;
        const struct option_row *row = &rows[i];
        auto_free char *left =
            xasprintf("--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
        if (row->letter)
            fprintf(out, "  -%c, %-24s %s\n", row->letter, left, row->help);
        else
            fprintf(out, "      %-24s %s\n", left, row->help);
    }
}

static void print_command(FILE *out, const struct command *c)
{
    auto_free char *left = xasprintf("%s%s%s %s", c->noun, *c->verb ? " " : "", c->verb, c->args);

    int pad =
        HELP_COLUMN - (int)visible_width(left); /* printf would count bytes, and "…" has three */
    fprintf(out, "  %s%*s %s\n", left, pad > 0 ? pad : 0, "", c->help);
}

void cli_help(FILE *out, const char *noun, const struct command *command)
{
    if (command) {
        fprintf(out, "usage: evenkeel %s%s%s %s\n\n%s\n", command->noun, *command->verb ? " " : "",
                command->verb, command->args, command->help);
        print_options(out, common | command->options);
        return;
    }
    fputs("usage: evenkeel NOUN VERB [ARGS] [-a APP] [-p PROJECT] [-o table|json|yaml]\n\n", out);
    for (size_t i = 0; i < command_count; i++)
        if (!noun || strcmp(commands[i].noun, noun) == 0)
            print_command(out, &commands[i]);
    if (noun)
        return;
    print_options(out, common | OPT(APP));
    fputs("\nexit codes: 0 done, 1 error, 2 usage, 3 difference found, 4 not found, 5 conflict or "
          "held, "
          "6 timed out waiting\n",
          out);
}

/* ---- the end ---- */

static int exit_code(const struct err *err)
{
    switch (err->class) {
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERR_EXISTS:
    case ERR_CONFLICT:
        return EXIT_CONFLICT;
    case ERR_TIMEOUT:
        return EXIT_TIMEOUT;
    default:
        return EXIT_ERROR;
    }
}

int cli_report(int rc, const struct err *err)
{
    if (rc == 0)
        return EXIT_DONE;
    if (err->class != ERR_NONE) {
        auto_free char *text = visible(err->text), *field = visible(err->field),
                       *hint = visible(err->hint);
        fprintf(stderr, "evenkeel: %s%s%s%s\n", *field && !strstr(text, field) ? field : "",
                *field && !strstr(text, field) ? ": " : "", text, "");
        if (*hint)
            fprintf(stderr, "  → %s\n", hint);
    }
    return rc > 0 ? rc : exit_code(err);
}
