/* Where the controller keeps what does not belong into the database: logs of attempts and archives
 * of sites. */
#ifndef CONTROLLER_FILES_H
#define CONTROLLER_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/config.h"

char *files_database(const struct controller_config *config);
char *files_log_dir(const struct controller_config *config, const char *build_id);
char *files_log(const struct controller_config *config, const char *build_id, int64_t attempt);
char *files_site(const struct controller_config *config,
                 const char *digest); /* "sha256:HEX", checked; NULL when it is none */
char *files_mirror(const struct controller_config *config, const char *repository_id);

/* "sha256:" and 64 hex digits. */
bool files_is_digest(const char *text);

/* Makes the folders; at start. */
int files_make(const struct controller_config *config, struct err *err);

#endif
