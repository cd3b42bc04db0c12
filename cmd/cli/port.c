/* The kernel's table of sockets (/proc/net/tcp) names the inode of a listening socket, and the
 * descriptors of a process (/proc/PID/fd) name the inodes of its sockets. HAProxy's listeners share
 * their port with everybody who asks the same way (SO_REUSEPORT), so asking the table alone would
 * not do: the bind here asks without it. */
#include "cmd/cli/port.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

enum { LINK_MAX_LEN = 64, NAME_MAX_LEN = 64, STATE_LISTEN = 0x0A };

#define auto_dir __attribute__((__cleanup__(close_dir))) DIR

static void close_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

int port_is_free(const char *host, int64_t port, bool *is_free, struct err *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int yes = 1;

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return err_set(err, ERR_INVALID, "%s is no IPv4 address", host);
    auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "making a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool is_bound = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (!is_bound && errno != EADDRINUSE)
        return err_errno(err, errno, "listening on %s:%lld", host, (long long)port);
    *is_free = is_bound && listen(fd, 1) == 0;
    return 0;
}

/* The inode of the first socket of the table that listens on the port; 0 when there is none. */
static unsigned long find_inode(const char *table, int64_t port)
{
    auto_file FILE *file = fopen(table, "re");
    char line[512];

    while (file && fgets(line, sizeof line, file)) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", &local, &state,
                   &inode) == 3 &&
            local == (unsigned)port && state == STATE_LISTEN)
            return inode;
    }
    return 0;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    auto_free char *path = xasprintf("/proc/%s/fd", pid),
                   *wanted = xasprintf("socket:[%lu]", inode);
    auto_dir *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char target[LINK_MAX_LEN];
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, wanted) == 0)
            return true;
    }
    return false;
}

static char *name_of(const char *pid)
{
    auto_free char *path = xasprintf("/proc/%s/comm", pid);
    auto_file FILE *file = fopen(path, "re");
    char name[NAME_MAX_LEN] = "";

    if (file && fgets(name, sizeof name, file))
        name[strcspn(name, "\n")] = '\0';
    return xstrdup(name);
}

bool port_find_owner(int64_t port, pid_t *pid, char **name)
{
    unsigned long inode = find_inode("/proc/net/tcp", port);
    auto_dir *dir = opendir("/proc");
    struct dirent *entry;

    if (!inode)
        inode = find_inode("/proc/net/tcp6", port);
    while (inode && dir && (entry = readdir(dir))) {
        if (!isdigit((unsigned char)*entry->d_name) || !has_socket(entry->d_name, inode))
            continue;
        *pid = (pid_t)strtol(entry->d_name, NULL, 10);
        *name = name_of(entry->d_name);
        return true;
    }
    return false;
}
