/* Time as an argument: what depends on the time takes a `const struct clock *`, so that tests and
 * the simulator turn it by hand. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*now_ms)(void *self);  /* Unix time; may jump */
    int64_t (*mono_ms)(void *self); /* only grows; leases and time limits are counted with it */
    void *self;
};

const struct clock *clock_system(void);

static inline int64_t clock_now_ms(const struct clock *clock)
{
    return clock->now_ms(clock->self);
}

static inline int64_t clock_mono_ms(const struct clock *clock)
{
    return clock->mono_ms(clock->self);
}

#endif
