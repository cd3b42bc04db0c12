/* What server.c, request.c and stream.c share: the connection, and the server's inner state. */
#ifndef HTTP_SERVER_INTERNAL_H
#define HTTP_SERVER_INTERNAL_H

#include <arpa/inet.h>
#include <microhttpd.h>
#include <sys/queue.h>
#include <uv.h>

#include "http/server.h"

/* One TCP connection, from accept to close. */
struct peer {
    LIST_ENTRY(peer) link;
    struct http_server *server;
    struct MHD_Connection *conn;
    int fd;
    uint64_t deadline_ms; /* of the loop's clock; the sweep closes after it; 0: none */
    bool is_suspended;
    bool is_gone; /* seen closed by the other side while suspended */
    char address[INET6_ADDRSTRLEN];
};

struct http_server {
    uv_loop_t *uv;
    struct http_server_config config;
    struct MHD_Daemon *mhd;
    int watch_fd; /* epoll of the suspended connections' sockets */
    uv_poll_t mhd_poll, watch_poll;
    uv_timer_t turn, sweep;
    unsigned handles;
    uint16_t port;
    bool is_stopping;
    bool is_turn_due; /* a connection closed: MHD may listen again, and does so in a turn only */
    LIST_HEAD(, peer) peers;
    LIST_HEAD(, http_stream) streams;
};

/* MHD leaves the connection alone until peer_resume; meanwhile only its end is watched for. Both
 * are idempotent. */
void peer_suspend(struct peer *peer);
void peer_resume(struct peer *peer);
void peer_set_deadline(struct peer *peer, uint64_t ms_from_now); /* 0: none */

/* MHD's callbacks; `cls` is the server. */
void *request_begin(void *cls, const char *uri, struct MHD_Connection *conn);
enum MHD_Result request_go_on(void *cls, struct MHD_Connection *conn, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **context);
void request_completed(void *cls, struct MHD_Connection *conn, void **context,
                       enum MHD_RequestTerminationCode why);

struct peer *request_peer(struct http_request *request);
/* Takes the answer, and has it sent as soon as MHD can. */
void request_answer(struct http_request *request, unsigned status, struct MHD_Response *answer);
void response_add_headers(struct MHD_Response *answer, const char *type,
                          const struct http_header *headers);

#endif
