/* Containers can reach every service of this machine that listens on an address of it, by their
 * bridge's gateway. So new connections from the project networks to this machine are dropped, but
 * for the router's ports. One chain of ours, named after the installation:
 *
 *     -A INPUT -j EVENKEEL-x
 *     -A EVENKEEL-x -s RANGE -p tcp --dport 80 -j RETURN       for each host port
 *     -A EVENKEEL-x -s RANGE -m conntrack ! --ctstate ESTABLISHED,RELATED -j DROP
 *
 * The chain is written whole, in one transaction of iptables-restore, so applying it again opens no
 * gap. Traffic between networks is Docker's to isolate (DOCKER-ISOLATION-STAGE-1). */
#include <string.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/text.h"
#include "controller/backend/docker/internal.h"

enum { IPTABLES_MS = 20000, OUTPUT_MAX = 64 * 1024, SUFFIX_LEN = 12 };

/* A chain's name has at most 28 characters; the end of an id says most about it. */
static char *chain_name(const char *installation)
{
    size_t len = strlen(installation);

    return xasprintf("EVENKEEL-%s", installation + (len > SUFFIX_LEN ? len - SUFFIX_LEN : 0));
}

struct firewall *firewall_new(const struct docker_config *config)
{
    struct firewall *firewall = xcalloc(1, sizeof *firewall);

    firewall->chain = chain_name(config->installation);
    firewall->range = xstrdup(config->network_range);
    firewall->port_count = config->host_port_count;
    if (config->host_port_count)
        firewall->ports =
            xmemdup(config->host_ports, config->host_port_count * sizeof *config->host_ports);
    return firewall;
}

void firewall_free(struct firewall *firewall)
{
    if (!firewall)
        return;
    free(firewall->chain);
    free(firewall->range);
    free(firewall->ports);
    free(firewall);
}

static int run(const char *const *argv, const char *input, struct err *err)
{
    struct proc_options options = { .argv = argv,
                                    .input = input,
                                    .input_len = input ? strlen(input) : 0,
                                    .timeout_ms = IPTABLES_MS,
                                    .output_max = OUTPUT_MAX };

    return proc_check(&options, NULL, NULL, err);
}

/* iptables -w 5 VERB CHAIN [-j TARGET] */
static int iptables(const char *verb, const char *chain, const char *target, struct err *err)
{
    const char *const argv[] = { "iptables",           "-w",   "5", verb, chain,
                                 target ? "-j" : NULL, target, NULL };

    return run(argv, NULL, err);
}

static char *chain_text(const struct firewall *firewall)
{
    const char *chain = firewall->chain, *range = firewall->range;
    char *text = NULL;
    size_t len;
    FILE *out = xmemstream(&text, &len);

    fprintf(out, "*filter\n:%s - [0:0]\n", chain);
    for (size_t i = 0; i < firewall->port_count; i++)
        fprintf(out, "-A %s -s %s -p tcp --dport %lld -j RETURN\n", chain, range,
                (long long)firewall->ports[i]);
    fprintf(out, "-A %s -s %s -m conntrack ! --ctstate ESTABLISHED,RELATED -j DROP\nCOMMIT\n",
            chain, range);
    fclose(out);
    return text;
}

int firewall_apply(const struct firewall *firewall, struct err *err)
{
    const char *const argv[] = { "iptables-restore", "--noflush", "-w", "5", NULL };
    auto_free char *text = chain_text(firewall);
    struct err absent;

    if (run(argv, text, err))
        return -1;
    if (iptables("-C", "INPUT", firewall->chain, &absent) == 0)
        return 0;
    return iptables("-I", "INPUT", firewall->chain, err);
}

int firewall_remove(const struct firewall *firewall, struct err *err)
{
    struct err absent;

    if (iptables("-S", firewall->chain, NULL, &absent)) /* no such chain, or no iptables */
        return 0;
    while (iptables("-C", "INPUT", firewall->chain, &absent) == 0)
        if (iptables("-D", "INPUT", firewall->chain, err))
            return -1;
    if (iptables("-F", firewall->chain, NULL, err))
        return -1;
    return iptables("-X", firewall->chain, NULL, err);
}
