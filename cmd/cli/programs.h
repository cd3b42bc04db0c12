/* Where the other programs are: beside this one, as built and as installed. */
#ifndef CMD_CLI_PROGRAMS_H
#define CMD_CLI_PROGRAMS_H

#include "base/err.h"

/* Both paths are absolute and the caller's to free. */
int program_self(char **path, struct err *err);
int program_beside(const char *name, char **path, struct err *err); /* ERR_NOT_FOUND */

#endif
