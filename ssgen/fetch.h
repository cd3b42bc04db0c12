/* An archive from the controller into ROOT/.incoming, whole and with the right digest. */
#ifndef SSGEN_FETCH_H
#define SSGEN_FETCH_H

#include <stdint.h>

#include "base/err.h"
#include "rpc/rpc.h"

/* Blocking; not on the loop thread. `*reason` is set on failure: DigestMismatch, TooLarge,
 * DiskFull, Unavailable, Internal. */
int fetch_site(struct rpc_client *client, const char *root, const char *hex, int64_t size_max,
               const char **reason, struct err *err);

#endif
