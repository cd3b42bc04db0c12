/* Logs of instances. Containers run without a terminal, so the daemon frames what they write; a
 * frame is a line, or a piece of 16 KiB of a longer one, with its time in front. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "controller/backend/docker/internal.h"
#include "oci/demux.h"

enum { LAST_LINES_MAX = 8 * 1024, LAST_LINES_MS = 2000 };

struct reader {
    struct demux demux;
    int (*write)(void *arg, const char *line, size_t len);
    void *arg;
    bool is_done; /* `write` had enough */
};

static int on_frame(void *arg, int stream, const void *data, size_t len, struct err *err)
{
    struct reader *reader = arg;
    const char *bytes = data;

    (void)stream;
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    auto_free char *line = text_utf8(data, len);
    if (reader->write(reader->arg, line, strlen(line)) == 0)
        return 0;
    reader->is_done = true;
    return err_set(err, ERR_STOPPED, "enough");
}

static int on_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct reader *reader = arg;

    return demux_add(&reader->demux, data, len, on_frame, reader, err);
}

static int read_logs(struct docker *docker, struct reader *reader, const char *path,
                     int64_t timeout_ms, const bool *cancelled, struct err *err)
{
    struct engine_stream stream = { .method = "GET",
                                    .path = path,
                                    .data = on_data,
                                    .arg = reader,
                                    .timeout_ms = timeout_ms,
                                    .cancelled = cancelled };
    int rc = engine_stream(docker->engine, &stream, err);

    demux_done(&reader->demux);
    return reader->is_done ? 0 : rc;
}

/* "all" and numbers as the daemon wants them. */
static char *logs_path(const char *id, int64_t tail, int64_t since_ms, bool follow)
{
    auto_free char *number = tail < 0 ? xstrdup("all") : xasprintf("%lld", (long long)tail);

    return xasprintf("/containers/%s/logs?stdout=1&stderr=1&timestamps=1&tail=%s"
                     "&since=%lld.%03lld&follow=%d",
                     id, number, (long long)since_ms / 1000, (long long)since_ms % 1000, follow);
}

int docker_logs(void *self, const char *instance, int64_t tail, int64_t since_ms, bool follow,
                const bool *cancelled, int (*write)(void *arg, const char *line, size_t len),
                void *arg, struct err *err)
{
    struct docker *docker = self;
    struct reader reader = { .write = write, .arg = arg };
    auto_container container = { .json = NULL };

    if (docker_inspect(docker, instance, NULL, &container, err))
        return -1;
    if (container.status == CONTAINER_ABSENT || !docker_is_ours(docker, &container))
        return err_set(err, ERR_NOT_FOUND, "there is no instance %s", instance);
    auto_free char *path = logs_path(container.id, tail, since_ms > 0 ? since_ms : 0, follow);
    if (read_logs(docker, &reader, path, 0, cancelled, err) == 0)
        return 0;
    if (err->class == ERR_STOPPED && cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
        return 0;
    return err_prefix(err, "reading the log of %s", instance);
}

static int append(void *arg, const char *line, size_t len)
{
    FILE *out = arg;

    fprintf(out, "%.*s\n", (int)len, line);
    return 0;
}

char *docker_last_lines(struct docker *docker, const char *id)
{
    auto_free char *path = logs_path(id, LOG_TAIL, 0, false);
    auto_free char *text = NULL;
    struct err err = { .class = ERR_NONE };
    size_t len;
    FILE *out = xmemstream(&text, &len);
    struct reader reader = { .write = append, .arg = out };

    int rc = read_logs(docker, &reader, path, LAST_LINES_MS, NULL, &err);
    fclose(out);
    if (rc || len == 0)
        return NULL;
    const char *from = text + (len > LAST_LINES_MAX ? len - LAST_LINES_MAX : 0);
    return text_utf8(from, strlen(from)); /* the cut may go through a character */
}
