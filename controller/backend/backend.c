#include "controller/backend/backend.h"

#include <stdlib.h>

void instance_seen_done(struct instance_seen *instance)
{
    free(instance->name);
    free(instance->process);
    free(instance->address);
    free(instance->probe);
    free(instance->log);
}

static void release_done(struct release_seen *release)
{
    for (size_t i = 0; i < release->instance_count; i++)
        instance_seen_done(&release->instances[i]);
    free(release->instances);
    free(release->message);
}

void app_seen_done(struct app_seen *seen)
{
    for (size_t i = 0; i < seen->release_count; i++)
        release_done(&seen->releases[i]);
    free(seen->releases);
    *seen = (struct app_seen){ .release_count = 0 };
}

void owned_list_done(struct owned_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].app_id);
        free(list->items[i].release_id);
    }
    free(list->items);
    *list = (struct owned_list){ .count = 0 };
}
