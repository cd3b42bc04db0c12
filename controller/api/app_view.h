/* An app as people see it: the table's columns, its conditions, addresses, processes, and one word
 * for where it stands. */
#ifndef CONTROLLER_API_APP_VIEW_H
#define CONTROLLER_API_APP_VIEW_H

#include <jansson.h>

#include "controller/controller.h"

int app_view(struct controller *c, struct tx *tx, const char *app_id, json_t **view,
             struct err *err);

/* Adds to a row of store_list_apps or store_show_app what is derived. */
int app_view_finish(struct controller *c, struct tx *tx, json_t *row, struct err *err);

/* "http://shop.localhost:8080/" for each route of a full spec. */
json_t *app_urls(const struct controller_config *config, const json_t *spec);

#endif
