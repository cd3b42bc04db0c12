#include "cmd/cli/installation.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cli/port.h"
#include "cmd/cli/process.h"
#include "cmd/cli/programs.h"
#include "cmd/cli/yaml_text.h"

enum {
    STOP_MS = 10000,
    BUILDER_STOP_MS = 15000, /* it ends the builds under way first */
    SERVE_STOP_MS = 5000,    /* what is being answered may end */
    ARGS_MAX = 10,
    SLOTS = 2,
};

static const char *const folders[] = { "",           "/builder", "/controller", "/etc", "/git",
                                       "/git-hooks", "/haproxy", "/log",        "/run", "/ssgen" };
static const char *const hooks[] = { "pre-receive", "proc-receive" };

/* Of the environment, what programs may need; the rest is nobody's business. */
static const char *const passed[] = {
    "ASAN_OPTIONS", "HTTPS_PROXY",   "HTTP_PROXY",   "LSAN_OPTIONS", "NO_PROXY",
    "SSL_CERT_DIR", "SSL_CERT_FILE", "TSAN_OPTIONS", "TZ",           "UBSAN_OPTIONS",
    "http_proxy",   "https_proxy",   "no_proxy",
};

/* ---- names ---- */

static char *keep(struct installation *in, char *text)
{
    in->owned = xreallocarray(in->owned, in->owned_count + 1, sizeof *in->owned);
    in->owned[in->owned_count++] = text;
    return text;
}

/* A path below the data folder. */
static char *below(struct installation *in, const char *path)
{
    return keep(in, xasprintf("%s%s", in->settings.data, path));
}

/* The words up to NULL as an array. */
static const char *const *argv_of(struct installation *in, const char *first, ...)
{
    const char **argv = xcalloc(ARGS_MAX, sizeof *argv);
    size_t count = 0;
    va_list args;

    keep(in, (char *)argv);
    va_start(args, first);
    for (const char *word = first; word && count < ARGS_MAX - 1; word = va_arg(args, const char *))
        argv[count++] = word;
    va_end(args);
    return argv;
}

/* One of our own programs, with its configuration. */
static int name_program(struct installation *in, struct supervisor_child *child, const char *name,
                        int64_t stop_ms, struct err *err)
{
    auto_free char *program = xasprintf("evenkeel-%s", name),
                   *config = xasprintf("/etc/%s.yaml", name);
    char *path;

    if (program_beside(program, &path, err))
        return -1;
    keep(in, path);
    *child =
        (struct supervisor_child){ .name = name,
                                   .stop_signal = SIGTERM,
                                   .stop_ms = stop_ms,
                                   .argv = argv_of(in, path, "--config", below(in, config), NULL) };
    return 0;
}

static void name_servers(struct installation *in)
{
    char *haproxy = below(in, "/haproxy/haproxy.cfg"), *nginx = below(in, "/ssgen/nginx.conf");
    char *master = keep(in, xasprintf("%s/haproxy/master.sock,mode,600", in->settings.data));
    char *home = below(in, "/ssgen/");

    in->children[4] = (struct supervisor_child){
        .name = "nginx",
        .stop_signal = SIGQUIT,
        .stop_ms = SERVE_STOP_MS,
        .wait_for = nginx,
        .leftover = below(in, "/run/sites.sock"),
        .argv = argv_of(in, "nginx", "-p", home, "-e", "stderr", "-c", nginx, "-g", "daemon off;",
                        NULL),
    };
    in->children[5] = (struct supervisor_child){
        .name = "haproxy",
        .stop_signal = SIGUSR1,
        .stop_ms = SERVE_STOP_MS,
        .wait_for = haproxy,
        .argv = argv_of(in, "haproxy", "-W", "-S", master, "-f", haproxy, NULL),
    };
}

