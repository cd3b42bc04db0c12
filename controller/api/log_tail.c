#include "controller/api/log_tail.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/files.h"

enum { PIECE = 16 * 1024 };

/* How much of the piece to send: up to the last newline if there is one, so that no character and
 * no line is cut without need. */
static size_t whole_lines(const char *data, size_t len)
{
    const char *end = memrchr(data, '\n', len);
    return end ? (size_t)(end - data) + 1 : len;
}

bool log_tail_read(struct controller *c, struct log_tail *tail, const char *build_id,
                   int64_t attempt, bool (*send)(void *arg, int64_t offset, const char *text),
                   void *arg)
{
    auto_free char *path = files_log(c->config, build_id, attempt);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char data[PIECE];
    ssize_t n;

    if (tail->attempt != attempt) {
        if (tail->attempt)
            tail->offset = 0;
        tail->attempt = attempt;
    }
    while (fd >= 0 && (n = pread(fd, data, sizeof data, tail->offset)) > 0) {
        size_t len = whole_lines(data, (size_t)n);
        auto_free char *text = text_utf8(data, len);
        if (!send(arg, tail->offset + (int64_t)len, text))
            return false;
        tail->offset += (int64_t)len;
    }
    return true;
}

static bool send_piece(void *arg, int64_t offset, const char *text)
{
    return rpc_call_try_send(arg, json_pack("{s:I, s:s}", "offset", offset, "text", text));
}

bool log_tail_send(struct controller *c, struct log_tail *tail, const char *build_id,
                   int64_t attempt, struct rpc_call *call)
{
    return log_tail_read(c, tail, build_id, attempt, send_piece, call);
}
