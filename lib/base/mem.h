/* Memory: allocators that abort when there is none, and attributes that free at the end of the
 * scope.
 *
 * Every owned local carries one: `auto_free char *name = …`. Hand over with `take(&name)`. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *xcalloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2), returns_nonnull));
void *xreallocarray(void *old, size_t count, size_t size)
    __attribute__((alloc_size(2, 3), returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
void *xmemdup(const void *data, size_t len) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* open_memstream that aborts on failure: the buffer is valid after fclose. */
FILE *xmemstream(char **text, size_t *len);

/* Overwrites, then frees. For secrets. `text` may be NULL. */
void wipe_free(char *text);

static inline void mem_freep(void *p)
{
    free(*(void **)p);
}

static inline void mem_wipep(char **p)
{
    wipe_free(*p);
}

static inline void mem_closep(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void mem_fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define auto_free __attribute__((__cleanup__(mem_freep)))
#define auto_wipe __attribute__((__cleanup__(mem_wipep)))
#define auto_fd __attribute__((__cleanup__(mem_closep)))
#define auto_file __attribute__((__cleanup__(mem_fclosep)))

/* Hands a pointer over: its value now, NULL left behind. */
#define take(p)                         \
    __extension__({                     \
        __typeof__(*(p)) taken_ = *(p); \
        *(p) = NULL;                    \
        taken_;                         \
    })

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define countof(a) (sizeof(a) / sizeof *(a))

#endif
