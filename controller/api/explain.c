/* apps.explain: the chain from source to served, and the first link that does not hold. */
#include <string.h>

#include "base/mem.h"
#include "controller/api/resources.h"
#include "controller/builders.h"
#include "controller/conditions.h"

static json_t *find(const json_t *conditions, const char *type)
{
    size_t i;
    json_t *one;

    json_array_foreach(conditions, i, one)
        if (strcmp(json_string_value(json_object_get(one, "type")), type) == 0)
            return one;
    return NULL;
}

static json_t *make_link(const char *name, const json_t *condition)
{
    const char *status = json_string_value(json_object_get(condition, "status"));
    json_t *holds = !condition || strcmp(status, "unknown") == 0
                        ? json_null()
                        : json_boolean(strcmp(status, "true") == 0);

    return json_pack("{s:s, s:o, s:O?, s:O?, s:O?, s:O?, s:O?}", "name", name, "holds", holds,
                     "reason", json_object_get(condition, "reason"), "message",
                     json_object_get(condition, "message"), "since",
                     json_object_get(condition, "since"), "observed_at",
                     json_object_get(condition, "observed_at"), "next_try_at",
                     json_object_get(condition, "next_try_at"));
}

/* One whose condition is true when something is in the way. */
static json_t *obstacle(const char *name, const json_t *condition)
{
    json_t *link = make_link(name, condition);
    json_object_set_new(link, "holds", json_false());
    return link;
}

static const char *text_of(const json_t *link, const char *member)
{
    const char *text = json_string_value(json_object_get(link, member));
    return text ? text : "";
}

static json_t *paragraph(const struct app_row *app, const json_t *first)
{
    if (!first)
        return json_sprintf("%s is as it should be.", app->name);
    return json_sprintf("%s: %s does not hold (%s): %s", app->name, text_of(first, "name"),
                        text_of(first, "reason"), text_of(first, "message"));
}

int apps_explain(struct rpc_call *call, const json_t *params, json_t **result, struct err *err)
{
    json_auto_t *conditions = NULL, *links = json_array();
    auto_caller caller = { 0 };
    auto_app app = { 0 };
    auto_tx *tx = NULL;
    json_t *first = NULL;

    if (api_app(call, params, TX_READ, &caller, &tx, &app, err) ||
        store_list_conditions(tx, app.id, &conditions, err))
        return -1;
    if (find(conditions, QUARANTINED)) /* the links below may be old */
        json_array_append_new(links, obstacle(QUARANTINED, find(conditions, QUARANTINED)));
    if (app.hold) /* it stands still on purpose: nothing further on can move */
        json_array_append_new(links, obstacle(HELD, find(conditions, HELD)));
    for (const char *const *type = condition_chain; *type; type++)
        json_array_append_new(links, make_link(*type, find(conditions, *type)));
    for (size_t i = 0; !first && i < json_array_size(links); i++)
        if (!json_is_true(json_object_get(json_array_get(links, i), "holds")) &&
            *text_of(json_array_get(links, i), "reason"))
            first = json_array_get(links, i);
    *result = json_pack("{s:s, s:b, s:O, s:O?, s:o}", "app", app.name, "ok", !first, "links", links,
                        "first", first, "text", paragraph(&app, first));
    return 0;
}
