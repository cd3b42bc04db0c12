#include "cmd/cli/admin.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cli/output.h"
#include "cmd/cli/server.h"
#include "rpc/rpc.h"

enum { CALL_MS = 10000, AGAIN_MS = 1000, TOKEN_SIZE_MAX = 4096 };

struct admin {
    const struct installation *in;
    struct rpc_client *client; /* up as long as this lives */
    struct rpc_async *call;    /* NULL between calls */
    char *address;
    char *name;       /* of the token; another one when that is taken */
    uv_timer_t again; /* after a call that failed */
    bool is_done;
};

void admin_log_in(const struct installation *in, const char *token)
{
    struct err err = { 0 };
    auto_server *before = NULL;
    auto_free char *path = server_path();

    if (!path)
        return; /* run by an init system, for nobody */
    if (fs_exists(path)) {
        if (server_read(&before, &err)) {
            log_warn("keeping the login", S("path", path), E(&err));
            return;
        }
        if (strcmp(before->url, in->api_url) != 0) {
            log_info("the login of this user is for another server and stays", S("path", path),
                     S("url", before->url));
            return;
        }
        if (strcmp(before->token, token) == 0)
            return;
    }
    auto_server *server = server_new(in->api_url, token, before ? before->project : "default");
    if (server_write(server, &err))
        log_warn("keeping the login", E(&err));
}

static void ask(struct admin *admin);

static void on_again(uv_timer_t *timer)
{
    struct admin *admin = container_of(timer, struct admin, again);

    if (!admin->call)
        ask(admin);
}

static void on_done(void *arg, const json_t *result, const struct err *failure)
{
    struct admin *admin = arg;
    struct err err = { 0 };
    const char *token = json_text_at(result, "token");

    admin->call = NULL;
    if (failure &&
        failure->class ==
            ERR_EXISTS) { /* the token's file was lost; its hash in the database was not */
        free(admin->name);
        admin->name = xasprintf("admin-%lld", (long long)clock_now_ms(clock_system()) / 1000);
        ask(admin);
        return;
    }
    if (failure || !*token) {
        log_warn("getting the first token",
                 S("error", failure ? failure->text : "the answer holds none"));
        uv_timer_start(&admin->again, on_again, AGAIN_MS, 0);
        return;
    }
    auto_wipe char *line = xasprintf("%s\n", token);
    if (fs_write(admin->in->token_path, line, strlen(line), 0600, &err)) {
        log_error("keeping the first token", E(&err));
        return;
    }
    admin->is_done = true;
    log_info("first token made", S("path", admin->in->token_path));
    admin_log_in(admin->in, token);
}

static void ask(struct admin *admin)
{
    json_auto_t *params = json_pack("{s:s, s:n}", "name", admin->name, "as");
    struct rpc_async_events events = { .done = on_done, .arg = admin };

    admin->call = rpc_client_start_call(admin->client, "tokens.create", params, CALL_MS, &events);
}

static void on_up(void *arg)
{
    struct admin *admin = arg;

    if (!admin->is_done && !admin->call)
        ask(admin);
}

static bool has_token(const struct installation *in)
{
    auto_wipe char *token = NULL;
    struct err err = { 0 };

    if (fs_read(in->token_path, TOKEN_SIZE_MAX, &token, NULL, &err))
        return false;
    token[strcspn(token, "\n")] = '\0';
    if (!*token)
        return false;
    admin_log_in(in, token);
    return true;
}

struct admin *admin_start(struct loop *loop, const struct installation *in)
{
    struct err err = { 0 };

    if (has_token(in))
        return NULL;
    struct admin *admin = xcalloc(1, sizeof *admin);
    uv_timer_init(loop_uv(loop), &admin->again);
    admin->in = in;
    admin->name = xstrdup("admin");
    admin->address = xasprintf("unix:%s", in->controller_socket);
    struct rpc_client_config config = {
        .address = admin->address, .kind = RPC_CLI, .name = "up", .up = on_up, .arg = admin
    };
    if (rpc_client_start(loop, &config, &admin->client, &err)) {
        log_error("reaching the controller", E(&err));
        admin_stop(admin);
        return NULL;
    }
    return admin;
}

static void on_closed(uv_handle_t *handle)
{
    struct admin *admin = container_of(handle, struct admin, again);

    free(admin->name);
    free(admin->address);
    free(admin);
}

void admin_stop(struct admin *admin)
{
    if (!admin)
        return;
    if (admin->call)
        rpc_async_cancel(admin->call);
    if (admin->client)
        rpc_client_stop(admin->client);
    uv_close((uv_handle_t *)&admin->again, on_closed);
}
