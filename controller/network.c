#include "controller/network.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static int parse(const char *range, uint32_t *first, int64_t *bits, struct err *err)
{
    const char *slash = strchr(range, '/');
    auto_free char *address = slash ? xstrndup(range, (size_t)(slash - range)) : xstrdup(range);
    struct in_addr in;

    if (!slash || inet_pton(AF_INET, address, &in) != 1 || !text_int(slash + 1, bits) ||
        *bits < 8 || *bits > 24)
        return err_field(err, "docker.network_range", "write it like 10.224.0.0/12",
                         "`%s` is not an IPv4 range of /8 to /24", range);
    *first = ntohl(in.s_addr) & ~(uint32_t)((UINT64_C(1) << (32 - *bits)) - 1);
    return 0;
}

int network_count(const char *range, int64_t *count, struct err *err)
{
    uint32_t first;
    int64_t bits;

    if (parse(range, &first, &bits, err))
        return -1;
    *count = INT64_C(1) << (24 - bits);
    return 0;
}

char *network_subnet(const char *range, int64_t number)
{
    struct err err = { 0 };
    char text[INET_ADDRSTRLEN];
    uint32_t first = 0;
    int64_t bits = 24;

    int rc = parse(range, &first, &bits, &err);
    assert(rc == 0 && number < INT64_C(1) << (24 - bits));
    (void)rc;
    struct in_addr in = { .s_addr = htonl(first + (uint32_t)number * 256) };
    return xasprintf("%s/24", inet_ntop(AF_INET, &in, text, sizeof text));
}
