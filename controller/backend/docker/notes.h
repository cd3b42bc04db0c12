/* What the backend remembers about containers, because the daemon does not: how the last probes
 * went, and since when one is being ended. Only a memory of observations: it is bounded, lost with
 * the process, and derived again. Any thread; different threads never work on one container. */
#ifndef CONTROLLER_BACKEND_DOCKER_NOTES_H
#define CONTROLLER_BACKEND_DOCKER_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct note {
    bool is_ready;
    int failures;        /* probes in a row that failed */
    int64_t probed_ms;   /* monotonic time of the last one */
    int64_t stopping_ms; /* monotonic time of the SIGTERM; 0: none sent */
    char probe[160];     /* the last one in words, cut; "": none */
};

struct notes;
struct notes *notes_new(size_t max);
void notes_free(struct notes *notes);

/* A zeroed note when there is none. */
struct note notes_get(struct notes *notes, const char *container_id);
/* Above `max` the oldest one goes. */
void notes_set(struct notes *notes, const char *container_id, const struct note *note);
void notes_drop(struct notes *notes, const char *container_id);
size_t notes_count(struct notes *notes);

#endif
