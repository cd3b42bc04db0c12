#include "builder/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "builder/builder.h"
#include "builder/log_lines.h"
#include "builder/method.h"
#include "builder/sender.h"
#include "builder/source.h"

enum { TEXT_MAX = 256, TIMEOUT_DEFAULT_MS = 15 * 60 * 1000, LOG_DEFAULT = 16 * 1024 * 1024 };
enum { SETTLE_CALL_MS = 10000, SETTLE_RETRY_MS = 500 };

/* ---- the lease ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* An id goes into a path: plain letters, digits, - and _ only. */
static bool is_plain_id(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return len > 0 && len <= TEXT_MAX && !text[len];
}

static int64_t number_of(const json_t *object, const char *key, int64_t fallback)
{
    int64_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? value : fallback;
}

static int read_job(struct attempt *a, const json_t *job, struct err *err)
{
    spec_build(job, &a->build);
    a->project = text_of(job, "project");
    a->app = text_of(job, "app");
    a->tag = text_of(job, "tag");
    a->registry = json_object_get(job, "registry");
    if (!json_is_object(a->registry))
        a->registry = NULL;
    a->timeout_ms = number_of(job, "timeout_ms", TIMEOUT_DEFAULT_MS);
    a->deadline_ms = clock_mono_ms(clock_system()) + a->timeout_ms;
    a->log_max = number_of(job, "log_max", LOG_DEFAULT);
    a->method = a->build.method ? method_find(a->build.method) : NULL;
    if (!a->method)
        return err_set(err, ERR_INVALID, "the build method \"%s\" is not known here",
                       a->build.method ? a->build.method : "");
    return 0;
}

int attempt_new(struct builder *builder, json_t *answer, struct attempt **out, struct err *err)
{
    struct attempt *a = xcalloc(1, sizeof *a);

    a->builder = builder;
    a->answer = answer;
    a->source = -1;
    pthread_mutex_init(&a->lock, NULL);
    a->id = text_of(answer, "attempt");
    a->lease = text_of(answer, "lease");
    const json_t *job = json_object_get(answer, "job");
    if (!is_plain_id(a->id) || !*a->lease || !json_is_object(job)) {
        attempt_free(a);
        return err_set(err, ERR_INVALID, "the answer of build.lease has no attempt, lease or job");
    }
    if (read_job(a, job, &a->outcome.err) < 0)
        a->outcome.reason = "BuildFailed"; /* settled as soon as it runs */
    auto_free char *attempts = fs_join(builder->config->work_dir, "attempts");
    a->dir = fs_join(attempts, a->id);
    *out = a;
    return 0;
}

void attempt_free(struct attempt *a)
{
    if (!a)
        return;
    if (a->source >= 0)
        close(a->source);
    build_log_free(a->log);
    json_decref(a->answer);
    pthread_mutex_destroy(&a->lock);
    free(a->cause_text);
    free(a->outcome.digest);
    free(a->outcome.ref);
    free(a->dir);
    free(a);
}

json_t *attempt_params(const struct attempt *a)
{
    return json_pack("{s:s, s:s}", "attempt", a->id, "lease", a->lease);
}

/* ---- stopping ---- */

