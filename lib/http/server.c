/* libmicrohttpd (MHD) on the libuv loop.
 *
 * MHD runs in its external epoll mode: its epoll descriptor is polled by libuv, and MHD_run does
 * whatever is due. Four things that it does not do in this mode are done here:
 *
 *   - Slow and silent connections. Each has one deadline, which covers whatever it is doing
 * (sending a head, idling between requests, taking its answer); a sweep once a second shuts down
 * those that are late, which MHD then notices.
 *   - A suspended connection (its answer is being worked on, its stream has nothing to say) is in
 * no epoll set of MHD's, so nobody would notice that the client went away. It is put into a second
 * epoll set meanwhile, which only waits for the end.
 *   - At its limit of connections MHD stops listening, and begins again in the first turn after one
 * has closed; for which there may be no other reason.
 *   - MHD_stop_daemon aborts when a connection is suspended; all are resumed before. */
#include "http/server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "http/server_internal.h"

enum {
    SWEEP_MS = 1000,
    LISTEN_BACKLOG = 1024,
    WATCH_BATCH = 64,
    UNSENT_MAX = 128 * 1024, /* bytes that the kernel queues beyond what is under way */
};

/* ---- turning ---- */

static void on_turn(uv_timer_t *timer);

static void turn(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG ms;

    server->is_turn_due = false;
    MHD_run(server->mhd);
    if (server->is_turn_due)
        uv_timer_start(&server->turn, on_turn, 0, 0);
    else if (MHD_get_timeout(server->mhd, &ms) == MHD_YES)
        uv_timer_start(&server->turn, on_turn, ms, 0);
    else
        uv_timer_stop(&server->turn);
}

static void on_turn(uv_timer_t *timer)
{
    turn(container_of(timer, struct http_server, turn));
}

static void on_mhd_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(container_of(poll, struct http_server, mhd_poll));
}

/* ---- connections ---- */

void peer_set_deadline(struct peer *peer, uint64_t ms_from_now)
{
    peer->deadline_ms = ms_from_now ? uv_now(peer->server->uv) + ms_from_now : 0;
}

void peer_suspend(struct peer *peer)
{
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = peer };

    if (peer->is_suspended)
        return;
    peer->is_suspended = true;
    MHD_suspend_connection(peer->conn);
    /* Without memory for it the client's end goes unnoticed until something is written: bearable.
     */
    (void)epoll_ctl(peer->server->watch_fd, EPOLL_CTL_ADD, peer->fd, &event);
}

void peer_resume(struct peer *peer)
{
    if (!peer->is_suspended)
        return;
    peer->is_suspended = false;
    (void)epoll_ctl(peer->server->watch_fd, EPOLL_CTL_DEL, peer->fd, NULL);
    MHD_resume_connection(peer->conn); /* takes effect in the next MHD_run */
    if (!uv_is_closing((uv_handle_t *)&peer->server->turn))
        uv_timer_start(&peer->server->turn, on_turn, 0, 0);
}

/* Some suspended client went away. MHD closes it in its next turn, when the request or the stream
 * refuses to go on. */
