/* Ids: ULIDs (https://github.com/ulid/spec), 26 characters that sort by the time they were made. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>

#include "base/clock.h"

enum { ID_LEN = 26 };

/* A new id; two made in one millisecond by this process still sort in the order they were made. Any
 * thread. */
char *id_new(const struct clock *clock);

bool id_is_valid(const char *text);

#endif
