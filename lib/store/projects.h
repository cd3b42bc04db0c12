/* Projects, API tokens, agents' tokens, settings. */
#ifndef STORE_PROJECTS_H
#define STORE_PROJECTS_H

#include <jansson.h>

#include "store/store.h"

struct project_row {
    char *id, *name;
    int64_t network; /* number of its subnet in the configured range */
};
void project_row_done(struct project_row *project);
#define auto_project __attribute__((__cleanup__(project_row_done))) struct project_row

/* Takes the lowest free network below `network_max`; ERR_EXISTS, ERR_EXHAUSTED. */
int store_add_project(struct tx *tx, const char *name, int64_t network_max,
                      struct project_row *project, struct err *err);
int store_find_project(struct tx *tx, const char *name, struct project_row *project,
                       struct err *err);
int store_get_project(struct tx *tx, const char *id, struct project_row *project, struct err *err);
/* ERR_CONFLICT while it has apps or repositories. */
int store_remove_project(struct tx *tx, const char *id, struct err *err);
int store_list_projects(struct tx *tx, const char *only_id, const char *after, int64_t limit,
                        json_t **projects, struct err *err);
int store_show_project(struct tx *tx, const char *id, json_t **project, struct err *err);

struct token_row {
    char *id, *name, *project_id; /* project NULL: all */
    int64_t last_used_at;
};
void token_row_done(struct token_row *token);
#define auto_token __attribute__((__cleanup__(token_row_done))) struct token_row

int store_add_token(struct tx *tx, const char *name, const char *hash, const char *project_id,
                    struct token_row *token, struct err *err);
int store_find_token(struct tx *tx, const char *hash, struct token_row *token, struct err *err);
/* It was used now. */
int store_touch_token(struct tx *tx, const char *id, struct err *err);
int store_remove_token(struct tx *tx, const char *id, struct err *err);
int store_list_tokens(struct tx *tx, const char *after, int64_t limit, json_t **tokens,
                      struct err *err);

/* SHA-256 of an agent's token, or ERR_NOT_FOUND. */
int store_agent_hash(struct tx *tx, const char *kind, const char *name, char **hash,
                     struct err *err);
int store_set_agent(struct tx *tx, const char *kind, const char *name, const char *hash,
                    struct err *err);
int store_remove_agent(struct tx *tx, const char *kind, const char *name, struct err *err);
int store_list_agents(struct tx *tx, json_t **agents, struct err *err);

/* ERR_NOT_FOUND when it was never set. */
int store_get_setting(struct tx *tx, const char *name, char **value, struct err *err);
int store_set_setting(struct tx *tx, const char *name, const char *value, struct err *err);

#endif