void attempt_stop(struct attempt *a, enum stop_cause cause, const char *text)
{
    pthread_mutex_lock(&a->lock);
    /* A lease that is gone goes before any other cause: then nothing may be settled. */
    if ((a->cause == STOP_NONE && !a->is_ended) || cause == STOP_LEASE_GONE) {
        a->cause = cause;
        free(a->cause_text);
        a->cause_text = text ? xstrdup(text) : NULL;
        __atomic_store_n(&a->is_stopped, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&a->lock);
}

enum stop_cause attempt_cause(struct attempt *a)
{
    pthread_mutex_lock(&a->lock);
    enum stop_cause cause = a->cause;
    pthread_mutex_unlock(&a->lock);
    return cause;
}

/* The text that came with the cause, or NULL. */
static char *cause_text(struct attempt *a)
{
    pthread_mutex_lock(&a->lock);
    char *text = a->cause_text ? xstrdup(a->cause_text) : NULL;
    pthread_mutex_unlock(&a->lock);
    return text;
}

static void end(struct attempt *a)
{
    pthread_mutex_lock(&a->lock);
    a->is_ended = true;
    pthread_mutex_unlock(&a->lock);
}

bool attempt_is_stopped(const struct attempt *a)
{
    return __atomic_load_n(&a->is_stopped, __ATOMIC_ACQUIRE);
}

void attempt_give_up(struct attempt *a)
{
    pthread_mutex_lock(&a->lock);
    a->is_given_up = true;
    pthread_mutex_unlock(&a->lock);
}

bool attempt_is_given_up(struct attempt *a)
{
    pthread_mutex_lock(&a->lock);
    bool is_given_up = a->is_given_up;
    pthread_mutex_unlock(&a->lock);
    return is_given_up;
}

int attempt_fail(struct attempt *a, const char *reason, const struct err *err)
{
    a->outcome.reason = reason;
    a->outcome.err = *err;
    return -1;
}

int attempt_fail_text(struct attempt *a, const char *reason, const char *fmt, ...)
{
    struct err err = { .class = ERR_INVALID };
    va_list args;

    va_start(args, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, args);
    va_end(args);
    return attempt_fail(a, reason, &err);
}

/* ---- settling ---- */

/* Faults of the platform, not of what is built: the build is queued again. */
static bool is_infrastructure(const char *reason)
{
    static const char *const reasons[] = { "DiskFull", "EngineUnavailable", "PushFailed",
                                           "SourceUnavailable" };
    for (size_t i = 0; i < countof(reasons); i++)
        if (strcmp(reason, reasons[i]) == 0)
            return true;
    return false;
}

/* How each cause of a stop is settled; it goes before whatever the method ran into by it. */
static const struct {
    const char *state, *reason, *message;
    bool is_infrastructure;
} stops[] = {
    [STOP_CANCELLED] = { "cancelled", "BuildCancelled", "the build was cancelled", false },
    [STOP_TIMEOUT] = { "failed", "BuildTimeout", "the build took longer than build.timeout",
                       false },
    [STOP_LOG_FULL] = { "failed", "LogTooLarge", "the build wrote more log than is kept", false },
    [STOP_LEASE_GONE] = { "cancelled", "BuildCancelled", "the lease is gone", false },
    [STOP_SHUTDOWN] = { "failed", "EngineUnavailable", "the builder is stopping", true },
};

static json_t *stopped_params(struct attempt *a, enum stop_cause cause)
{
    json_t *params = attempt_params(a);
    auto_free char *why = cause_text(a);
    auto_free char *text =
        xasprintf("%s%s%s", stops[cause].message, why ? ": " : "", why ? why : "");

    json_object_set_new(params, "state", json_string(stops[cause].state));
    json_object_set_new(params, "reason", json_string(stops[cause].reason));
    json_object_set_new(params, "message", json_string(text));
    json_object_set_new(params, "is_infrastructure", json_boolean(stops[cause].is_infrastructure));
    return params;
}

/* "build.base: what is wrong (what to do)", on one line. */
static char *failure_text(const struct err *err)
{
    bool has_field = err->field[0], has_hint = err->hint[0];
    auto_free char *text = xasprintf("%s%s%s%s%s%s", err->field, has_field ? ": " : "", err->text,
                                     has_hint ? " (" : "", err->hint, has_hint ? ")" : "");
    return log_lines_clean(text, strlen(text));
}

static json_t *ended_params(const struct attempt *a)
{
    json_t *params = attempt_params(a);
    const struct outcome *o = &a->outcome;

    json_object_set_new(params, "state", json_string(o->reason ? "failed" : "succeeded"));
    if (o->reason) {
        auto_free char *text = failure_text(&o->err);
        json_object_set_new(params, "reason", json_string(o->reason));
        json_object_set_new(params, "message", json_string(text));
        json_object_set_new(params, "is_infrastructure",
                            json_boolean(is_infrastructure(o->reason)));
    } else {
        json_object_set_new(params, "artifact",
                            json_pack("{s:s, s:s, s:s, s:I}", "kind", o->kind, "digest", o->digest,
                                      "ref", o->ref, "size", (json_int_t)o->size));
    }
    return params;
}

/* Is there nothing more to try? */
static bool is_settled(struct attempt *a, int rc, const struct err *err)
{
    if (rc == 0)
        return true;
    if (err->class == ERR_CONFLICT || err->class == ERR_NOT_FOUND) {
        log_info("the lease is gone, dropping the result", S("attempt", a->id), E(err));
        return true;
    }
    if (err->class == ERR_INVALID || err->class == ERR_DENIED || err->class == ERR_UNIMPLEMENTED) {
        log_error("the controller refuses a result", S("attempt", a->id), E(err));
        return true;
    }
    return false;
}

/* Again and again until it is answered: a controller that restarts gets it afterwards. */
static void settle(struct attempt *a)
{
    enum stop_cause cause = attempt_cause(a);
    json_auto_t *params = cause == STOP_NONE ? ended_params(a) : stopped_params(a, cause);

    json_object_set_new(params, "log_size", json_integer(a->log ? build_log_size(a->log) : 0));
    while (!attempt_is_given_up(a) && attempt_cause(a) != STOP_LEASE_GONE) {
        struct err err = { 0 };
        if (!builder_wait_link(a->builder, SETTLE_RETRY_MS))
            continue;
        int rc =
            rpc_client_call(a->builder->client, "build.settle", params, SETTLE_CALL_MS, NULL, &err);
        if (is_settled(a, rc, &err))
            break;
        work_sleep(SETTLE_RETRY_MS);
    }
    log_info("attempt over", S("attempt", a->id), S("app", a->app),
             S("state", json_string_value(json_object_get(params, "state"))),
             S("reason", json_string_value(json_object_get(params, "reason"))),
             S("message", json_string_value(json_object_get(params, "message"))));
}

/* ---- running ---- */

static void log_is_full(void *arg)
{
    attempt_stop(arg, STOP_LOG_FULL, NULL);
}

static int prepare(struct attempt *a, struct err *err)
{
    auto_free char *path = fs_join(a->dir, "log");

    if (fs_make_dirs(a->dir, 0700, err) < 0)
        return -1;
    a->log = build_log_open(path, a->log_max, log_is_full, a, err);
    return a->log ? 0 : -1;
}

static bool is_possible(const struct attempt *a)
{
    bool is_site = a->build.output && strcmp(a->build.output, "site") == 0;
    return is_site ? a->method->makes_site : a->method->makes_image;
}

static int perform(struct attempt *a)
{
    if (a->outcome.reason)
        return -1;
    build_log_say(a->log, "%s/%s: method %s, output %s, on %s", a->project, a->app, a->method->name,
                  a->build.output ? a->build.output : "image", a->builder->config->name);
    if (!is_possible(a))
        return attempt_fail_text(a, "BuildFailed", "the method %s cannot make the output %s",
                                 a->method->name, a->build.output ? a->build.output : "image");
    if (a->method->needs_source && source_fetch(a) < 0)
        return -1;
    return a->method->run(a);
}

/* The end in words, the last line of the log. */
static void say_end(struct attempt *a)
{
    enum stop_cause cause = attempt_cause(a);
    const struct outcome *o = &a->outcome;
    auto_free char *failure = failure_text(&o->err);

    if (cause != STOP_NONE)
        build_log_say(a->log, "%s: %s", stops[cause].reason, stops[cause].message);
    else if (o->reason)
        build_log_say(a->log, "%s: %s", o->reason, failure);
    else
        build_log_say(a->log, "%s %s, %" PRId64 " bytes", o->kind, o->ref, o->size);
}

void attempt_run(struct attempt *a)
{
    struct err err = { 0 };

    log_info("attempt begins", S("attempt", a->id), S("project", a->project), S("app", a->app),
             S("method", a->method ? a->method->name : ""));
    if (prepare(a, &err) < 0) {
        attempt_fail(a, "DiskFull", &err);
        settle(a);
        return;
    }
    struct sender *sender = sender_start(a);
    perform(a);
    end(a);
    say_end(a);
    build_log_end(a->log);
    sender_finish(sender);
    settle(a);
    if (fs_remove_tree(a->dir, &err) < 0)
        log_warn("removing the work folder of an attempt", S("attempt", a->id), E(&err));
}
