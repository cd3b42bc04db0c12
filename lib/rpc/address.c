/* The address of a client: "unix:/path" or "tls://host:port". */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "rpc/client.h"

/* host:port, [v6]:port */
static int split_host(struct rpc_client *client, const char *text, struct err *err)
{
    const char *colon = strrchr(text, ':');
    bool is_bracketed = text[0] == '[';
    size_t len = colon ? (size_t)(colon - text) : 0;
    int64_t port;

    if (!colon || len == 0 || !text_int(colon + 1, &port) || port < 1 || port > 65535 ||
        (is_bracketed && (len < 3 || text[len - 1] != ']')))
        return err_set(err, ERR_INVALID, "%s is not HOST:PORT", text);
    client->host = is_bracketed ? xstrndup(text + 1, len - 2) : xstrndup(text, len);
    client->port = xstrdup(colon + 1);
    return 0;
}

int client_read_address(struct rpc_client *client, const char *address, struct err *err)
{
    if (text_starts(address, "tls://"))
        return split_host(client, address + strlen("tls://"), err);
    if (!text_starts(address, "unix:/"))
        return err_set(err, ERR_INVALID, "%s is neither unix:/PATH nor tls://HOST:PORT", address);
    client->unix_path = xstrdup(address + strlen("unix:"));
    if (strlen(client->unix_path) > 107) /* sockaddr_un; libuv would cut it */
        return err_set(err, ERR_INVALID, "%s is longer than a socket's path may be", address);
    return 0;
}
