/* Text from a server, a repository or a container, made safe for a terminal. Any thread. */
#ifndef CMD_CLI_VISIBLE_H
#define CMD_CLI_VISIBLE_H

#include <stddef.h>

/* Control characters (C0, DEL, C1) and invisible ones that change the direction or hide text become
 * \n, \x1b, \u{202e}; invalid UTF-8 becomes U+FFFD. The caller's to free. */
char *visible(const char *text);

/* Columns it takes on a terminal; for what visible() returned. */
size_t visible_width(const char *text);

/* Cut to `width` columns, with … at the end when something is missing. The caller's to free. */
char *visible_cut(const char *text, size_t width);

#endif
