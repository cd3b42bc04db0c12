/* YAML for the CLI: printing a JSON value, and the one member that finds an app. One thread. */
#ifndef CMD_CLI_YAML_TEXT_H
#define CMD_CLI_YAML_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* `is_unicode` false: everything beyond ASCII is escaped. */
void yaml_print(FILE *out, const json_t *value, bool is_unicode);

/* The scalar of a member at the top of a document, or NULL; the rest of it is not looked at. */
char *yaml_top_member(const char *text, size_t len, const char *key);

#endif
