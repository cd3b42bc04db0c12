/* The app spec: what an app should be, as one document. Parsed from evenkeel.yaml (plus Procfile)
 * and from the API, checked strictly by one table, merged, and split into the part that a build
 * depends on and the part that running depends on. No I/O.
 *
 * A document comes in two forms. *Sparse*: only what somebody wrote, checked and with units
 * normalised (durations as integer milliseconds, sizes as integer bytes); this is what a
 * repository's file and the API's overlay are. *Full*: file and overlay merged, every default
 * filled in; what the rest of the program reads. Both are JSON objects in snake_case with the keys
 * of DESIGN's evenkeel.yaml; schema/app.schema.json describes the sparse form. */
#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum { SPEC_SIZE_MAX = 256 * 1024 };

/* YAML bytes → sparse document. ERR_INVALID with field, and "FILE:LINE: …" in the text; unknown
 * keys name the nearest known one in the hint. Aliases, tags, duplicate keys and depth over 16 are
 * refused. `file` is only for messages. */
int spec_parse_yaml(const char *text, size_t len, const char *file, json_t **sparse,
                    struct err *err);

/* The same check for a document from the API. `null` as a member means "unset" and is kept for
 * spec_merge. */
int spec_check(const json_t *document, json_t **sparse, struct err *err);

/* A Procfile's "name: command" lines → sparse {processes: …}. */
int spec_parse_procfile(const char *text, size_t len, json_t **sparse, struct err *err);

/* `over` on top of `under`, objects merged member by member, arrays and scalars replaced, null
 * removes (RFC 7396). Either may be NULL: nothing there. */
json_t *spec_merge(const json_t *under, const json_t *over);

/* Sparse → full. `name` is the app's, `host` its default host (used for one route when the spec has
 * none and there is a web process or a site; NULL or "": none). Checks what only the whole can
 * show: routes to processes that exist, a port where there is a route, a base for `command`,
 * unsupported combinations. While the method is `auto` the document is completed as if it became an
 * image, without build.output. A full document is a valid sparse one, and completes to itself. */
int spec_complete(const json_t *sparse, const char *name, const char *host, json_t **full,
                  struct err *err);

/* Decides what `method: auto` (or none) means by looking at the build context: sets build.method
 * and build.output in place, in a sparse or a full document (complete the sparse one afterwards:
 * that checks more). With another method it does nothing. `has_file` says whether a path below the
 * context is a file. `why` (the caller's to free; NULL when nothing was decided) says what was
 * found, for the log of the build. */
int spec_resolve_auto(json_t *document, bool (*has_file)(void *arg, const char *path), void *arg,
                      char **why, struct err *err);

/* The reference: one line per member with path, values and default; its help below. */
void spec_print(FILE *out);

/* The part of a full document that a build depends on (a changed limit is one: it is worth another
 * try), and what running depends on: the rest without `app` and deploy.keep. Canonical: equal
 * meaning gives equal bytes from spec_canonical. */
json_t *spec_build_part(const json_t *full);
json_t *spec_runtime_part(const json_t *full);
char *spec_canonical(const json_t *value); /* compact, sorted keys */

/* Content keys: lower-case hex SHA-256; `tree` is the git tree id of the
 * build context (for method image: ""). `stack_digest` is the digest of the base image as far as
 * known, or "". `project` is "" unless the build uses secrets or private base images. */
char *spec_build_key(const json_t *full, const char *tree, const char *stack_digest,
                     const char *project);
char *spec_release_key(const json_t *full, const char *artifact_digest);

/* ---- reading a full document ---- */

struct build_spec {         /* borrows from the document */
    const char *method;     /* dockerfile, command, static, image, (auto is resolved before) */
    const char *output;     /* image, site */
    const char *context;    /* folder in the repository, "." */
    const char *dockerfile; /* path below the context */
    const char *base;       /* base image (command), or the image (image) */
    const char *run;        /* build script (command) */
    const char *site;       /* folder of the site below the context (output site) */
    bool spa;
    const json_t *args; /* object of strings */
    int64_t timeout_ms, memory, cpus_milli;
};
void spec_build(const json_t *full, struct build_spec *build);

struct check_spec {
    const char *path; /* HTTP path, or NULL: TCP connect when there is a port, else still running
                         after grace_ms */
    int64_t interval_ms, timeout_ms, grace_ms;
};

struct process_spec { /* borrows */
    const char *name;
    const char *command;    /* NULL: the image's own */
    int64_t replicas, port; /* port 0: none */
    const char *protocol;
    int64_t memory, cpus_milli, pids;
    struct check_spec check;
};
size_t spec_process_count(const json_t *full);
void spec_process(const json_t *full, size_t i, struct process_spec *process);

struct route_spec {          /* borrows */
    const char *host, *path; /* path without trailing slash unless "/" */
    const char *process;     /* NULL: the site */
};
size_t spec_route_count(const json_t *full);
void spec_route(const json_t *full, size_t i, struct route_spec *route);

struct deploy_spec {
    int64_t timeout_ms, drain_ms, stop_ms, keep;
};
void spec_deploy(const json_t *full, struct deploy_spec *deploy);

const json_t *spec_env(const json_t *full); /* object of strings */
bool spec_is_site(const json_t *full);

/* ---- names ---- */

/* Project 1–30, app 1–40, process 1–20 bytes, DNS labels; "git", "api" and other reserved names are
 * refused when `field`, which names the input, is "app". */
int spec_check_name(const char *name, const char *field, size_t max, struct err *err);

/* [A-Za-z_][A-Za-z0-9_]*; EVENKEEL_ is ours. */
int spec_check_env_name(const char *name, struct err *err);

int spec_check_host(const char *host, const char *field, struct err *err);

/* A branch, a tag or a full ref, by the rules of git-check-ref-format(1). */
int spec_check_ref(const char *ref, struct err *err);

/* A repository: http, https or ssh; no control characters, query or password; a user only with ssh.
 * Does not say that the address may be reached from here. */
int spec_check_url(const char *url, struct err *err);

#endif
