/* The exchange build.attempt of one attempt: its log up, a cancel down.
 *
 * Two threads, because either direction may have to wait: the reader owns the exchange, opens it
 * again after every loss of the link, and hears the cancel; the writer sends what the log holds,
 * at once when it was idle, else gathered for 50 ms.
 *
 * A new exchange starts again at offset 0: what the link had taken of the old one is not known to
 * be on the controller's disk, and the controller passes over what it has (schema/methods.md). */
#ifndef BUILDER_SENDER_H
#define BUILDER_SENDER_H

#include "builder/attempt.h"

struct sender;

struct sender *sender_start(struct attempt *attempt);

/* Waits until the log (which was ended) has arrived, the lease is gone, or the attempt was given
 * up; frees. */
void sender_finish(struct sender *sender);

#endif
