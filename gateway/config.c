#include <stddef.h>

#include "base/mem.h"
#include "gateway/gateway.h"

#define AT(member) offsetof(struct gateway_config, member)

const struct conf_key gateway_conf_keys[] = {
    { "body_max", CONF_SIZE, AT(body_max), "1Mi", "64Ki", "1Mi",
      "largest body of an API request; it travels to the controller in one frame of 1 MiB" },
    { "conns_max", CONF_INT, AT(conns_max), "10000", "16", "1000000",
      "open connections; more wait" },
    { "controller.address", CONF_TEXT, AT(controller_address), "unix:/run/evenkeel/controller.sock",
      NULL, NULL, "unix:PATH or tls://HOST:PORT" },
    { "controller.ca_file", CONF_TEXT, AT(controller_ca), "", NULL, NULL,
      "for tls: PEM file of who signs the controller's certificate" },
    { "controller.name", CONF_TEXT, AT(controller_name), "gateway", NULL, NULL,
      "the name that this gateway says hello with" },
    { "controller.token_file", CONF_TEXT, AT(controller_token_file), "", NULL, NULL,
      "for tls: file with this gateway's token" },
    { "listen.host", CONF_TEXT, AT(listen_host), "127.0.0.1", NULL, NULL, "address to listen on" },
    { "listen.port", CONF_INT, AT(listen_port), "8081", "0", "65535", "port to listen on; 0: any" },
    { "log_level", CONF_TEXT, AT(log_level), "info", NULL, NULL, "debug, info, warn or error" },
    { "public_url", CONF_TEXT, AT(public_url), "", NULL, NULL,
      "how clients reach this gateway, for the log" },
};
const size_t gateway_conf_count = countof(gateway_conf_keys);
