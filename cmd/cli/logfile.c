#include "cmd/cli/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* sendfile: the bytes do not pass through this process. */
static int copy_tail(int from, int to, off_t size, int64_t size_max, struct err *err)
{
    off_t at = size > 2 * size_max ? size - 2 * size_max : 0; /* of a flood the end is enough */

    while (at < size) {
        ssize_t n = sendfile(to, from, &at, (size_t)(size - at));
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "copying the log");
    }
    return 0;
}

int logfile_rotate(const char *path, int64_t size_max, struct err *err)
{
    auto_fd int log = open(path, O_RDWR | O_CLOEXEC);
    struct stat info;

    if (log < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "opening %s", path);
    if (fstat(log, &info) || info.st_size <= size_max)
        return 0;
    auto_free char *before = xasprintf("%s.1", path);
    auto_free char *beside = xasprintf("%s.new", before);
    auto_fd int out = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return err_errno(err, errno, "opening %s", beside);
    if (copy_tail(log, out, info.st_size, size_max, err))
        return -1;
    if (rename(beside, before) || ftruncate(log, 0))
        return err_errno(err, errno, "rotating %s", path);
    return 0;
}
