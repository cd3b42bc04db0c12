/* Listening, and the list of links. Everything here is on the loop thread. The server is freed when
 * the handles of its listeners and of all its links are closed; calls still held by threads keep
 * their session, which has its own copy of what they need. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/session.h"

enum { BACKLOG = 128, SESSIONS_MAX = 1000, IDLE_MS = 10000 };

struct rpc_server {
    struct loop *loop;
    struct session_config session;
    unsigned sessions_max, session_count;
    LIST_HEAD(, rpc_session) sessions;
    struct tls_context *tls;
    uv_pipe_t pipe;
    uv_tcp_t tcp;
    unsigned handles; /* of listeners */
    char *unix_path;
    bool is_stopping;
};

static void free_if_done(struct rpc_server *server)
{
    if (!server->is_stopping || server->handles || server->session_count)
        return;
    tls_context_free(server->tls);
    free(server->unix_path);
    free(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct rpc_server *server = handle->data;

    server->handles--;
    free_if_done(server);
}

static void on_session_detached(struct rpc_server *server, struct rpc_session *session)
{
    LIST_REMOVE(session, link);
    server->session_count--;
    free_if_done(server);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct rpc_server *server = listener->data;
    struct err err = { 0 };

    if (status < 0) {
        log_warn("accepting a link", S("error", uv_strerror(status)));
        return;
    }
    struct link *link = link_accept(listener, listener->type == UV_TCP ? server->tls : NULL, &err);
    if (!link) {
        log_warn("accepting a link", E(&err));
        return;
    }
    if (server->session_count >= server->sessions_max) {
        log_warn("refusing a link: too many", I("sessions", server->session_count));
        link_close(link);
        return;
    }
    struct rpc_session *session = session_start(server->loop, link, &server->session);
    LIST_INSERT_HEAD(&server->sessions, session, link);
    server->session_count++;
    mux_start(session->mux);
}

/* A socket left behind by a process that was killed is no reason not to start. */
static void remove_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static int bind_unix(const char *path, int *fd, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID, "the path %s is longer than a socket's may be", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    auto_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock < 0)
        return err_errno(err, errno, "making a socket");
    remove_stale(path);
    /* the file gets the mode of the socket (unix(7) leaves this out): there is no moment at which
     * others may connect */
    if (fchmod(sock, 0600) || bind(sock, (struct sockaddr *)&address, sizeof address) ||
        chmod(path, 0600))
        return err_errno(err, errno, "binding %s", path);
    *fd = take_fd(&sock);
    return 0;
}

static int listen_unix(struct rpc_server *server, const char *path, struct err *err)
{
    auto_fd int fd = -1;

    if (bind_unix(path, &fd, err))
        return -1;
    uv_pipe_init(loop_uv(server->loop), &server->pipe, 0);
    server->pipe.data = server;
    server->handles++;
    int rc = uv_pipe_open(&server->pipe, fd);
    if (rc == 0)
        take_fd(&fd); /* the handle's now */
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&server->pipe, BACKLOG, on_connection);
    if (rc < 0)
        return err_errno(err, -rc, "listening on %s", path);
    server->unix_path = xstrdup(path);
    return 0;
}

static int listen_tcp(struct rpc_server *server, const struct rpc_server_config *config,
                      struct err *err)
{
    struct sockaddr_storage address;

    server->tls = tls_context_serve(config->cert_file, config->key_file, err);
    if (!server->tls)
        return -1;
    if (uv_ip4_addr(config->tcp_host, config->tcp_port, (struct sockaddr_in *)&address) &&
        uv_ip6_addr(config->tcp_host, config->tcp_port, (struct sockaddr_in6 *)&address))
        return err_set(err, ERR_INVALID, "%s is no address to listen on", config->tcp_host);
    uv_tcp_init(loop_uv(server->loop), &server->tcp);
    server->tcp.data = server;
    server->handles++;
    int rc = uv_tcp_bind(&server->tcp, (struct sockaddr *)&address, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&server->tcp, BACKLOG, on_connection);
    if (rc < 0)
        return err_errno(err, -rc, "listening on %s port %u", config->tcp_host, config->tcp_port);
    return 0;
}

int rpc_server_start(struct loop *loop, const struct rpc_server_config *config,
                     struct rpc_server **server, struct err *err)
{
    struct rpc_server *s = xcalloc(1, sizeof *s);

    s->loop = loop;
    s->sessions_max = config->sessions_max ? config->sessions_max : SESSIONS_MAX;
    s->session = (struct session_config){
        .methods = config->methods,
        .method_count = config->method_count,
        .arg = config->arg,
        .pool = config->pool,
        .bulk = config->bulk,
        .idle_ms = config->idle_ms ? config->idle_ms : IDLE_MS,
        .authenticate = config->authenticate,
        .opened = config->opened,
        .closed = config->closed,
        .detached = on_session_detached,
        .server = s,
    };
    for (size_t i = 1; i < config->method_count; i++)
        assert(strcmp(config->methods[i - 1].name, config->methods[i].name) < 0);
    LIST_INIT(&s->sessions);
    if ((config->unix_path && listen_unix(s, config->unix_path, err)) ||
        (config->tcp_host && listen_tcp(s, config, err))) {
        rpc_server_stop(s);
        return -1;
    }
    *server = s;
    return 0;
}

static void close_listener(void *handle)
{
    uv_close(handle, on_listener_closed);
}

void rpc_server_stop(struct rpc_server *server)
{
    struct rpc_session *session;
    struct err why = { 0 };

    if (!server || server->is_stopping)
        return;
    server->is_stopping = true;
    if (server->pipe.data)
        close_listener(&server->pipe);
    if (server->tcp.data)
        close_listener(&server->tcp);
    if (server->unix_path)
        unlink(server->unix_path);
    err_set(&why, ERR_STOPPED, "the server is stopping");
    LIST_FOREACH(session, &server->sessions, link)
        mux_close(session->mux, &why); /* leaves the list later, when detached */
    free_if_done(server);
}
