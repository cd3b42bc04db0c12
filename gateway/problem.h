/* Errors as RFC 9457 problem details. */
#ifndef GATEWAY_PROBLEM_H
#define GATEWAY_PROBLEM_H

#include <jansson.h>

#include "base/err.h"
#include "http/server.h"

/* The status of an error of this class. */
unsigned problem_status(enum err_class class);

/* {type, title, status, code, detail, field, hint, id}. Of an internal error the client learns only
 * the id. Pure. */
json_t *problem_json(unsigned status, const struct err *err, const char *id);

/* The same for an error of its class, with a new id; logs what a person must look at. */
json_t *problem_new(const struct err *err);

/* Answers with a problem. `status` 0: that of the class. `headers` may be NULL. */
void problem_reply(struct http_request *request, unsigned status, const struct err *err,
                   const struct http_header *headers);

/* The headers of every answer of the API, ended by a NULL name. */
extern const struct http_header api_headers[];
/* `more` is put before them; the caller's to free. */
struct http_header *api_headers_with(const struct http_header *more);

#endif
