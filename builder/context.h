/* What the engine gets to build from: the source tar, rewritten as it is sent.
 *
 * The source lies in a file of the work folder, because two passes are needed: context_look finds
 * the Dockerfile and the .dockerignore, which may come after the files that it is about; then
 * context_read gives the context, piece by piece, as the body of the request. The engine stores
 * the body before it starts anyway, so nothing is lost by that.
 *
 * Rewritten means: a tar of our own, with only checked names and kinds (builder/tree.h), without
 * what .dockerignore names, below a folder if wanted, and with one file of ours added or put in the
 * place of the source's. Owners are 0, times 0, so the same source gives the same layers. */
#ifndef BUILDER_CONTEXT_H
#define BUILDER_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "builder/ignore.h"
#include "builder/tree.h"

struct context_facts {
    char *dockerfile; /* its text, or NULL: there is none of that name, or it is no file */
    size_t dockerfile_len;
    struct ignore *ignore; /* or NULL */
    int64_t left_out;      /* entries that are no files, folders or links */
};
void context_facts_done(struct context_facts *facts);
#define auto_context_facts __attribute__((__cleanup__(context_facts_done))) struct context_facts

/* `dockerfile` is a plain path in the source, or NULL: not looked for. */
int context_look(int source, const struct tree_limits *limits, const char *dockerfile,
                 struct context_facts *facts, struct err *err);

struct context_options {
    int source;
    struct tree_limits limits;
    const char *folder;          /* "app": everything of the source comes below it; or NULL */
    const struct ignore *ignore; /* or NULL */
    const char *keep;            /* this one comes although it is ignored; or NULL */
    const char *add_name;        /* this file is added, instead of one of that name */
    const char *add_text;
    size_t add_len;
};

struct context;

struct context *context_open(const struct context_options *options); /* borrows all of it */
/* As the `read` of http/client.h: bytes put, 0 at the end, -1. `arg` is the context. */
int64_t context_read(void *arg, void *buffer, size_t size, struct err *err);
void context_close(struct context *context);

static inline void context_closep(struct context **context)
{
    context_close(*context);
}
#define auto_context __attribute__((__cleanup__(context_closep))) struct context

#endif
