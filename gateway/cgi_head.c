#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"
#include "gateway/cgi.h"

/* Those of git http-backend and their like; what frames the answer is the server's affair. */
static const char *const passed[] = {
    "Allow",    "Cache-Control", "Expires",     "Last-Modified",
    "Location", "Pragma",        "Retry-After", "WWW-Authenticate"
};

/* The end of the head: after the first empty line. Lines end in CR LF, or LF alone. */
static size_t find_end(const char *data, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (data[i] == '\n' &&
            (data[i - 1] == '\n' || (i > 1 && data[i - 1] == '\r' && data[i - 2] == '\n')))
            return i + 1;
    return 0;
}

static int read_status(struct cgi_head *head, char *value, struct err *err)
{
    int64_t status;

    value[strcspn(value, " ")] = '\0';
    if (!text_int(value, &status) || status < 200 || status > 599)
        return err_set(err, ERR_INVALID, "the program answers with the status \"%.20s\"", value);
    head->status = (unsigned)status;
    return 0;
}

static void read_header(struct cgi_head *head, const char *name, const char *value)
{
    for (size_t i = 0; i < countof(passed) && head->count < CGI_HEADERS_MAX; i++)
        if (strcasecmp(name, passed[i]) == 0)
            head->headers[head->count++] = (struct http_header){ passed[i], value };
}

static int read_line(struct cgi_head *head, char *line, struct err *err)
{
    char *value = strchr(line, ':');

    line[strcspn(line, "\r")] = '\0';
    if (line[0] == '\0')
        return 0;
    if (!value || value == line)
        return err_set(err, ERR_INVALID, "the program answers with \"%.60s\" in place of a header",
                       line);
    *value++ = '\0';
    value += strspn(value, " \t");
    if (strcasecmp(line, "Status") == 0)
        return read_status(head, value, err);
    if (strcasecmp(line, "Content-Type") == 0)
        head->type = value;
    else
        read_header(head, line, value);
    return 0;
}

long cgi_parse_head(const char *data, size_t len, struct cgi_head *head, struct err *err)
{
    size_t end = find_end(data, len);

    if (end == 0 && len < CGI_HEAD_MAX)
        return 0;
    if (end == 0 || end > CGI_HEAD_MAX)
        return err_set(err, ERR_INVALID, "the program's headers are longer than %d bytes",
                       CGI_HEAD_MAX);
    *head = (struct cgi_head){ .status = 200, .text = xstrndup(data, end) };
    char *rest = head->text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (read_line(head, line, err)) {
            cgi_head_done(head);
            return -1;
        }
    }
    return (long)end;
}

void cgi_head_done(struct cgi_head *head)
{
    free(head->text);
    *head = (struct cgi_head){ 0 };
}
