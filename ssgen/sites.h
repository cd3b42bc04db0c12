/* The sites on this machine's disk. ROOT/DIGEST (64 hex digits) is a site, whole: it comes there by
 * a rename. Beside them ROOT/.incoming (archives and folders under way), ROOT/.trash (on their way
 * out), ROOT/.revision (how far the controller's list was followed, and what of it failed). Any
 * thread for different digests. */
#ifndef SSGEN_SITES_H
#define SSGEN_SITES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ssgen/unpack.h"

enum { SITE_DIGEST_LEN = 64 };

/* Makes the folders; what an earlier life left half done is removed. */
int sites_open(const char *root, struct err *err);

/* "sha256:HEX" or "HEX" → HEX within `digest`; NULL when it is neither. */
const char *site_hex(const char *digest);

bool sites_have(const char *root, const char *hex);

/* An array of "sha256:HEX", all that is served. */
int sites_list(const char *root, json_t **digests, struct err *err);

/* The file for an archive under way; the caller's to free. */
char *sites_incoming(const char *root, const char *hex);

/* Unpacks the archive that sites_incoming names and publishes it; the archive is gone after,
 * whatever came of it. `*reason` is set on failure: ArchiveInvalid, TooLarge, DiskFull or Internal.
 */
int sites_publish(const char *root, const char *hex, const struct unpack_limits *limits,
                  const char **reason, struct err *err);

/* No longer served from the moment of the rename. Absent is fine. */
int sites_remove(const char *root, const char *hex, struct err *err);

/* {revision, failed: {HEX: size}}; starts from revision 0 when there is none or it cannot be
 * understood. */
json_t *sites_read_revision(const char *root);
int sites_write_revision(const char *root, const json_t *revision, struct err *err);

#endif
