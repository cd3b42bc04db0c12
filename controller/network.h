/* Subnets of projects: the n-th /24 of the configured range. */
#ifndef CONTROLLER_NETWORK_H
#define CONTROLLER_NETWORK_H

#include <stdint.h>

#include "base/err.h"

/* How many /24 a range like "10.224.0.0/12" holds; ERR_INVALID for anything that is not IPv4 with a
 * prefix of 8 to 24. */
int network_count(const char *range, int64_t *count, struct err *err);

/* "10.224.3.0/24" for 3; the range was checked at start. The caller's to free. */
char *network_subnet(const char *range, int64_t number);

#endif
