#include "controller/router/admin.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

enum { ANSWER_TIMEOUT_S = 5, ANSWER_MAX = 64 * 1024 * 1024 };

static int connect_to(const char *path, struct err *err)
{
    const struct timeval limit = { .tv_sec = ANSWER_TIMEOUT_S };
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID, "the socket path %s is longer than %zu bytes", path,
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "opening a socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        return err_set(err, ERR_UNAVAILABLE, "HAProxy does not listen on %s: %s", path,
                       strerror(errno));
    return take_fd(&fd);
}

static int read_answer(int fd, char **answer, struct err *err)
{
    size_t used = 0, room = 16 * 1024;
    auto_free char *text = xcalloc(1, room + 1);

    for (;;) {
        if (used == room) {
            room *= 2;
            text = xreallocarray(take(&text), room + 1, 1);
        }
        ssize_t n = recv(fd, text + used, room - used, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_UNAVAILABLE, "HAProxy does not answer: %s", strerror(errno));
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > ANSWER_MAX)
            return err_set(err, ERR_EXHAUSTED, "HAProxy's answer is larger than %d bytes",
                           ANSWER_MAX);
    }
    text[used] = '\0';
    *answer = take(&text);
    return 0;
}

int admin_ask(const char *socket_path, const char *command, char **answer, struct err *err)
{
    auto_free char *line = xasprintf("%s\n", command);
    auto_fd int fd = connect_to(socket_path, err);

    if (fd < 0)
        return -1;
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
        return err_set(err, ERR_UNAVAILABLE, "HAProxy does not read: %s", strerror(errno));
    return read_answer(fd, answer, err);
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \r\n")] == '\0';
}

int admin_run(const char *socket_path, const char *expected, struct err *err, const char *fmt, ...)
{
    auto_free char *command = NULL, *answer = NULL;
    va_list args;

    va_start(args, fmt);
    int len = vasprintf(&command, fmt, args);
    va_end(args);
    if (len < 0)
        abort();
    if (admin_ask(socket_path, command, &answer, err))
        return -1;
    if (*expected ? text_starts(answer, expected) : is_blank(answer))
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "HAProxy answers \"%.*s\" to \"%s\"",
                   (int)strcspn(answer, "\n"), answer, command);
}

void seen_servers_done(struct seen_servers *seen)
{
    for (size_t i = 0; i < seen->count; i++) {
        free(seen->items[i].name);
        free(seen->items[i].address);
    }
    free(seen->items);
    *seen = (struct seen_servers){ 0 };
}

/* The columns of `show servers state`, version 1 of its format (HAProxy management guide,
 * section 9.3). */
enum {
    COL_BACKEND = 1,
    COL_NAME = 3,
    COL_ADDRESS = 4,
    COL_ADMIN_STATE = 6,
    COL_PORT = 18,
    COLUMNS
};
enum { ADMIN_MAINT = 0x01 | 0x02 | 0x04 | 0x20, ADMIN_DRAIN = 0x08 | 0x10 };

static bool split(char *line, char *columns[COLUMNS])
{
    char *rest = line;

    for (int i = 0; i < COLUMNS; i++)
        if (!(columns[i] = strsep(&rest, " ")))
            return false;
    return true;
}

static bool parse_number(const char *text, int64_t max, unsigned *number)
{
    int64_t value;

    if (!text_int(text, &value) || value < 0 || value > max)
        return false;
    *number = (unsigned)value;
    return true;
}

/* Adds a line's server if it is in a slot ("s12"); other backends are not of interest. */
static void add_seen(struct seen_servers *seen, char *line)
{
    char *columns[COLUMNS];
    unsigned slot, port, admin_state;

    if (!split(line, columns) || columns[COL_BACKEND][0] != 's' ||
        !parse_number(columns[COL_BACKEND] + 1, INT32_MAX, &slot) ||
        !parse_number(columns[COL_PORT], UINT16_MAX, &port) ||
        !parse_number(columns[COL_ADMIN_STATE], INT32_MAX, &admin_state))
        return;
    seen->items = xreallocarray(seen->items, seen->count + 1, sizeof *seen->items);
    seen->items[seen->count++] = (struct seen_server){
        .slot = slot,
        .name = xstrdup(columns[COL_NAME]),
        .address = xstrdup(columns[COL_ADDRESS]),
        .port = port,
        .is_ready = (admin_state & (ADMIN_MAINT | ADMIN_DRAIN)) == 0,
        .is_draining = (admin_state & ADMIN_DRAIN) && !(admin_state & ADMIN_MAINT),
    };
}

static int by_slot(const void *a, const void *b)
{
    const struct seen_server *x = a, *y = b;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

int admin_servers(const char *socket_path, unsigned slot, struct seen_servers *seen,
                  struct err *err)
{
    auto_free char *command =
        slot ? xasprintf("show servers state s%u", slot) : xstrdup("show servers state");
    auto_free char *answer = NULL;
    auto_seen_servers found = { 0 };

    if (admin_ask(socket_path, command, &answer, err))
        return -1;
    char *rest = answer, *line = strsep(&rest, "\n");
    if (strcmp(line, "1") != 0)
        return err_set(err, ERR_UNAVAILABLE, "HAProxy answers \"%.80s\" to \"%s\"", line, command);
    while ((line = strsep(&rest, "\n")))
        if (line[0] != '#' && line[0] != '\0')
            add_seen(&found, line);
    if (found.count)
        qsort(found.items, found.count, sizeof *found.items, by_slot);
    *seen = found;
    found = (struct seen_servers){ 0 };
    return 0;
}

int admin_sessions(const char *socket_path, unsigned slot, const char *server, long long *count,
                   struct err *err)
{
    enum { COL_SERVER = 1, COL_QUEUED = 2, COL_SESSIONS = 4, STAT_COLUMNS };
    auto_free char *command = xasprintf("show stat s%u 4 -1", slot);
    auto_free char *answer = NULL;
    int64_t queued, sessions;

    if (admin_ask(socket_path, command, &answer, err))
        return -1;
    if (!text_starts(answer, "# pxname,svname,qcur,qmax,scur,"))
        return err_set(err, ERR_UNAVAILABLE, "HAProxy answers \"%.80s\" to \"%s\"", answer,
                       command);
    *count = 0;
    for (char *rest = answer, *line; (line = strsep(&rest, "\n"));) {
        char *columns[STAT_COLUMNS] = { NULL };
        for (int i = 0; i < STAT_COLUMNS; i++)
            columns[i] = strsep(&line, ",");
        if (columns[COL_SESSIONS] && strcmp(columns[COL_SERVER], server) == 0 &&
            text_int(columns[COL_QUEUED], &queued) && text_int(columns[COL_SESSIONS], &sessions))
            *count = queued + sessions;
    }
    return 0;
}

int admin_has_layout(const char *socket_path, const char *word, bool *has, struct err *err)
{
    auto_free char *line = xasprintf("\ndescription: %s\n", word);
    auto_free char *answer = NULL;

    if (admin_ask(socket_path, "show info", &answer, err))
        return -1;
    *has = strstr(answer, line) != NULL;
    return 0;
}
