/* The stand-ins behind a world's interfaces. Private to test/fake. */
#ifndef FAKE_OUTSIDE_H
#define FAKE_OUTSIDE_H

#include "world.h"

void outside_init(struct world *w);

#endif
