#include "gateway/hooks.h"

#include "base/mem.h"

/* The first of these headers that is there, or NULL. */
static const char *first_header(struct http_request *request, const char *const *names)
{
    for (; *names; names++) {
        const char *value = http_request_header(request, *names);
        if (value)
            return value;
    }
    return NULL;
}

static const char *const signatures[] = { "X-Evenkeel-Signature", "X-Hub-Signature-256", NULL };
static const char *const events[] = { "X-Evenkeel-Event",
                                      "X-GitHub-Event",
                                      "X-Gitea-Event",
                                      "X-Forgejo-Event",
                                      "X-Gitlab-Event",
                                      "X-Event-Key",
                                      NULL };

int hook_params(struct http_request *request, const json_t *members, json_t **out, struct err *err)
{
    const char *signature = first_header(request, signatures),
               *event = first_header(request, events);
    size_t len;
    const char *body = http_request_body(request, &len);

    if (!signature) {
        err_set(err, ERR_UNAUTHENTICATED, "a webhook without a signature");
        return err_hint(
            err, "configure the webhook with its secret and the content type application/json");
    }
    /* The signature is over the bytes, so they must arrive as they are: what JSON cannot hold is
     * refused. */
    json_auto_t *text = json_stringn(body, len);
    if (!text)
        return err_set(err, ERR_INVALID, "the body is not valid UTF-8");
    json_auto_t *params = json_deep_copy(members);
    if (json_object_set(params, "body", text) ||
        json_object_set_new(params, "signature", json_string(signature)) ||
        json_object_set_new(params, "event", json_string(event ? event : "push")) ||
        json_object_set_new(params, "peer", json_string(http_request_peer(request))) ||
        json_object_set_new(params, "as", json_pack("{s:n}", "token")))
        return err_set(err, ERR_INVALID, "a header is not valid UTF-8");
    *out = json_incref(params);
    return 0;
}
