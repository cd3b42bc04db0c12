/* Links over TLS: who is let in, whom the client believes, and streams through it. */
#include "rig.h"

#include <string.h>

#include "base/fs.h"
#include "base/proc.h"

enum { PORT = 21010 };

static char *dir, *cert, *key, *other_cert, *other_key;

static void openssl(const char *const *argv)
{
    const struct proc_options options = { .argv = argv,
                                          .timeout_ms = LIMIT_MS,
                                          .output_max = 65536 };
    struct err err = { 0 };

    assert_ok(proc_check(&options, NULL, NULL, &err), &err);
}

static void make_cert(const char *cert_file, const char *key_file, const char *names)
{
    const char *const argv[] = {
        "openssl", "req",    "-x509", "-newkey", "ec",       "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes",  "-days",  "2",     "-subj",   "/CN=test", "-addext",  names,
        "-keyout", key_file, "-out",  cert_file, NULL
    };
    openssl(argv);
}

static int authenticate_calls;

static bool authenticate(void *arg, enum rpc_kind kind, const char *name, const char *token)
{
    (void)arg;
    __atomic_add_fetch(&authenticate_calls, 1, __ATOMIC_SEQ_CST);
    return kind == RPC_CLI && strcmp(name, "test") == 0 && strcmp(token, "right") == 0;
}

static int start(void **state)
{
    (void)state;
    dir = xstrdup("/tmp/tls_test.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    cert = fs_join(dir, "cert.pem");
    key = fs_join(dir, "key.pem");
    other_cert = fs_join(dir, "other.pem");
    other_key = fs_join(dir, "other.key");
    make_cert(cert, key, "subjectAltName=IP:127.0.0.1,DNS:localhost");
    make_cert(other_cert, other_key, "subjectAltName=DNS:elsewhere.example");
    rig.config.tcp_host = "127.0.0.1";
    rig.config.tcp_port = PORT;
    rig.config.cert_file = cert;
    rig.config.key_file = key;
    rig.config.authenticate = authenticate;
    rig_start(&rig);
    return 0;
}

static int stop(void **state)
{
    struct err err = { 0 };
    (void)state;

    rig_stop(&rig);
    fs_remove_tree(dir, &err);
    free(dir);
    free(cert);
    free(key);
    free(other_cert);
    free(other_key);
    return 0;
}

static void dial(const char *address, const char *ca_file, const char *token)
{
    dialler.config.ca_file = ca_file;
    dialler.config.token = token;
    dialler_start(&dialler, address);
}

/* The link does not come up, and says why. */
static void assert_refused(const char *address, const char *ca_file, const char *token,
                           const char *why)
{
    struct err err = { 0 };

    dial(address, ca_file, token);
    assert_int_equal(rpc_client_call(dialler.client, "test.echo", NULL, 1500, NULL, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    if (!strstr(err.text, why))
        fail_msg("%s", err.text);
    assert_false(rpc_client_is_up(dialler.client));
    dialler_stop(&dialler);
}

static void test_names_and_addresses(void **state)
{
    static const char *const addresses[] = { "tls://127.0.0.1:21010", "tls://localhost:21010" };
    (void)state;

    for (size_t i = 0; i < countof(addresses); i++) {
        struct err err = { 0 };
        int asked = authenticate_calls;
        dial(addresses[i], cert, "right");
        assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
        assert_true(authenticate_calls > asked);
        dialler_stop(&dialler);
    }
}

static void test_streams_through_tls(void **state)
{
    auto_free char *data = xcalloc(3 << 20, 1);
    struct rpc_exchange *x = NULL;
    json_t *result = NULL;
    struct err err = { 0 };
    (void)state;

    dial("tls://127.0.0.1:21010", cert, "right");
    assert_ok(rpc_client_open(dialler.client, "test.up", NULL, LIMIT_MS, &x, &err), &err);
    assert_ok(rpc_exchange_write(x, data, 3 << 20, &err), &err);
    assert_ok(rpc_exchange_result(x, &result, &err), &err);
    assert_int_equal(json_integer_value(json_object_get(result, "bytes")), 3 << 20);
    json_decref(result);
    rpc_exchange_close(x);
    json_t *params = json_pack("{s:i}", "bytes", 1000000);
    assert_ok(CALL("test.large", params, &result, &err), &err);
    assert_int_equal(json_string_length(json_object_get(result, "text")), 1000000);
    json_decref(result);
    json_decref(params);
    dialler_stop(&dialler);
}

static void test_tokens(void **state)
{
    (void)state;
    assert_refused("tls://127.0.0.1:21010", cert, "wrong", "the token is not that of test");
    assert_refused("tls://127.0.0.1:21010", cert, NULL, "a token is needed");
    assert_refused("tls://127.0.0.1:21010", cert, "", "a token is needed");
}

static void test_certificates(void **state)
{
    (void)state;
    assert_refused("tls://127.0.0.1:21010", other_cert, "right", "certificate");
    /* the right authority, but for another name */
    rig_kill(&rig);
    rig.config.cert_file = other_cert;
    rig.config.key_file = other_key;
    rig_start(&rig);
    assert_refused("tls://127.0.0.1:21010", other_cert, "right", "mismatch");
    assert_refused("tls://localhost:21010", other_cert, "right", "certificate");
    rig_kill(&rig);
    rig.config.cert_file = cert;
    rig.config.key_file = key;
    rig_start(&rig);
}

static void test_only_tls_1_3(void **state)
{
    const char *const old[] = { "openssl",  "s_client",        "-tls1_2",
                                "-connect", "127.0.0.1:21010", NULL };
    const char *const new[] = { "openssl",  "s_client",        "-tls1_3",
                                "-connect", "127.0.0.1:21010", NULL };
    struct proc_options options = { .argv = old, .timeout_ms = LIMIT_MS, .output_max = 65536 };
    auto_proc_result refused = { 0 }, taken = { 0 };
    struct err err = { 0 };
    (void)state;

    assert_ok(proc_run(&options, &refused, &err), &err);
    assert_int_not_equal(refused.exit_code, 0);
    options.argv = new;
    assert_ok(proc_run(&options, &taken, &err), &err);
    assert_int_equal(taken.exit_code, 0);
    assert_non_null(strstr(taken.output, "TLSv1.3"));
}

static void test_the_unix_socket_needs_no_token(void **state)
{
    struct err err = { 0 };
    int asked = authenticate_calls;
    (void)state;

    dial(rig.address, NULL, NULL);
    assert_ok(CALL("test.echo", NULL, NULL, &err), &err);
    assert_int_equal(authenticate_calls, asked);
    dialler_stop(&dialler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_addresses),
        cmocka_unit_test(test_streams_through_tls),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_only_tls_1_3),
        cmocka_unit_test(test_the_unix_socket_needs_no_token),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
