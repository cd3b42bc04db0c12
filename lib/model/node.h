/* A document as a tree of nodes, each with the line it stands on: what conf and the app spec are
 * read from. Made from YAML (strictly: one document, no aliases, anchors, tags or duplicate keys,
 * all bounded) or from JSON (without lines). Scalars stay text; who knows the member's type
 * resolves them, so `8080` may be a text where a text is wanted. */
#ifndef MODEL_NODE_H
#define MODEL_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { NODE_DEPTH_MAX = 16, NODE_ITEMS_MAX = 1000, NODE_KEY_MAX = 256 };

enum node_kind {
    NODE_EMPTY, /* nothing, `~` or `null` */
    NODE_PLAIN, /* a scalar without quotes; JSON: a number or boolean */
    NODE_TEXT,  /* a quoted or block scalar; JSON: a string */
    NODE_LIST,
    NODE_MAP,
};

struct node {
    enum node_kind kind;
    size_t line;        /* of the key in a map, else of the value; 0: not from a file */
    char *key;          /* in a map, else NULL */
    char *text;         /* of a scalar; valid UTF-8 without NUL */
    struct node *items; /* of a list or map, in the order of the file; owned */
    size_t count;
};

/* `file` is only for messages: "FILE:LINE: …". An empty document is an empty map. */
int node_read_yaml(const char *text, size_t len, const char *file, struct node **root,
                   struct err *err);
/* ERR_INVALID with the line of the first byte that is not UTF-8, or is NUL. */
int node_check_bytes(const char *text, size_t len, const char *file, struct err *err);
int node_read_json(const json_t *value, struct node **root, struct err *err);
void node_free(struct node *root);

/* What a node is, for messages: "a list". */
const char *node_kind_name(const struct node *node);

/* ERR_INVALID at a node: "FILE:LINE: text", or the text alone when it has no line. Returns -1. */
int node_err(struct err *err, const char *file, const struct node *node, const char *field,
             const char *hint, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

static inline void node_freep(struct node **root)
{
    node_free(*root);
}
#define auto_node __attribute__((__cleanup__(node_freep))) struct node

#endif
