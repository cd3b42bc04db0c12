/* One exchange: a child with three pipes on the loop.
 *
 *   request body ──► in (queue ≤ IN_MAX) ──► program
 *   program ──► out ──► held (≤ HELD_MAX) ──► stream (backlog ≤ BACKLOG_MAX) ──► client
 *
 * Each arrow stops the one before it when what follows is full: data takes nothing and is resumed
 * when the queue has gone; out is not read while held is full; held is not handed on while the
 * stream has a backlog, until `drained`.
 *
 * The answer begins when the program's head is read *and* the body is over (or nobody reads it any
 * more): the server takes an answer in the middle of a body as the end of interest in it, and git
 * http-backend prints its head before it reads.
 *
 * Whoever goes away first ends the others: the client gone, the program's process group gets
 * SIGTERM, so that git removes what it has begun, and SIGKILL KILL_MS later. The exchange is freed
 * when the program is reaped, its handles are closed, and the client's side is over. */
#include "gateway/cgi.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    IN_MAX = 256 * 1024,
    HELD_MAX = 256 * 1024,
    BACKLOG_MAX = 256 * 1024,
    PIECE = 64 * 1024,
    ERRORS_MAX = 2048,
    KILL_MS = 5000
};

struct cgi {
    struct loop *loop;
    void (*ended)(void *arg);
    void *arg;
    struct http_request *request; /* until it is answered or gone */
    struct http_stream *stream;   /* from the answer until it is closed */

    uv_process_t process;
    uv_pipe_t in, out, errors;
    uv_timer_t killer;
    unsigned handles;       /* not yet closed */
    uv_shutdown_t shutdown; /* of `in` */

    size_t in_waiting; /* bytes given to `in` and not yet gone */
    bool is_body_paused, is_body_over, is_in_closed;
    bool is_out_paused, is_out_over, has_exited, is_closing;
    bool is_ended; /* by us: how it ends says nothing */
    struct cgi_head head;
    bool is_head_read;
    char *held; /* output that is not handed on yet */
    size_t held_len;
    char piece[PIECE];          /* what a pipe is read into */
    char complaint[ERRORS_MAX]; /* the end of what it said on standard error */
    size_t complaint_len;
    int64_t exit_code;
    int exit_signal;
};

struct body_write {
    uv_write_t write;
    struct cgi *cgi;
    size_t len;
    char data[];
};

static void pump(struct cgi *cgi);

/* ---- ending ---- */

static void free_if_over(struct cgi *cgi)
{
    if (cgi->handles || cgi->request || cgi->stream)
        return;
    cgi->ended(cgi->arg);
    cgi_head_done(&cgi->head);
    free(cgi->held);
    free(cgi);
}

static void on_closed(uv_handle_t *handle)
{
    struct cgi *cgi = handle->data;

    cgi->handles--;
    free_if_over(cgi);
}

