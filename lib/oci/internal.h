/* What the files of this folder share, and what their tests look at. */
#ifndef OCI_INTERNAL_H
#define OCI_INTERNAL_H

#include "http/client.h"
#include "oci/engine.h"

/* Runs a call of the caller's making; sets its URL for the time of the call. The status is not
 * looked at. */
int engine_run(struct engine *engine, struct http_call *call, const char *path,
               struct http_answer *answer, struct err *err);

/* -1 with the class and the daemon's words when the status says so. */
int engine_check(const struct http_answer *answer, struct err *err);

/* The minor version to speak, from the answer to /version. */
int engine_choose_version(const json_t *answer, int64_t *minor, struct err *err);

/* Bytes → JSON lines. */
struct lines {
    char *text; /* the line begun */
    size_t len, size;
    int (*line)(void *arg, const json_t *line, struct err *err);
    void *arg;
    struct err failed; /* from a line with "error"; class ERR_NONE: none */
};
int lines_add(struct lines *lines, const void *data, size_t len, struct err *err);
int lines_end(struct lines *lines, struct err *err); /* the last line, without its newline */
void lines_done(struct lines *lines);

#endif
