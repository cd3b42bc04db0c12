#include <stdio.h>
#include <string.h>
#include <time.h>

#include "oci/engine.h"

/* The daemon writes UTC ("Z") where it is asked for state, with nine, fewer or no decimals. */
int64_t engine_time_ms(const char *text)
{
    struct tm tm = { .tm_isdst = 0 };
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t ms = 0, unit = 100;

    if (!rest || tm.tm_year < 70)
        return 0;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
            ms += (*rest - '0') * unit;
    return strcmp(rest, "Z") == 0 ? (int64_t)timegm(&tm) * 1000 + ms : 0;
}
