/* A CGI program (RFC 3875) as the answer to a request: its standard input is the body, its output
 * the answer, both streamed with bounded memory. Loop thread.
 *
 * The request must be one whose body is streamed (the head handler said true); from cgi_start on it
 * belongs to the exchange. */
#ifndef GATEWAY_CGI_H
#define GATEWAY_CGI_H

#include "base/err.h"
#include "base/loop.h"
#include "http/server.h"

struct cgi;

struct cgi_options {
    const char *const *argv;  /* argv[0] is looked up in PATH */
    const char *const *env;   /* all of it: nothing is inherited */
    void (*ended)(void *arg); /* the program is gone and the exchange freed: once, never from within
                                 cgi_start */
    void *arg;
};

/* On failure the request is still the caller's. */
int cgi_start(struct loop *loop, struct http_request *request, const struct cgi_options *options,
              struct cgi **cgi, struct err *err);

/* Ends the program and what it started, and the answer where it stands. `ended` comes later. */
void cgi_stop(struct cgi *cgi);

enum { CGI_HEAD_MAX = 16 * 1024, CGI_HEADERS_MAX = 16 };

/* What a program says before the body of its answer. */
struct cgi_head {
    unsigned status;
    char *type; /* NULL: none */
    struct http_header headers[CGI_HEADERS_MAX + 1];
    size_t count;
    char *text; /* what the others point into */
};

/* The bytes of the head, or 0: its end is not there yet, or -1: this is none. Pure. Headers that
 * would change the framing or the connection are left out. */
long cgi_parse_head(const char *data, size_t len, struct cgi_head *head, struct err *err);
void cgi_head_done(struct cgi_head *head);

#endif
