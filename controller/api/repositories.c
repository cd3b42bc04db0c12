/* repositories.*, hooks.receive */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/text.h"
#include "controller/api/resources.h"
#include "model/spec.h"
#include "store/events.h"
#include "store/work.h"

enum { NAME_MAX_LEN = 40 };

int repositories_list(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_tx *tx = NULL;
    json_t *rows;

    if (api_project(call, params, TX_READ, &caller, &tx, &project, err) ||
        store_list_repositories(tx, project.id, api_cursor(params), api_limit(params) + 1, &rows,
                                err))
        return -1;
    *result = api_page(rows, api_limit(params), "name");
    return 0;
}

/* Besides what the table has: where to push, or where its webhook goes. */
static int show(struct controller *c, struct tx *tx, const struct repository_row *r,
                const char *project, bool with_secret, json_t **result, struct err *err)
{
    if (store_show_repository(tx, r->id, result, err))
        return -1;
    json_t *hook =
        json_pack("{s:o}", "url", json_sprintf("%s/api/v1/hooks/%s", c->config->api_url, r->id));
    if (with_secret)
        json_object_set_new(hook, "secret", json_string(r->webhook_secret));
    json_object_set_new(*result, "webhook", hook);
    if (!r->url)
        json_object_set_new(*result, "push_url",
                            json_sprintf("%s/git/%s/%s.git", c->config->api_url, project, r->name));
    return 0;
}

int repositories_get(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;

    if (api_repository(call, params, TX_READ, &caller, &tx, &project, &repository, err))
        return -1;
    return show(api_controller(call), tx, &repository, project.name, false, result, err);
}

static int check_url(const struct controller *c, const char *url, struct err *err)
{
    if (c->config->git_allow_file && text_starts(url, "file:///"))
        return 0;
    return spec_check_url(url, err);
}

int api_add_repository(struct controller *c, struct tx *tx, const struct project_row *project,
                       const char *name, const char *url, const char *user, const char *password,
                       struct repository_row *repository, struct err *err)
{
    const struct repository_row wanted = { .project_id = project->id,
                                           .name = (char *)(uintptr_t)name,
                                           .url = (char *)(uintptr_t)url,
                                           .user = (char *)(uintptr_t)user,
                                           .password = (char *)(uintptr_t)password };

    if (spec_check_name(name, "repository", NAME_MAX_LEN, err) || (url && check_url(c, url, err)) ||
        store_add_repository(tx, &wanted, repository, err))
        return -1;
    return url ? store_add_work(tx, "fetcher", repository->id, 0, err) : 0;
}

int repositories_create(struct rpc_call *call, const json_t *params, json_t **result,
                        struct err *err)
{
    struct controller *c = api_controller(call);
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;
    const char *name, *url, *user, *password;

    if (api_caller(call, params, &caller, err) ||
        api_text(params, "repository", true, &name, err) ||
        api_text(params, "url", false, &url, err) || api_text(params, "user", false, &user, err) ||
        api_text(params, "password", false, &password, err) ||
        api_project(call, params, TX_WRITE, &caller, &tx, &project, err) ||
        api_add_repository(c, tx, &project, name, url, user, password, &repository, err) ||
        show(c, tx, &repository, project.name, true, result, err))
        return -1;
    return tx_commit(&tx, err);
}

int repositories_delete(struct rpc_call *call, const json_t *params, json_t **result,
                        struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;
    (void)result;

    if (api_repository(call, params, TX_WRITE, &caller, &tx, &project, &repository, err) ||
        store_remove_repository(tx, repository.id, err) ||
        janitor_want_repository(tx, repository.id, 0, err))
        return -1;
    return tx_commit(&tx, err);
}

static int refresh(struct tx *tx, const struct repository_row *repository, const char *why,
                   struct err *err)
{
    const struct event event = { repository->project_id, NULL, "source", "Refresh", why, NULL };

    if (store_add_work(tx, "fetcher", repository->id, 0, err) || store_add_event(tx, &event, err))
        return -1;
    return 0;
}

int repositories_refresh(struct rpc_call *call, const json_t *params, json_t **result,
                         struct err *err)
{
    auto_caller caller = { 0 };
    auto_project project = { 0 };
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;
    (void)result;

    if (api_repository(call, params, TX_WRITE, &caller, &tx, &project, &repository, err) ||
        refresh(tx, &repository, "asked for by a person", err))
        return -1;
    return tx_commit(&tx, err);
}

/* Who cannot sign learns nothing, not even whether the repository exists. */
static int check_signature(const struct repository_row *repository, const char *signature,
                           const char *body, size_t len, struct err *err)
{
    auto_free char *hex =
        hmac_sha256_hex(repository->webhook_secret, strlen(repository->webhook_secret), body, len);
    auto_free char *expected = xasprintf("sha256=%s", hex);

    return signature && secret_equal(signature, expected)
               ? 0
               : err_set(err, ERR_UNAUTHENTICATED, "the signature is not valid");
}

int hooks_receive(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    const json_t *body = json_object_get(params, "body");
    auto_repository repository = { 0 };
    auto_tx *tx = NULL;
    const char *id, *signature;
    (void)result;

    if (api_text(params, "repository", true, &id, err) ||
        api_text(params, "signature", false, &signature, err) ||
        tx_begin(api_controller(call)->store, TX_READ, &tx, err))
        return -1;
    if (!json_is_string(body))
        return err_field(err, "body", NULL, "the body is missing");
    if (store_get_repository(tx, id, &repository, err))
        return err->class == ERR_NOT_FOUND
                   ? err_set(err, ERR_UNAUTHENTICATED, "the signature is not valid")
                   : -1;
    tx_rollback(&tx);
    if (check_signature(&repository, signature, json_string_value(body), json_string_length(body),
                        err) ||
        tx_begin(api_controller(call)->store, TX_WRITE, &tx, err) ||
        refresh(tx, &repository, "a webhook arrived", err))
        return -1;
    return tx_commit(&tx, err);
}
