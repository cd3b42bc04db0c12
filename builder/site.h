/* A site archive: the folder of a tar, as tar.gz, the same bytes for the same content.
 *
 * Names are relative to the folder, in the order of the source, which is sorted for what comes from
 * git and from the engine; owners and times are 0, modes 0644 and 0755. Files and folders only:
 * links could lead out of the site once it is served. */
#ifndef BUILDER_SITE_H
#define BUILDER_SITE_H

#include <stdint.h>

#include "base/err.h"
#include "builder/tree.h"

struct site_archive {
    char *sha256; /* lower-case hex, of the file */
    int64_t size; /* of the file */
    int64_t files, left_out;
};
void site_archive_done(struct site_archive *site);
#define auto_site_archive __attribute__((__cleanup__(site_archive_done))) struct site_archive

/* `folder`: a plain path in the tar, "" for all of it. Writes the new file `path`.
 * ERR_NOT_FOUND: no such folder; ERR_EXHAUSTED: over the limits, or no room on the disk. */
int site_pack(int tar, const char *folder, const char *path, const struct tree_limits *limits,
              struct site_archive *site, struct err *err);

#endif
