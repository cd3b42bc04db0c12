/* The log files of supervised programs, bounded: the present one and the one before it. */
#ifndef CMD_CLI_LOGFILE_H
#define CMD_CLI_LOGFILE_H

#include <stdint.h>

#include "base/err.h"

/* When the file has grown past `size_max` bytes its content becomes PATH.1 (replacing it) and it is
 * emptied. The writer keeps its descriptor, so it must have opened the file with O_APPEND; lines
 * written between the copy and the emptying, well below a millisecond, are lost. Absent is fine. */
int logfile_rotate(const char *path, int64_t size_max, struct err *err);

#endif
