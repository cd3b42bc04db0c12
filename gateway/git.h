/* Hosted git below /git/: one repository per path, served by `git http-backend`. Loop thread. */
#ifndef GATEWAY_GIT_H
#define GATEWAY_GIT_H

#include <stdbool.h>

struct gateway;
struct http_request;

/* Is this path below /git/? Then its body is given in pieces. */
bool gateway_git_head(struct gateway *gateway, struct http_request *request);

/* Answers the request, now or later. */
void gateway_git_serve(struct gateway *gateway, struct http_request *request);

#endif