static void close_handle(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_in(struct cgi *cgi)
{
    cgi->is_in_closed = true;
    close_handle(&cgi->in);
}

static void log_complaint(const struct cgi *cgi)
{
    auto_free char *said = text_utf8(cgi->complaint, cgi->complaint_len);

    if ((cgi->exit_code || cgi->exit_signal) && !cgi->is_ended)
        log_warn("cgi program ended badly", I("code", cgi->exit_code),
                 I("signal", cgi->exit_signal), S("said", said));
}

static void close_all(struct cgi *cgi)
{
    cgi->is_closing = true;
    close_handle(&cgi->process);
    close_in(cgi);
    close_handle(&cgi->out);
    close_handle(&cgi->errors);
    close_handle(&cgi->killer);
}

static void signal_group(const struct cgi *cgi, int number)
{
    if (!cgi->has_exited)
        kill(-cgi->process.pid, number);
}

static void on_kill_time(uv_timer_t *timer)
{
    signal_group(timer->data, SIGKILL);
}

/* Nobody wants the program's output any more. */
static void end_program(struct cgi *cgi)
{
    cgi->held_len = 0;
    if (cgi->is_closing || uv_is_closing((uv_handle_t *)&cgi->killer) ||
        uv_is_active((uv_handle_t *)&cgi->killer))
        return;
    cgi->is_ended = !cgi->has_exited;
    signal_group(cgi, SIGTERM);
    uv_timer_start(&cgi->killer, on_kill_time, KILL_MS, 0);
}

static void on_exited(uv_process_t *process, int64_t code, int number)
{
    struct cgi *cgi = process->data;

    kill(-process->pid, SIGKILL); /* whatever it left running in its group holds our pipes open */
    cgi->has_exited = true;
    cgi->exit_code = code;
    cgi->exit_signal = number;
    uv_timer_stop(&cgi->killer);
    close_in(cgi);
    pump(cgi);
}

/* ---- the answer ---- */

static void on_drained(void *arg)
{
    pump(arg);
}

static void on_stream_closed(void *arg)
{
    struct cgi *cgi = arg;

    cgi->stream = NULL;
    end_program(cgi);
    pump(cgi);
    free_if_over(cgi);
}

static void on_gone(void *arg)
{
    struct cgi *cgi = arg;

    cgi->request = NULL;
    end_program(cgi);
    pump(cgi);
}

static void fail(struct cgi *cgi, const char *why)
{
    static const char text[] =
        "the repository could not be served; the reason is in the gateway's log\n";

    log_warn("answering by cgi", S("error", why));
    http_reply(take(&cgi->request), 500, "text/plain; charset=utf-8", NULL, text, sizeof text - 1);
    end_program(cgi);
}

static void drop_held(struct cgi *cgi, size_t len)
{
    memmove(cgi->held, cgi->held + len, cgi->held_len - len);
    cgi->held_len -= len;
}

/* Whether it is read now. */
static bool read_head(struct cgi *cgi)
{
    struct err err = { 0 };
    long len = cgi_parse_head(cgi->held, cgi->held_len, &cgi->head, &err);

    if (len > 0) {
        cgi->is_head_read = true;
        drop_held(cgi, (size_t)len);
    } else if (len < 0 || cgi->is_out_over) {
        fail(cgi, len < 0 ? err.text : "the program ended before it answered");
    }
    return cgi->is_head_read;
}

static void begin_answer(struct cgi *cgi)
{
    const struct http_stream_events events = { .drained = on_drained,
                                               .closed = on_stream_closed,
                                               .arg = cgi };

    cgi->stream = http_stream_start(take(&cgi->request), cgi->head.status, cgi->head.type,
                                    cgi->head.headers, &events);
}

static void hand_on(struct cgi *cgi)
{
    size_t done = 0;

    while (done < cgi->held_len && http_stream_backlog(cgi->stream) < BACKLOG_MAX) {
        size_t len = cgi->held_len - done < PIECE ? cgi->held_len - done : PIECE;
        if (!http_stream_write(cgi->stream, cgi->held + done, len))
            break;
        done += len;
    }
    if (done)
        drop_held(cgi, done);
    if (cgi->is_out_over && cgi->held_len == 0)
        http_stream_end(cgi->stream);
}

/* ---- output ---- */

static void give_piece(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct cgi *cgi = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(cgi->piece, sizeof cgi->piece);
}

static void on_output(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct cgi *cgi = stream->data;

    if (len > 0 && (cgi->request || cgi->stream)) {
        cgi->held = xreallocarray(cgi->held, cgi->held_len + (size_t)len, 1);
        memcpy(cgi->held + cgi->held_len, buffer->base, (size_t)len);
        cgi->held_len += (size_t)len;
    }
    if (len < 0) {
        cgi->is_out_over = true;
        uv_read_stop(stream);
    }
    pump(cgi);
}

/* The last bytes are kept. */
static void on_complaint(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct cgi *cgi = stream->data;

    if (len < 0)
        uv_read_stop(stream);
    for (ssize_t i = 0; i < len; i++) {
        if (cgi->complaint_len == ERRORS_MAX) {
            memmove(cgi->complaint, cgi->complaint + ERRORS_MAX / 2, ERRORS_MAX / 2);
            cgi->complaint_len = ERRORS_MAX / 2;
        }
        cgi->complaint[cgi->complaint_len++] = buffer->base[i];
    }
}

static void pause_output(struct cgi *cgi)
{
    bool is_full = cgi->held_len >= HELD_MAX;

    if (is_full == cgi->is_out_paused || cgi->is_out_over || cgi->is_closing)
        return;
    cgi->is_out_paused = is_full;
    if (is_full)
        uv_read_stop((uv_stream_t *)&cgi->out);
    else
        uv_read_start((uv_stream_t *)&cgi->out, give_piece, on_output);
}

/* Looks at all sides and does what can be done now; called whenever one of them has changed. */
static void pump(struct cgi *cgi)
{
    bool is_body_done = cgi->is_body_over || cgi->is_in_closed || cgi->is_out_over;

    if (cgi->request && (cgi->is_head_read || read_head(cgi)) && is_body_done)
        begin_answer(cgi);
    if (cgi->stream)
        hand_on(cgi);
    pause_output(cgi);
    if (cgi->has_exited && cgi->is_out_over && !cgi->is_closing) {
        log_complaint(cgi);
        close_all(cgi);
    }
}

/* ---- the body ---- */

static void on_body_written(uv_write_t *write, int status)
{
    struct body_write *w = container_of(write, struct body_write, write);
    struct cgi *cgi = w->cgi;

    cgi->in_waiting -= w->len;
    free(w);
    if (status < 0 &&
        !cgi->is_in_closed) { /* the program reads no more: its answer may come all the same */
        close_in(cgi);
        pump(cgi);
    }
    if (cgi->is_body_paused && cgi->in_waiting < IN_MAX / 2 && cgi->request) {
        cgi->is_body_paused = false;
        http_request_resume_body(cgi->request);
    }
}

static size_t on_body(void *arg, const void *data, size_t len)
{
    struct cgi *cgi = arg;

    if (cgi->is_in_closed)
        return len;
    if (cgi->in_waiting >= IN_MAX) {
        cgi->is_body_paused = true;
        return 0;
    }
    struct body_write *w = xcalloc(1, sizeof *w + len);
    *w = (struct body_write){ .cgi = cgi, .len = len };
    memcpy(w->data, data, len);
    const uv_buf_t buffer = uv_buf_init(w->data, (unsigned)len);
    if (uv_write(&w->write, (uv_stream_t *)&cgi->in, &buffer, 1, on_body_written)) {
        free(w);
        return len; /* the pipe is broken; on_exited is on its way */
    }
    cgi->in_waiting += len;
    return len;
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct cgi *cgi = container_of(shutdown, struct cgi, shutdown);

    (void)status;
    close_in(cgi);
}

static void on_body_end(void *arg)
{
    struct cgi *cgi = arg;

    cgi->is_body_over = true;
    if (!cgi->is_in_closed && uv_shutdown(&cgi->shutdown, (uv_stream_t *)&cgi->in, on_shutdown))
        close_in(cgi);
    pump(cgi);
}

/* ---- starting ---- */

static void init_handles(struct cgi *cgi)
{
    uv_loop_t *uv = loop_uv(cgi->loop);
    void *const handles[] = { &cgi->in, &cgi->out, &cgi->errors, &cgi->killer };

    uv_pipe_init(uv, &cgi->in, 0);
    uv_pipe_init(uv, &cgi->out, 0);
    uv_pipe_init(uv, &cgi->errors, 0);
    uv_timer_init(uv, &cgi->killer);
    for (size_t i = 0; i < countof(handles); i++)
        ((uv_handle_t *)handles[i])->data = cgi;
    cgi->process.data = cgi;
    cgi->handles = countof(handles) + 1; /* uv_spawn inits the process, also when it fails */
}

static int spawn(struct cgi *cgi, const struct cgi_options *options)
{
    uv_stdio_container_t stdio[] = {
        { .flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&cgi->in },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&cgi->out },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&cgi->errors },
    };
    const uv_process_options_t process = {
        .exit_cb = on_exited,
        .file = options->argv[0],
        .args = (char **)(uintptr_t)options->argv,
        .env = (char **)(uintptr_t)options->env,
        .flags = UV_PROCESS_DETACHED, /* a process group of its own, to be ended as one */
        .stdio_count = countof(stdio),
        .stdio = stdio,
    };

    return uv_spawn(loop_uv(cgi->loop), &cgi->process, &process);
}

