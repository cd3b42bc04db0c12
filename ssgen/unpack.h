/* A site archive (tar, plain or gzip) into a new folder, nothing outside it, within bounds.
 * Archives are hostile. Blocking; any thread. */
#ifndef SSGEN_UNPACK_H
#define SSGEN_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct unpack_limits {
    int64_t entries_max; /* of any kind, duplicates counted */
    int64_t bytes_max;   /* of all files unpacked */
    int64_t path_max;    /* bytes of an entry's path */
    int64_t depth_max;   /* folders above a file */
};

/* `folder` is made and must not be there; after a failure what is in it is the caller's to remove.
 * On success everything is on the disk. ERR_INVALID: the archive is broken or hostile;
 * ERR_EXHAUSTED: a bound was reached or the disk is full (`*is_disk_full`). */
int unpack_archive(const char *archive, const char *folder, const struct unpack_limits *limits,
                   bool *is_disk_full, struct err *err);

#endif