static void name_env(struct installation *in)
{
    size_t count = 0;

    in->env = xcalloc(countof(passed) + 4, sizeof *in->env);
    in->env[count++] =
        keep(in, xstrdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    in->env[count++] = keep(in, xasprintf("HOME=%s", in->settings.data));
    in->env[count++] = keep(in, xstrdup("LC_ALL=C.UTF-8"));
    for (size_t i = 0; i < countof(passed); i++) {
        const char *value = getenv(passed[i]);
        if (value)
            in->env[count++] = keep(in, xasprintf("%s=%s", passed[i], value));
    }
}

/* Apps under the name of this machine itself are nobody else's to see. */
static const char *http_host(const struct settings *s)
{
    return strcmp(s->domain, "localhost") == 0 || text_ends(s->domain, ".localhost") ? "127.0.0.1"
                                                                                     : "0.0.0.0";
}

int installation_open(const struct cli *cli, struct installation *in, struct err *err)
{
    if (settings_read(cli, &in->settings, err))
        return -1;
    in->http_host = http_host(&in->settings);
    in->run_dir = below(in, "/run");
    in->log_dir = below(in, "/log");
    in->token_path = below(in, "/token");
    in->controller_config = below(in, "/etc/controller.yaml");
    in->controller_socket = below(in, "/run/controller.sock");
    in->api_url = keep(in, xasprintf("http://127.0.0.1:%lld", (long long)in->settings.api_port));
    name_env(in);
    name_servers(in);
    /* In the order of stopping: first what takes in work, the router last. */
    if (name_program(in, &in->children[0], "gateway", STOP_MS, err) ||
        name_program(in, &in->children[1], "builder", BUILDER_STOP_MS, err) ||
        name_program(in, &in->children[2], "ssgen", STOP_MS, err) ||
        name_program(in, &in->children[3], "controller", STOP_MS, err))
        return -1;
    return 0;
}

void installation_done(struct installation *in)
{
    settings_done(&in->settings);
    for (size_t i = 0; i < in->owned_count; i++)
        free(in->owned[i]);
    free(in->owned);
    free(in->env);
}

char *installation_supervisor_pid(const struct installation *in)
{
    return supervisor_pid_path(in->run_dir, "supervisor");
}

/* ---- folders ---- */

static int make_folders(const struct installation *in, struct err *err)
{
    for (size_t i = 0; i < countof(folders); i++) {
        auto_free char *path = xasprintf("%s%s", in->settings.data, folders[i]);
        /* nginx's workers have another user and go through here; what is secret below is closed
         * itself. */
        mode_t mode =
            *folders[i] && strcmp(folders[i], "/ssgen") != 0 && strcmp(folders[i], "/run") != 0
                ? 0700
                : 0711;
        if (fs_make_dirs(path, mode, err))
            return err_prefix(err, "making the data folder");
    }
    return 0;
}

int installation_lock(const struct installation *in, int *fd, struct err *err)
{
    auto_free char *path = fs_join(in->run_dir, "supervisor.lock");
    auto_free char *pid_path = installation_supervisor_pid(in);
    pid_t pid = 0;

    if (make_folders(in, err))
        return -1;
    if (!fs_lock(path, fd, err))
        return 0;
    if (err->class != ERR_CONFLICT)
        return -1;
    auto_fd int pidfd = pidfile_open(pid_path, &pid);
    if (pidfd >= 0)
        err_set(err, ERR_CONFLICT, "Evenkeel runs already in %s (pid %ld)", in->settings.data,
                (long)pid);
    else
        err_set(err, ERR_CONFLICT, "Evenkeel is just starting or stopping in %s",
                in->settings.data);
    return err_hint(
        err, "`evenkeel down --data %s` stops it; another one needs another --data and ports",
        in->settings.data);
}

/* ---- ports ---- */

/* Whether the process is one of ours: each has a process group of its own. */
static bool is_child(const struct installation *in, pid_t pid)
{
    pid_t group = getpgid(pid);

    for (size_t i = 0; i < INSTALLATION_CHILDREN; i++) {
        auto_free char *path = supervisor_pid_path(in->run_dir, in->children[i].name);
        pid_t leader;
        auto_fd int pidfd = pidfile_open(path, &leader);
        if (pidfd >= 0 && leader == group)
            return true;
    }
    return false;
}

static int check_port(const struct installation *in, const char *host, int64_t port,
                      const char *what, const char *flag, struct err *err)
{
    auto_free char *name = NULL;
    bool is_free;
    pid_t pid = 0;

    if (port_is_free(host, port, &is_free, err))
        return err_hint(err, "choose another port with %s", flag);
    if (is_free)
        return 0;
    bool is_known = port_find_owner(port, &pid, &name);
    if (is_known && is_child(in, pid))
        return 0;
    if (is_known)
        err_set(err, ERR_UNAVAILABLE, "port %lld, for %s, is taken by %s (pid %ld)",
                (long long)port, what, name, (long)pid);
    else
        err_set(err, ERR_UNAVAILABLE, "port %lld, for %s, is taken by another program",
                (long long)port, what);
    return err_hint(err, "stop that program, or choose another port with %s", flag);
}

int installation_check_ports(const struct installation *in, struct err *err)
{
    const struct settings *s = &in->settings;

    return check_port(in, in->http_host, s->http_port, "the apps", "--http-port", err) ||
                   check_port(in, "127.0.0.1", s->api_port, "the API", "--api-port", err)
               ? -1
               : 0;
}

/* ---- configuration files ---- */

/* A socket that is not Docker's default is named the way its own client is told. */
static const char *docker_socket(void)
{
    const char *host = getenv("DOCKER_HOST");

    return host && text_starts(host, "unix:///") ? host + strlen("unix://")
                                                 : "/var/run/docker.sock";
}

static json_t *path_value(const struct installation *in, const char *path)
{
    auto_free char *full = xasprintf("%s%s", in->settings.data, path);

    return json_string(full);
}

static json_t *controller_address(const struct installation *in)
{
    auto_free char *address = xasprintf("unix:%s", in->controller_socket);

    return json_string(address);
}

static json_t *controller_values(const struct installation *in)
{
    const struct settings *s = &in->settings;

    return json_pack("{s:s, s:o, s:{s:o, s:s, s:s}, s:s, s:{s:o, s:o}, s:I, s:{s:o}, s:{s:o, s:s, "
                     "s:I}, s:{s:o}}",
                     "api_url", in->api_url, "data", path_value(in, "/controller"), "docker",
                     "socket", json_string(docker_socket()), "prefix", s->prefix, "network_range",
                     s->network_range, "domain", s->domain, "git", "root", path_value(in, "/git"),
                     "hooks", path_value(in, "/git-hooks"), "http_port", (json_int_t)s->http_port,
                     "listen", "unix", path_value(in, "/run/controller.sock"), "router", "dir",
                     path_value(in, "/haproxy"), "http_host", in->http_host, "http_port",
                     (json_int_t)s->http_port, "sites", "server",
                     path_value(in, "/run/sites.sock"));
}

static json_t *gateway_values(const struct installation *in)
{
    return json_pack("{s:{s:o, s:s}, s:{s:s, s:I}, s:s}", "controller", "address",
                     controller_address(in), "name", "gateway", "listen", "host", "127.0.0.1",
                     "port", (json_int_t)in->settings.api_port, "public_url", in->api_url);
}

static json_t *builder_values(const struct installation *in)
{
    return json_pack("{s:{s:o}, s:o, s:{s:s}, s:s, s:i}", "controller", "address",
                     controller_address(in), "data", path_value(in, "/builder"), "docker", "socket",
                     docker_socket(), "name", "builder", "slots", SLOTS);
}

static json_t *ssgen_values(const struct installation *in)
{
    return json_pack("{s:{s:o}, s:o, s:s, s:{s:o, s:o}}", "controller", "address",
                     controller_address(in), "root", path_value(in, "/ssgen/sites"), "name",
                     "ssgen", "nginx", "conf", path_value(in, "/ssgen/nginx.conf"), "listen",
                     path_value(in, "/run/sites.sock"));
}

static const struct {
    const char *name;
    json_t *(*values)(const struct installation *in);
} configs[] = {
    { "builder", builder_values },
    { "controller", controller_values },
    { "gateway", gateway_values },
    { "ssgen", ssgen_values },
};

/* Writes one; a file that stands there is somebody's work and is kept beside. */
static int write_config(const struct installation *in, size_t i, struct err *err)
{
    auto_free char *path = xasprintf("%s/etc/%s.yaml", in->settings.data, configs[i].name);
    auto_free char *old = xasprintf("%s.old", path), *text = NULL;
    json_auto_t *values = configs[i].values(in);
    size_t len;
    FILE *out = xmemstream(&text, &len);

    fprintf(out,
            "# Written by `evenkeel up`, again only when its flags change. All keys: evenkeel-%s "
            "--help-config\n",
            configs[i].name);
    yaml_print(out, values, true);
    fclose(out);
    if (fs_exists(path) && rename(path, old))
        return err_errno(err, errno, "keeping %s", path);
    return fs_write(path, text, len, 0600, err);
}

static int write_configs(struct installation *in, bool all, struct err *err)
{
    for (size_t i = 0; i < countof(configs); i++) {
        auto_free char *path = xasprintf("%s/etc/%s.yaml", in->settings.data, configs[i].name);
        if ((all || !fs_exists(path)) && write_config(in, i, err))
            return err_prefix(err, "writing the configuration");
    }
    return 0;
}

/* ---- the whole ---- */

/* git looks for hooks by name; the gateway sees by which it was called. */
static int link_hooks(const struct installation *in, struct err *err)
{
    const char *gateway = in->children[0].argv[0];

    for (size_t i = 0; i < countof(hooks); i++) {
        auto_free char *path = xasprintf("%s/git-hooks/%s", in->settings.data, hooks[i]);
        auto_free char *beside = xasprintf("%s.new", path);
        unlink(beside);
        if (symlink(gateway, beside) || rename(beside, path))
            return err_errno(err, errno, "linking the hook %s", path);
    }
    return 0;
}

/* Started by root, nginx's workers are another user: every folder on the way to the sites must let
 * them pass. Ours do. */
static int check_way(const struct installation *in, struct err *err)
{
    auto_free char *path = xstrdup(in->settings.data);
    struct stat info;

    for (char *slash = strrchr(path, '/'); geteuid() == 0 && slash > path;
         slash = strrchr(path, '/')) {
        *slash = '\0';
        if (stat(path, &info) || (info.st_mode & S_IXOTH))
            continue;
        err_set(err, ERR_INVALID,
                "%s is closed to other users: nginx could not serve sites from %s", path,
                in->settings.data);
        return err_hint(err, "`chmod o+x %s`, or choose another folder with --data", path);
    }
    return 0;
}

int installation_prepare(struct installation *in, bool *is_changed, struct err *err)
{
    bool differs = !settings_are_kept(&in->settings);

    if (check_way(in, err) || link_hooks(in, err) || write_configs(in, differs, err))
        return -1;
    if (differs && settings_keep(&in->settings,
                                 err)) /* last: an `up` that ends before writes the files again */
        return err_prefix(err, "keeping the settings");
    *is_changed = differs;
    return 0;
}
