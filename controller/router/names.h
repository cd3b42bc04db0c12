/* What may be written into HAProxy's files and sent to its socket. Both are made of words and
 * lines, with characters that mean something (space, ';', '#', '\', quotes); so only plain
 * characters pass here, and all else is refused rather than escaped. Any thread. */
#ifndef CONTROLLER_ROUTER_NAMES_H
#define CONTROLLER_ROUTER_NAMES_H

#include <stdbool.h>

#include "base/err.h"

/* "host/path/" for the map: the host in lower case, exactly one slash at the end, so that prefixes
 * end where path components do. */
int route_key(const char *host, const char *path, char **key, struct err *err);

bool name_is_plain(const char *name);     /* an instance, a process */
bool name_is_ipv4(const char *address);   /* four numbers with dots */
bool name_is_digest(const char *digest);  /* 64 lower-case hex digits */
bool name_is_file_path(const char *path); /* absolute, plain characters */
bool name_is_bind_host(const char *host); /* IPv4 address or "*" */

#endif
