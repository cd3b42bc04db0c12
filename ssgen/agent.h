/* The site agent: brings the sites on this disk to those that the controller wants, and says what
 * is served.
 *
 * Threads: the loop's (link), one ticker (looks, fetches, reports; fans out to `parallel`), one
 * reader of sites.watch. */
#ifndef SSGEN_AGENT_H
#define SSGEN_AGENT_H

#include "base/err.h"
#include "base/loop.h"
#include "ssgen/config.h"

struct agent;

/* Writes the configuration of nginx, opens the folder of the sites, and follows the controller from
 * then on. The config must outlive the agent. Loop thread. */
int agent_start(struct loop *loop, const struct ssgen_config *config, struct agent **agent,
                struct err *err);

/* After work_stop: ends the threads, then the link, then calls stopped(arg) on the loop thread; the
 * agent is gone then. Does not block. Loop thread, once. */
void agent_stop(struct agent *agent, void (*stopped)(void *arg), void *arg);

#endif
