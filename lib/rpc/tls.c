#include "rpc/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "base/mem.h"

struct tls_context {
    SSL_CTX *ctx;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

/* OpenSSL's reason, and an empty queue for the next. */
static int refuse(struct err *err, enum err_class class, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return err_set(err, class, "%s: %s", what, reason ? reason : "unknown");
}

static struct tls_context *new_context(const SSL_METHOD *method)
{
    struct tls_context *context = xcalloc(1, sizeof *context);

    context->ctx = SSL_CTX_new(method);
    if (!context->ctx || !SSL_CTX_set_min_proto_version(context->ctx, TLS1_3_VERSION))
        abort();
    SSL_CTX_set_num_tickets(context->ctx, 0); /* links live long, resuming gains nothing */
    SSL_CTX_set_mode(context->ctx, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

struct tls_context *tls_context_serve(const char *cert_file, const char *key_file, struct err *err)
{
    struct tls_context *context = new_context(TLS_server_method());
    const char *failed =
        SSL_CTX_use_certificate_chain_file(context->ctx, cert_file) != 1 ? cert_file
        : SSL_CTX_use_PrivateKey_file(context->ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
                SSL_CTX_check_private_key(context->ctx) != 1
            ? key_file
            : NULL;

    if (!failed)
        return context;
    refuse(err, ERR_INVALID, failed);
    tls_context_free(context);
    return NULL;
}

struct tls_context *tls_context_dial(const char *ca_file, struct err *err)
{
    struct tls_context *context = new_context(TLS_client_method());

    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_file(context->ctx, ca_file) == 1)
        return context;
    refuse(err, ERR_INVALID, ca_file);
    tls_context_free(context);
    return NULL;
}

void tls_context_free(struct tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ctx);
    free(context);
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool expect_host(SSL *ssl, const char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

struct tls *tls_new(const struct tls_context *context, const char *host, struct err *err)
{
    struct tls *tls = xcalloc(1, sizeof *tls);

    tls->ssl = SSL_new(context->ctx);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (!tls->ssl || !tls->in || !tls->out)
        abort();
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    if (!host) {
        SSL_set_accept_state(tls->ssl);
        return tls;
    }
    SSL_set_connect_state(tls->ssl);
    if (expect_host(tls->ssl, host))
        return tls;
    refuse(err, ERR_INVALID, host);
    tls_free(tls);
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    free(tls);
}

bool tls_is_ready(const struct tls *tls)
{
    return SSL_is_init_finished(tls->ssl);
}

/* 0 when OpenSSL only waits for more bytes. */
static int judge(struct tls *tls, int rc, const char *what, struct err *err)
{
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return err_set(err, ERR_UNAVAILABLE, "closed by the peer");
    default:
        break;
    }
    long verified = SSL_get_verify_result(tls->ssl);
    if (verified == X509_V_OK)
        return refuse(err, ERR_UNAVAILABLE, what);
    ERR_clear_error();
    return err_set(err, ERR_UNAUTHENTICATED, "the server's certificate: %s",
                   X509_verify_cert_error_string(verified));
}

int tls_take(struct tls *tls, const void *data, size_t len, struct buffer *plain, struct err *err)
{
    enum { PIECE = 16384 }; /* the largest TLS record */

    ERR_clear_error();
    if (len && (len > INT_MAX || BIO_write(tls->in, data, (int)len) != (int)len))
        abort(); /* memory */
    if (!tls_is_ready(tls)) {
        int rc = SSL_do_handshake(tls->ssl);
        if (rc != 1)
            return judge(tls, rc, "the TLS handshake", err);
    }
    for (;;) {
        unsigned char piece[PIECE];
        int n = SSL_read(tls->ssl, piece, sizeof piece);
        if (n <= 0)
            return judge(tls, n, "reading TLS", err);
        buffer_add(plain, piece, (size_t)n);
    }
}

int tls_put(struct tls *tls, const void *data, size_t len, struct err *err)
{
    ERR_clear_error();
    if (len > INT_MAX || (len && SSL_write(tls->ssl, data, (int)len) != (int)len))
        return refuse(err, ERR_UNAVAILABLE, "writing TLS");
    return 0;
}

void tls_flush(struct tls *tls, struct buffer *wire)
{
    char *data;
    long n = BIO_get_mem_data(tls->out, &data);

    if (n > 0)
        buffer_add(wire, data, (size_t)n);
    (void)BIO_reset(tls->out);
}
