#include "gateway/problem.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

static const struct {
    unsigned status;
    const char *title;
} kinds[] = {
    [ERR_NONE] = { 500, "Internal error" },
    [ERR_INTERNAL] = { 500, "Internal error" },
    [ERR_INVALID] = { 400, "Invalid request" },
    [ERR_NOT_FOUND] = { 404, "Not found" },
    [ERR_EXISTS] = { 409, "Exists already" },
    [ERR_CONFLICT] = { 409, "Conflict" },
    [ERR_UNAUTHENTICATED] = { 401, "Not authenticated" },
    [ERR_DENIED] = { 403, "Not allowed" },
    [ERR_EXHAUSTED] = { 429, "A limit is reached" },
    [ERR_UNAVAILABLE] = { 503, "Unavailable" },
    [ERR_TIMEOUT] = { 504, "Took too long" },
    [ERR_STOPPED] = { 503, "Stopped" },
    [ERR_UNIMPLEMENTED] = { 501, "Not implemented" },
};

const struct http_header api_headers[] = {
    { "Cache-Control", "no-store" },
    { "X-Content-Type-Options", "nosniff" },
    { "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'" },
    { "Referrer-Policy", "no-referrer" },
    { NULL, NULL },
};

struct http_header *api_headers_with(const struct http_header *more)
{
    size_t count = 0;

    while (more && more[count].name)
        count++;
    struct http_header *all = xcalloc(count + countof(api_headers), sizeof *all);
    if (count > 0)
        memcpy(all, more, count * sizeof *all);
    memcpy(all + count, api_headers, sizeof api_headers);
    return all;
}

unsigned problem_status(enum err_class class)
{
    return kinds[class].status;
}

static void set_text(json_t *problem, const char *name, const char *text)
{
    auto_free char *valid =
        text_utf8(text, strlen(text)); /* a text that was cut may end inside a character */

    if (*valid)
        json_object_set_new(problem, name, json_string(valid));
}

json_t *problem_json(unsigned status, const struct err *err, const char *id)
{
    enum err_class class = err->class == ERR_NONE ? ERR_INTERNAL : err->class;
    auto_free char *type = xasprintf("urn:evenkeel:problem:%s", err_code(class));
    json_t *problem =
        json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", type, "title", kinds[class].title, "status",
                  (int)status, "code", err_code(class), "id", id);

    if (class == ERR_INTERNAL) {
        set_text(problem, "detail",
                 "something went wrong here; the log of the gateway or the controller has more "
                 "under this id");
        return problem;
    }
    set_text(problem, "detail", err->text);
    set_text(problem, "field", err->field);
    set_text(problem, "hint", err->hint);
    return problem;
}

static json_t *make(unsigned status, const struct err *err)
{
    auto_free char *id = id_new(clock_system());

    if (status >= 500)
        log_line(err->class == ERR_INTERNAL ? LOG_ERROR : LOG_WARN, "answering with a problem",
                 S("id", id), I("status", status), S("code", err_code(err->class)), E(err));
    return problem_json(status, err, id);
}

json_t *problem_new(const struct err *err)
{
    return make(problem_status(err->class), err);
}

void problem_reply(struct http_request *request, unsigned status, const struct err *err,
                   const struct http_header *headers)
{
    if (!status)
        status = problem_status(err->class);
    json_auto_t *problem = make(status, err);
    auto_free char *text = json_dumps(problem, JSON_COMPACT);
    const struct http_header login[] = { { "WWW-Authenticate", "Bearer realm=\"evenkeel\"" },
                                         { NULL, NULL } };
    const struct http_header later[] = { { "Retry-After", "5" }, { NULL, NULL } };

    if (!headers && status == 401)
        headers = login;
    if (!headers && (status == 429 || status == 503))
        headers = later;
    auto_free struct http_header *all = api_headers_with(headers);
    http_reply(request, status, "application/problem+json", all, text, strlen(text));
}
