#include "cmd/cli/programs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

int program_self(char **path, struct err *err)
{
    char *found = realpath("/proc/self/exe", NULL);

    if (!found)
        return err_errno(err, errno, "finding this program's own file");
    *path = found;
    return 0;
}

int program_beside(const char *name, char **path, struct err *err)
{
    auto_free char *self = NULL;

    if (program_self(&self, err))
        return -1;
    *strrchr(self, '/') = '\0';
    auto_free char *beside = xasprintf("%s/%s", self, name);
    if (access(beside, X_OK)) {
        err_set(err, ERR_NOT_FOUND, "%s is not there", beside);
        return err_hint(
            err,
            "all programs of Evenkeel belong in one folder; was it built and installed whole?");
    }
    *path = take(&beside);
    return 0;
}
