/* The source of an attempt, from the controller into its work folder; and a site archive back. The
 * slot's thread; both wait for a link that is away, until the attempt is stopped. */
#ifndef BUILDER_SOURCE_H
#define BUILDER_SOURCE_H

#include "builder/attempt.h"

/* Sets attempt->source. -1: the reason is noted. */
int source_fetch(struct attempt *attempt);

/* Sends the file and fills the outcome. -1: the reason is noted. */
int site_send(struct attempt *attempt, const char *path, const char *sha256, int64_t size);

#endif
