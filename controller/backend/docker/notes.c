#include "controller/backend/docker/notes.h"

#include <pthread.h>
#include <string.h>
#include <uthash.h>

#include "base/mem.h"

struct entry {
    char *id;
    struct note note;
    UT_hash_handle hh; /* iterates in the order of insertion */
};

struct notes {
    size_t max;
    pthread_mutex_t lock; /* guards: */
    struct entry *entries;
};

struct notes *notes_new(size_t max)
{
    struct notes *notes = xcalloc(1, sizeof *notes);

    notes->max = max;
    pthread_mutex_init(&notes->lock, NULL);
    return notes;
}

static void drop(struct notes *notes, struct entry *entry)
{
    HASH_DEL(notes->entries, entry);
    free(entry->id);
    free(entry);
}

void notes_free(struct notes *notes)
{
    if (!notes)
        return;
    while (notes->entries)
        drop(notes, notes->entries);
    pthread_mutex_destroy(&notes->lock);
    free(notes);
}

static struct entry *find(struct notes *notes, const char *id)
{
    struct entry *entry;

    HASH_FIND_STR(notes->entries, id, entry);
    return entry;
}

struct note notes_get(struct notes *notes, const char *id)
{
    struct note note = { .is_ready = false };

    pthread_mutex_lock(&notes->lock);
    const struct entry *entry = find(notes, id);
    if (entry)
        note = entry->note;
    pthread_mutex_unlock(&notes->lock);
    return note;
}

void notes_set(struct notes *notes, const char *id, const struct note *note)
{
    pthread_mutex_lock(&notes->lock);
    struct entry *entry = find(notes, id);
    if (!entry) {
        if (HASH_COUNT(notes->entries) >= notes->max)
            drop(notes, notes->entries);
        entry = xcalloc(1, sizeof *entry);
        entry->id = xstrdup(id);
        HASH_ADD_KEYPTR(hh, notes->entries, entry->id, strlen(entry->id), entry);
    }
    entry->note = *note;
    pthread_mutex_unlock(&notes->lock);
}

void notes_drop(struct notes *notes, const char *id)
{
    pthread_mutex_lock(&notes->lock);
    struct entry *entry = find(notes, id);
    if (entry)
        drop(notes, entry);
    pthread_mutex_unlock(&notes->lock);
}

size_t notes_count(struct notes *notes)
{
    pthread_mutex_lock(&notes->lock);
    size_t count = HASH_COUNT(notes->entries);
    pthread_mutex_unlock(&notes->lock);
    return count;
}
