/* The table of loops and the threads that drive their steps: take what is due from the work queue,
 * run the step, put down how it went. */
#ifndef CONTROLLER_LOOPS_H
#define CONTROLLER_LOOPS_H

#include <stdbool.h>

#include "controller/controller.h"

struct loop_entry {
    const char *name; /* as in the work queue */
    step_function step;
    pass_function pass;
    size_t interval_offset; /* of the full pass, in struct controller_config */
    unsigned threads;       /* steps at the same time */
};
extern const struct loop_entry loop_table[];
extern const size_t loop_count;

struct loops *loops_new(struct controller *c);
void loops_start(struct loops *loops);
void loops_stop(struct loops *loops); /* waits for the steps under way; work_stopping is set */
void loops_free(struct loops *loops); /* nobody may kick any more; NULL is fine */

/* Work for a loop was committed: wakes it. Any thread. */
void loops_kick(struct loops *loops, const char *name);

/* One turn of a loop, on the calling thread: everything due now, steps one after the other. For the
 * simulator. */
int loop_turn(struct controller *c, const struct loop_entry *entry, struct err *err);

#endif
