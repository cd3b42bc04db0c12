/* The site inside an image: a container is made of it, never started, and its folder read. The
 * slot's thread. */
#ifndef BUILDER_IMAGE_SITE_H
#define BUILDER_IMAGE_SITE_H

#include "builder/attempt.h"

/* `id` is the image. Reads build.site, relative to the image's working folder; fills the outcome.
 * -1: the reason is noted. */
int image_site(struct attempt *attempt, const char *id);

/* Packs the folder of a tar (builder/site.h), says what was left out, sends it. */
int image_site_pack(struct attempt *attempt, int tar, const char *folder);

/* Containers that a builder of this name left behind when it was killed. */
void image_site_clean(struct builder *builder);

#endif
