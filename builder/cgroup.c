#include "builder/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

enum { FILE_MAX = 64 * 1024 };

struct cgroup {
    int version;
    char *events;         /* version 2: path of memory.events */
    int64_t at_start;     /* version 2: kills counted before */
    int event, notify;    /* version 1: the eventfd and memory.oom_control */
    pthread_mutex_t lock; /* guards: */
    int64_t seen;
};

/* ---- /proc/self/mountinfo ---- */

/* The n-th word of a line, or an empty one. */
static char *word(const char *line, size_t len, unsigned n)
{
    const char *at = line, *end = line + len;

    for (;;) {
        const char *stop = memchr(at, ' ', (size_t)(end - at));
        if (!stop)
            stop = end;
        if (n-- == 0)
            return xstrndup(at, (size_t)(stop - at));
        if (stop == end)
            return xstrdup("");
        at = stop + 1;
    }
}

static bool has_option(const char *options, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = options; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || !at[len]))
            return true;
    }
    return false;
}

/* "36 35 98:0 /root /mount opts [tags…] - TYPE source SUPEROPTS": 1, 2, or 0 for another kind. */
static int version_of(const char *line, size_t len)
{
    const char *dash = memmem(line, len, " - ", 3);

    if (!dash)
        return 0;
    size_t rest = len - (size_t)(dash + 3 - line);
    auto_free char *type = word(dash + 3, rest, 0);
    auto_free char *options = word(dash + 3, rest, 2);
    if (strcmp(type, "cgroup2") == 0)
        return 2;
    return strcmp(type, "cgroup") == 0 && has_option(options, "memory") ? 1 : 0;
}

char *cgroup_find_mount(const char *mountinfo, int *version)
{
    auto_free char *found = NULL;

    for (const char *at = mountinfo; *at;) {
        size_t len = strcspn(at, "\n");
        int v = version_of(at, len);
        /* In hybrid mode both are mounted and version 1 has the controller. */
        if (v == 1 || (v == 2 && !found)) {
            free(found);
            found = word(at, len, 4);
            *version = v;
        }
        if (v == 1)
            break;
        at += len + (at[len] == '\n');
    }
    return take(&found);
}

/* ---- the group ---- */

static int write_file(const char *dir, const char *name, const char *text, struct err *err)
{
    auto_free char *path = fs_join(dir, name);
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return err_set(err, ERR_UNAVAILABLE, "writing %s: %s", path, strerror(errno));
    return 0;
}

static int64_t read_kills(const char *events)
{
    static const char key[] = "oom_kill ";
    auto_free char *text = NULL;
    struct err err = { 0 };

    if (fs_read(events, FILE_MAX, &text, NULL, &err) < 0)
        return 0;
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (text_starts(line, key))
            return strtoll(line + strlen(key), NULL, 10);
    }
    return 0;
}

/* "EVENTFD CONTROLFD" in cgroup.event_control: the eventfd grows with each kill at this limit. */
static int subscribe(struct cgroup *cgroup, const char *dir, struct err *err)
{
    auto_free char *path = fs_join(dir, "memory.oom_control");

    cgroup->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    cgroup->notify = open(path, O_RDONLY | O_CLOEXEC);
    if (cgroup->event < 0 || cgroup->notify < 0)
        return err_set(err, ERR_UNAVAILABLE, "opening %s: %s", path, strerror(errno));
    auto_free char *line = xasprintf("%d %d", cgroup->event, cgroup->notify);
    return write_file(dir, "cgroup.event_control", line, err);
}

static int set_limit(struct cgroup *cgroup, const char *dir, int64_t memory_max, struct err *err)
{
    auto_free char *bytes = xasprintf("%lld", (long long)memory_max);

    if (fs_make_dirs(dir, 0755, err) < 0) {
        err->class = ERR_UNAVAILABLE;
        return -1;
    }
    if (cgroup->version == 1) {
        if (write_file(dir, "memory.limit_in_bytes", bytes, err) < 0)
            return -1;
        return subscribe(cgroup, dir, err);
    }
    cgroup->events = fs_join(dir, "memory.events");
    cgroup->at_start = read_kills(cgroup->events);
    return write_file(dir, "memory.max", bytes, err);
}

int cgroup_limit(const char *mountinfo, const char *name, int64_t memory_max, struct cgroup **out,
                 struct err *err)
{
    int version = 0;
    auto_free char *mount = cgroup_find_mount(mountinfo, &version);

    if (!mount)
        return err_set(err, ERR_UNAVAILABLE, "no memory controller is mounted");
    auto_free char *dir = fs_join(mount, name);
    struct cgroup *cgroup = xcalloc(1, sizeof *cgroup);
    cgroup->version = version;
    cgroup->event = cgroup->notify = -1;
    pthread_mutex_init(&cgroup->lock, NULL);
    if (set_limit(cgroup, dir, memory_max, err) < 0) {
        cgroup_free(cgroup);
        return -1;
    }
    *out = cgroup;
    return 0;
}

void cgroup_free(struct cgroup *cgroup)
{
    if (!cgroup)
        return;
    if (cgroup->event >= 0)
        close(cgroup->event);
    if (cgroup->notify >= 0)
        close(cgroup->notify);
    pthread_mutex_destroy(&cgroup->lock);
    free(cgroup->events);
    free(cgroup);
}

int64_t cgroup_kills(struct cgroup *cgroup)
{
    uint64_t more;

    if (!cgroup)
        return 0;
    if (cgroup->version == 2)
        return read_kills(cgroup->events) - cgroup->at_start;
    pthread_mutex_lock(&cgroup->lock);
    if (read(cgroup->event, &more, sizeof more) == sizeof more)
        cgroup->seen += (int64_t)more;
    int64_t seen = cgroup->seen;
    pthread_mutex_unlock(&cgroup->lock);
    return seen;
}
