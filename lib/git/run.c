/* The settings come by GIT_CONFIG_COUNT, so that neither the system's nor a user's configuration is
 * read and a password never stands in a command line. Credentials are a header for the remote
 * itself: redirects are refused with them, because git would send the header to wherever it is
 * sent. */
#include "git/run.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

bool git_allow_file = false;

enum { ENV_MAX = 64 };

struct setting {
    const char *key, *value;
};

static const struct setting settings[] = {
    { "core.hooksPath", "/dev/null" },
    { "core.fsync", "committed,reference" }, /* a ref on disk names objects on disk */
    { "core.bigFileThreshold", "1m" },       /* larger blobs are streamed, not held in memory */
    { "core.askPass", "" },
    { "credential.helper", "" },
    { "fetch.fsckObjects", "true" },
    { "fetch.fsck.zeroPaddedFilemode", "ignore" }, /* harmless, and common in old repositories */
    { "fetch.recurseSubmodules", "false" },
    { "transfer.bundleURI", "false" },
    { "gc.auto", "0" }, /* git_collect_garbage is called instead */
    { "maintenance.auto", "false" },
    { "pack.threads", "1" },
    { "pack.windowMemory", "64m" },
    { "http.lowSpeedLimit", "1000" },
    { "http.lowSpeedTime", "60" },
    { "protocol.version", "2" },
    { "safe.directory", "*" }, /* every repository is named by its path here, none is discovered */
};

static const char *const plain_env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/nonexistent",
    "LC_ALL=C.UTF-8",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_CONFIG_GLOBAL=/dev/null",
    "GIT_ATTR_NOSYSTEM=1",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_OPTIONAL_LOCKS=0",
    "GIT_NO_REPLACE_OBJECTS=1",
    "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=10 -oForwardAgent=no",
    "GIT_SSH_VARIANT=ssh",
};

struct env {
    char *items[ENV_MAX + 1]; /* NULL-ended */
    size_t count, settings;
};

static void env_add(struct env *env, char *item)
{
    if (env->count == ENV_MAX)
        abort();
    env->items[env->count++] = item;
}

static void env_set(struct env *env, const char *key, const char *value)
{
    env_add(env, xasprintf("GIT_CONFIG_KEY_%zu=%s", env->settings, key));
    env_add(env, xasprintf("GIT_CONFIG_VALUE_%zu=%s", env->settings, value));
    env->settings++;
}

static void env_done(struct env *env)
{
    for (size_t i = 0; i < env->count; i++)
        wipe_free(env->items[i]);
}

const char *git_credentials_user(const struct git_credentials *credentials)
{
    if (!credentials || (!credentials->user && !credentials->password))
        return NULL;
    return credentials->user && credentials->user[0] ? credentials->user : "git";
}

/* NULL without credentials. */
static char *make_authorization(const struct git_credentials *credentials)
{
    const char *user = git_credentials_user(credentials);

    if (!user)
        return NULL;
    auto_wipe char *pair =
        xasprintf("%s:%s", user, credentials->password ? credentials->password : "");
    auto_wipe char *encoded = text_base64(pair, strlen(pair));
    return xasprintf("Authorization: Basic %s", encoded);
}

static void env_fill(struct env *env, const struct git_run *run)
{
    auto_wipe char *authorization = make_authorization(run->credentials);

    for (size_t i = 0; i < countof(plain_env); i++)
        env_add(env, xstrdup(plain_env[i]));
    env_add(env, xasprintf("GIT_ALLOW_PROTOCOL=http:https:ssh%s", git_allow_file ? ":file" : ""));
    if (run->repository)
        env_add(env, xasprintf("GIT_DIR=%s", run->repository));
    for (size_t i = 0; i < countof(settings); i++)
        env_set(env, settings[i].key, settings[i].value);
    if (authorization) {
        env_set(env, "http.extraHeader", authorization);
        env_set(env, "http.followRedirects", "false");
    }
    env_add(env, xasprintf("GIT_CONFIG_COUNT=%zu", env->settings));
}

/* What git says, in the C locale, and what it means to a caller; the first that is found counts. */
static const struct {
    const char *says;
    enum err_class class;
} complaints[] = {
    { "could not read Username", ERR_DENIED },
    { "could not read Password", ERR_DENIED },
    { "Authentication failed", ERR_DENIED },
    { "Permission denied (", ERR_DENIED },
    { "Host key verification failed", ERR_DENIED },
    { "returned error: 401", ERR_DENIED },
    { "returned error: 403", ERR_DENIED },
    { "' not found", ERR_NOT_FOUND }, /* repository 'URL' not found */
    { "does not appear to be a git repository", ERR_NOT_FOUND },
    { "couldn't find remote ref", ERR_NOT_FOUND },
    { "not our ref", ERR_NOT_FOUND },
    { "unadvertised object", ERR_NOT_FOUND },
    { "no such path", ERR_NOT_FOUND },
    { "No space left on device", ERR_EXHAUSTED },
    { "File size limit exceeded", ERR_EXHAUSTED },
    { "SIGXFSZ", ERR_EXHAUSTED },
    { "File too large", ERR_EXHAUSTED },
    { "died of signal 25", ERR_EXHAUSTED }, /* SIGXFSZ */
    { "fsck error", ERR_INVALID },
    { "bad object", ERR_INVALID },
};