static void on_watch_poll(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = container_of(poll, struct http_server, watch_poll);
    struct epoll_event ready[WATCH_BATCH];
    int n = epoll_wait(server->watch_fd, ready, WATCH_BATCH, 0);

    (void)status;
    (void)events;
    for (int i = 0; i < n; i++) {
        struct peer *peer = ready[i].data.ptr;
        peer->is_gone = true;
        peer_resume(peer);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_server *server = container_of(timer, struct http_server, sweep);
    uint64_t now = uv_now(server->uv);
    struct peer *peer;

    LIST_FOREACH(peer, &server->peers, link)
        if (peer->deadline_ms && now > peer->deadline_ms)
            shutdown(peer->fd, SHUT_RDWR); /* MHD, or the watch, sees the end */
}

static void set_address(struct peer *peer, const struct sockaddr *address)
{
    socklen_t len =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    if (getnameinfo(address, len, peer->address, sizeof peer->address, NULL, 0, NI_NUMERICHOST))
        peer->address[0] = '\0';
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = cls;
    struct peer *peer = *context;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        peer = xcalloc(1, sizeof *peer);
        peer->server = server;
        peer->conn = conn;
        peer->fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        set_address(peer,
                    MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
        peer_set_deadline(peer, server->config.request_timeout_s * 1000ULL);
        LIST_INSERT_HEAD(&server->peers, peer, link);
        *context = peer;
    } else if (peer) {
        LIST_REMOVE(peer, link);
        free(peer);
        *context = NULL;
        server->is_turn_due = true;
    }
}

/* ---- starting ---- */

/* Only addresses: names would need a resolver, and what is listened on should not depend on one. */
static int open_listener(const struct http_server_config *config, int *out, struct err *err)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM },
                    *found = NULL;
    auto_free char *port = xasprintf("%u", config->port);
    int one = 1, unsent = UNSENT_MAX;

    if (getaddrinfo(config->host, port, &hints, &found))
        return err_set(err, ERR_INVALID, "\"%s\" is not an address to listen on", config->host);
    auto_fd int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_listening = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) &&
                        !setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) &&
                        !bind(fd, found->ai_addr, found->ai_addrlen) && !listen(fd, LISTEN_BACKLOG);
    int errnum = errno;
    freeaddrinfo(found);
    if (!is_listening)
        return err_errno(err, errnum, "listening on %s port %u", config->host, config->port);
    *out = take_fd(&fd);
    return 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len))
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int listener)
{
    const struct http_server_config *config = &server->config;

    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, request_go_on, server,
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, config->conns_max,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_CONNECTION_MEMORY_LIMIT, config->head_max,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, request_begin, server,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
        request_completed, server, MHD_OPTION_END);
}

static void start_handles(struct http_server *server)
{
    uv_handle_t *const handles[] = { (uv_handle_t *)&server->mhd_poll,
                                     (uv_handle_t *)&server->watch_poll,
                                     (uv_handle_t *)&server->turn, (uv_handle_t *)&server->sweep };

    uv_poll_init(server->uv, &server->mhd_poll,
                 MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_poll_init(server->uv, &server->watch_poll, server->watch_fd);
    uv_timer_init(server->uv, &server->turn);
    uv_timer_init(server->uv, &server->sweep);
    uv_poll_start(&server->mhd_poll, UV_READABLE, on_mhd_poll);
    uv_poll_start(&server->watch_poll, UV_READABLE, on_watch_poll);
    uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    server->handles = countof(handles);
    for (size_t i = 0; i < countof(handles); i++)
        handles[i]->data = server;
}

int http_server_start(struct loop *loop, const struct http_server_config *config,
                      struct http_server **out, struct err *err)
{
    auto_fd int listener = -1, watch = epoll_create1(EPOLL_CLOEXEC);

    if (watch < 0)
        return err_errno(err, errno, "making an epoll set");
    if (open_listener(config, &listener, err))
        return -1;
    auto_free struct http_server *server = xcalloc(1, sizeof *server);
    server->uv = loop_uv(loop);
    server->config = *config;
    LIST_INIT(&server->peers);
    LIST_INIT(&server->streams);
    server->port = port_of(listener);
    server->mhd = start_daemon(server, listener);
    if (!server->mhd)
        return err_set(err, ERR_INTERNAL, "starting the HTTP server on %s port %u", config->host,
                       config->port);
    take_fd(&listener); /* MHD's now */
    server->watch_fd = take_fd(&watch);
    start_handles(server);
    *out = take(&server);
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

/* ---- stopping ---- */

static void on_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;

    if (--server->handles == 0)
        free(server);
}

void http_server_stop(struct http_server *server)
{
    struct peer *peer;

    if (!server)
        return;
    server->is_stopping = true; /* streams read as ended, requests are refused */
    LIST_FOREACH(peer, &server->peers, link)
        peer_resume(peer);
    for (int i = 0; i < 3; i++) /* resume, write, close */
        MHD_run(server->mhd);
    uv_close((uv_handle_t *)&server->mhd_poll, on_closed);
    uv_close((uv_handle_t *)&server->watch_poll, on_closed);
    uv_close((uv_handle_t *)&server->turn, on_closed);
    uv_close((uv_handle_t *)&server->sweep, on_closed);
    MHD_stop_daemon(server->mhd);
    close(server->watch_fd);
    assert(LIST_EMPTY(&server->peers) && LIST_EMPTY(&server->streams));
}