static void ignore_end(void *arg)
{
    (void)arg;
}

int cgi_start(struct loop *loop, struct http_request *request, const struct cgi_options *options,
              struct cgi **started, struct err *err)
{
    struct cgi *cgi = xcalloc(1, sizeof *cgi);

    cgi->loop = loop;
    init_handles(cgi);
    int rc = spawn(cgi, options);
    if (rc) {
        cgi->ended = ignore_end;
        cgi->has_exited = true;
        close_all(cgi);
        return err_set(err, ERR_UNAVAILABLE, "starting %s: %s", options->argv[0], uv_strerror(rc));
    }
    cgi->ended = options->ended;
    cgi->arg = options->arg;
    cgi->request = request;
    uv_read_start((uv_stream_t *)&cgi->out, give_piece, on_output);
    uv_read_start((uv_stream_t *)&cgi->errors, give_piece, on_complaint);
    http_request_on_gone(request, on_gone, cgi);
    *started = cgi;
    http_request_stream_body(
        request, &(struct http_body_events){ .data = on_body, .end = on_body_end, .arg = cgi });
    return 0;
}

void cgi_stop(struct cgi *cgi)
{
    if (cgi->request)
        fail(cgi, "the gateway is stopping");
    else if (cgi->stream)
        http_stream_drop(cgi->stream);
    end_program(cgi);
}
