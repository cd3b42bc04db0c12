/* Listings of refs, in the three forms that remotes give them, matched against the names that were
 * asked for. Pure; the input is hostile: nothing is kept but the ids of the names that were asked
 * for. */
#ifndef GIT_LISTING_H
#define GIT_LISTING_H

#include <stdbool.h>
#include <stdio.h>

#include "git/git.h"

/* A short name stands for a branch, else a tag; "HEAD" and "refs/…" for themselves. */
struct git_listing;

/* ERR_INVALID for what cannot be the name of a ref. */
int git_listing_new(const char *const *names, size_t count, struct git_listing **listing,
                    struct err *err);
void git_listing_free(struct git_listing *listing);

/* Calls `each` with the full name of every ref that can answer. */
void git_listing_each(const struct git_listing *listing,
                      void (*each)(void *arg, const char *full_name), void *arg);

/* What an answer to info/refs?service=git-upload-pack is: protocol v2 (then ask ls-refs), or v0,
 * whose refs are taken in at once. */
enum git_protocol { GIT_PROTOCOL_V0, GIT_PROTOCOL_V2 };
int git_listing_read_advertisement(struct git_listing *listing, const char *data, size_t len,
                                   enum git_protocol *protocol, struct err *err);

/* The request of protocol v2 for these names, and its answer. */
void git_listing_write_ls_refs(const struct git_listing *listing, FILE *out);
int git_listing_read_ls_refs(struct git_listing *listing, const char *data, size_t len,
                             struct err *err);

/* "ID<tab>NAME" lines: info/refs as a file, and what git ls-remote prints. */
int git_listing_read_text(struct git_listing *listing, const char *data, size_t len,
                          struct err *err);

/* The file HEAD of a repository that is served as files: "ref: NAME" or an id. To be read before
 * the listing, which then fills in what HEAD points to. */
int git_listing_read_head(struct git_listing *listing, const char *data, size_t len,
                          struct err *err);
bool git_listing_wants_head(const struct git_listing *listing);

/* An answer for every name, in order. */
void git_listing_answer(const struct git_listing *listing, struct git_refs *refs);

/* A name that git would take for a ref, full or short; nothing that could be an option or a
 * pattern. */
bool git_name_is_ref(const char *name);

static inline void git_listing_freep(struct git_listing **listing)
{
    git_listing_free(*listing);
}
#define auto_git_listing __attribute__((__cleanup__(git_listing_freep))) struct git_listing

#endif
