/* The create body of an instance.
 *
 * Start command: an image's own, untouched, or the process's `command`, which then replaces
 * entrypoint and command and runs as /bin/sh -c inside the tenant's container. A simple command
 * gets "exec" in front, so that it takes the shell's place and receives SIGTERM itself; in front of
 * a compound one that would cut off what follows, so there the author writes exec before the last
 * part.
 *
 * Rights: no new privileges, and of the capabilities only those that official images use while
 * they start as root and then step down to a user of their own (CHOWN to KILL). Docker's own
 * defaults beyond these are left out: NET_RAW (forged packets on a network shared with the
 * project's other apps), MKNOD, SETFCAP, SETPCAP, FSETID, SYS_CHROOT, AUDIT_WRITE.
 *
 * The image's own health check is switched off: readiness is what the controller's probes see, and
 * a process started inside every container every 30 s is not free. */
#include "controller/backend/docker/body.h"

#include <assert.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/text.h"

enum { NOFILE = 20000 };

char *body_container_name(const struct body_want *want)
{
    return xasprintf("%s%s-%s-%s-v%lld-%lld", want->prefix, want->app->project, want->app->app,
                     want->process->name, (long long)want->release->number, (long long)want->index);
}

char *body_network_name(const char *prefix, const char *project)
{
    return xasprintf("%sevenkeel-%s", prefix, project);
}

/* ---- command and environment ---- */

/* Whether "exec COMMAND" means the same as COMMAND: one program with arguments. Errs on the side
 * of no. */
static bool is_simple(const char *command)
{
    static const char *const words[] = { ".",     ":",     "!",      "[[",     "{",      "case",
                                         "cd",    "eval",  "exec",   "export", "for",    "if",
                                         "set",   "shift", "source", "trap",   "ulimit", "umask",
                                         "unset", "until", "wait",   "while" };
    size_t len = strcspn(command, " \t");

    if (len == 0 || strpbrk(command, ";&|()\n`") || memchr(command, '=', len))
        return false;
    for (size_t i = 0; i < countof(words); i++)
        if (strlen(words[i]) == len && memcmp(words[i], command, len) == 0)
            return false;
    return true;
}

static void set_command(json_t *body, const char *command)
{
    if (!command)
        return;
    command += strspn(command, " \t\n");
    auto_free char *text = xasprintf("%s%s", is_simple(command) ? "exec " : "", command);
    json_object_set_new(body, "Entrypoint", json_pack("[s,s]", "/bin/sh", "-c"));
    json_object_set_new(body, "Cmd", json_pack("[s]", text));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "K=V" of the release's environment in sorted order; PORT is the process's. */
static json_t *environment(const struct body_want *want)
{
    size_t count = 0, max = json_object_size(want->release->env) + 1;
    auto_free char **lines = xcalloc(max, sizeof *lines);
    const json_t *values = want->release->env;
    json_t *env = json_array(), *value;
    const char *key;

    json_object_foreach((json_t *)values, key, value)
        if (json_is_string(value) && (want->process->port == 0 || strcmp(key, "PORT") != 0))
            lines[count++] = xasprintf("%s=%s", key, json_string_value(value));
    if (want->process->port)
        lines[count++] = xasprintf("PORT=%lld", (long long)want->process->port);
    qsort(lines, count, sizeof *lines, by_text);
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(env, json_string(lines[i]));
        wipe_free(lines[i]);
    }
    return env;
}

/* ---- limits and network ---- */

static json_t *host_config(const struct body_want *want, const char *network)
{
    json_int_t memory = want->process->memory;

    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:{s:s}, s:[s], s:[s], s:[s,s,s,s,s,s,s], "
                     "s:[{s:s,s:i,s:i}],"
                     " s:{s:s, s:{s:s, s:s}}}",
                     "NetworkMode", network, "Memory", memory, "MemorySwap",
                     memory, /* equal: no swap */
                     "NanoCpus", (json_int_t)want->process->cpus_milli * 1000000, "PidsLimit",
                     (json_int_t)want->process->pids, "Init", 1, "RestartPolicy", "Name", "no",
                     "SecurityOpt", "no-new-privileges", "CapDrop", "ALL", "CapAdd", "CHOWN",
                     "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "NET_BIND_SERVICE", "KILL",
                     "Ulimits", "Name", "nofile", "Soft", NOFILE, "Hard", NOFILE, "LogConfig",
                     "Type", "json-file", "Config", "max-size", "10m", "max-file", "2");
}

/* Apps of a project reach each other as PROCESS.APP, and the process `web` as APP. */
static json_t *networking(const struct body_want *want, const char *network)
{
    auto_free char *full = xasprintf("%s.%s", want->process->name, want->app->app);
    json_t *aliases = json_pack("[s]", full);

    if (strcmp(want->process->name, "web") == 0)
        json_array_append_new(aliases, json_string(want->app->app));
    return json_pack("{s:{s:{s:o}}}", "EndpointsConfig", network, "Aliases", aliases);
}

static json_t *labels(const struct body_want *want)
{
    auto_free char *index = xasprintf("%lld", (long long)want->index);

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", LABEL_INSTALLATION, want->installation,
                     LABEL_PROJECT, want->app->project, LABEL_APP, want->app->app_id, LABEL_RELEASE,
                     want->release->id, LABEL_PROCESS, want->process->name, LABEL_INDEX, index);
}

/* ---- bodies ---- */

static void add_hash(json_t *body)
{
    auto_wipe char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    auto_free char *hash = sha256_hex(text, strlen(text));

    json_object_set_new(json_object_get(body, "Labels"), LABEL_SPEC, json_string(hash));
}

json_t *body_container(const struct body_want *want)
{
    auto_free char *network = body_network_name(want->prefix, want->app->project);
    json_t *body = json_pack("{s:s, s:o, s:o, s:o, s:o, s:{s:[s]}}", "Image", want->release->image,
                             "Env", environment(want), "Labels", labels(want), "HostConfig",
                             host_config(want, network), "NetworkingConfig",
                             networking(want, network), "Healthcheck", "Test", "NONE");

    assert(body);
    set_command(body, want->process->command);
    add_hash(body);
    return body;
}

json_t *body_network(const char *prefix, const char *installation, const struct app_want *app)
{
    auto_free char *name = body_network_name(prefix, app->project);

    return json_pack("{s:s, s:b, s:s, s:b, s:{s:[{s:s}]}, s:{s:s, s:s}}", "Name", name,
                     "CheckDuplicate", 1, "Driver", "bridge", "EnableIPv6", 0, "IPAM", "Config",
                     "Subnet", app->subnet, "Labels", LABEL_INSTALLATION, installation,
                     LABEL_PROJECT, app->project);
}