static enum err_class class_of(const char *errors)
{
    for (size_t i = 0; i < countof(complaints); i++)
        if (strstr(errors, complaints[i].says))
            return complaints[i].class;
    return ERR_UNAVAILABLE;
}

/* The line that tells most: git's first "fatal:" or "error:", since what follows are consequences
 * and advice. */
static char *main_complaint(const char *errors)
{
    static const char *const marks[] = { "fatal: remote error: ", "error: ", "fatal: ", "" };

    for (size_t i = 0; i < countof(marks); i++) {
        const char *at = strstr(errors, marks[i]);
        if (at && (at == errors || at[-1] == '\n'))
            return xstrndup(at + strlen(marks[i]), strcspn(at + strlen(marks[i]), "\n"));
    }
    return xstrdup(errors);
}

/* git under prlimit(1) when files are bounded: posix_spawn cannot set limits itself. */
static char **make_argv(const struct git_run *run)
{
    size_t count = 0, at = 0;

    while (run->args[count])
        count++;
    char **argv = xcalloc(count + 4, sizeof *argv);
    if (run->file_size_max) {
        argv[at++] = xstrdup("prlimit");
        argv[at++] = xasprintf("--fsize=%lld", (long long)run->file_size_max);
    }
    argv[at++] = xstrdup("git");
    for (size_t i = 0; i < count; i++)
        argv[at++] = xstrdup(run->args[i]);
    return argv;
}

static void free_argv(char ***argv)
{
    for (char **arg = *argv; *arg; arg++)
        free(*arg);
    free(*argv);
}

int git_run(const struct git_run *run, char **output, size_t *len, struct err *err)
{
    __attribute__((__cleanup__(env_done))) struct env env = { 0 };
    __attribute__((__cleanup__(free_argv))) char **argv = make_argv(run);
    auto_proc_result result = { 0 };

    env_fill(&env, run);
    const struct proc_options options = { .argv = (const char *const *)argv,
                                          .env = (const char *const *)env.items,
                                          .timeout_ms = run->timeout_ms,
                                          .output_max = run->output_max,
                                          .on_output = run->on_output,
                                          .arg = run->arg };
    if (proc_run(&options, &result, err))
        return -1;
    if (result.exit_code) {
        auto_free char *complaint = main_complaint(result.errors);
        return err_set(err, class_of(result.errors), "git %s: %.400s", run->args[0], complaint);
    }
    if (output)
        *output = take(&result.output);
    if (len)
        *len = result.output_len;
    return 0;
}

/* ---- addresses ---- */

static const struct {
    const char *prefix;
    enum git_scheme scheme;
} schemes[] = {
    { "file:///", GIT_OVER_FILE },
    { "http://", GIT_OVER_HTTP },
    { "https://", GIT_OVER_HTTP },
    { "ssh://", GIT_OVER_SSH },
};

/* [user@]host:path, with a host and no "::", which would name a program. */
static bool is_scp_like(const char *url)
{
    size_t host = strcspn(url, ":/");

    return host > 0 && url[host] == ':' && url[host + 1] && url[host + 1] != ':' &&
           !strstr(url, "://");
}

static int find_scheme(const char *url, enum git_scheme *scheme, const char **rest)
{
    for (size_t i = 0; i < countof(schemes); i++) {
        if (!text_starts(url, schemes[i].prefix))
            continue;
        *scheme = schemes[i].scheme;
        *rest = url + strlen(schemes[i].prefix);
        return 0;
    }
    if (!is_scp_like(url))
        return -1;
    *scheme = GIT_OVER_SSH;
    *rest = url;
    return 0;
}

/* The part before the path: no option for ssh in place of a host, no password, and for http no user
 * either. */
static int check_host(const char *host, enum git_scheme scheme, struct err *err)
{
    size_t len = strcspn(host, "/");
    const char *at = memrchr(host, '@', len), *colon = memchr(host, ':', len);

    if (at && (scheme == GIT_OVER_HTTP || (colon && colon < at)))
        return err_set(err, ERR_INVALID, "the address of a repository must not hold credentials");
    if (at)
        host = at + 1;
    if (len == 0 || host[0] == '-' || host[0] == '/' || host[0] == ':' || host[0] == '\0')
        return err_set(err, ERR_INVALID, "the address of the repository has no host");
    return 0;
}

int git_check_url(const char *url, enum git_scheme *scheme, struct err *err)
{
    const char *rest = NULL;

    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 127 || *c == '\\')
            return err_set(err, ERR_INVALID,
                           "the address of the repository holds a space or a control character");
    if (url[0] == '-' || strlen(url) > 2048 || find_scheme(url, scheme, &rest))
        return err_set(err, ERR_INVALID,
                       "the address of a repository begins with https://, http:// or ssh://, or is "
                       "USER@HOST:PATH");
    if (*scheme == GIT_OVER_FILE)
        return git_allow_file ? 0
                              : err_set(err, ERR_DENIED,
                                        "repositories in files of this machine are not allowed");
    return check_host(rest, *scheme, err);
}
