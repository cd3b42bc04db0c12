/* Image references: [HOST[:PORT]/]NAME[:TAG][@sha256:HEX], or the id of an image of the local
 * daemon, sha256:HEX (https://github.com/distribution/reference). Strict: what is refused here
 * never reaches a daemon or a registry. */
#ifndef OCI_IMAGE_H
#define OCI_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { IMAGE_TEXT_MAX = 512 };

struct image {
    char *host;   /* "registry.example.org:5000"; NULL: the daemon's default, or a local image */
    char *name;   /* "evenkeel/shop"; NULL: an image id */
    char *tag;    /* or NULL */
    char *digest; /* "sha256:…" of the manifest, or the image id; or NULL */
};

int image_parse(const char *text, struct image *image, struct err *err);
void image_done(struct image *image);

/* Back to text. */
char *image_text(const struct image *image);

/* "sha256:" and 64 lower-case hex digits. */
bool image_is_digest(const char *text);

#define auto_image __attribute__((__cleanup__(image_done))) struct image

#endif
