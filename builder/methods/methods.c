#include "builder/method.h"

#include <string.h>

#include "base/mem.h"

const struct method *const methods[] = {
    &method_command,
    &method_dockerfile,
    &method_image,
    &method_static,
};
const unsigned method_count = countof(methods);

const struct method *method_find(const char *name)
{
    for (unsigned i = 0; i < method_count; i++)
        if (strcmp(methods[i]->name, name) == 0)
            return methods[i];
    return NULL;
}
