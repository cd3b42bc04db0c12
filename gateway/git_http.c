/* Smart HTTP of git (gitprotocol-http(5)): three requests, each authorised by the controller and
 * then handed to git http-backend.
 *
 *   request ── path known? ── credentials? ── git.authorize ──► cgi (git http-backend) ──► answer
 *                  │404          │401              │ 401 403 404 503
 *
 * The files of a repository are not served ("dumb" HTTP): that would show what the refs hide. */
#include "gateway/git.h"

#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/cgi.h"

enum { CHILDREN_MAX = 32, AUTHORIZE_MS = 15000, LABEL_MAX = 40, ENV_MAX = 40, HEADER_MAX = 256 };

struct git_http {
    struct loop *loop;
    struct rpc_client *controller;
    char *address, *ca_file, *token;
    unsigned children_max;
    LIST_HEAD(, operation) operations;
    unsigned count;
    bool is_stopping;
};

/* One request, from authorising to the end of its program. */
struct operation {
    LIST_ENTRY(operation) link;
    struct git_http *git;
    struct http_request *request; /* while it is being authorised */
    struct rpc_async *authorizing;
    struct cgi *cgi;
    const struct service *service;
    char *project, *repository, *token;
};

struct service {
    const char *method, *path;
    const char *query; /* the value of "service", for GET */
    const char *name;  /* for git.authorize */
    const char *type;  /* what a POST must carry */
};

static const struct service services[] = {
    { "GET", "info/refs", "git-receive-pack", "receive-pack", NULL },
    { "GET", "info/refs", "git-upload-pack", "upload-pack", NULL },
    { "POST", "git-receive-pack", NULL, "receive-pack", "application/x-git-receive-pack-request" },
    { "POST", "git-upload-pack", NULL, "upload-pack", "application/x-git-upload-pack-request" },
};

static const char prefix[] = "/git/";

struct git_http *git_http_new(const struct git_http_config *config)
{
    struct git_http *git = xcalloc(1, sizeof *git);

    git->loop = config->loop;
    git->controller = config->controller;
    git->address = xstrdup(config->controller_address);
    git->ca_file = config->controller_ca_file ? xstrdup(config->controller_ca_file) : NULL;
    git->token = config->controller_token ? xstrdup(config->controller_token) : NULL;
    git->children_max = config->children_max ? config->children_max : CHILDREN_MAX;
    LIST_INIT(&git->operations);
    return git;
}

static void free_if_over(struct git_http *git)
{
    if (!git->is_stopping || git->count)
        return;
    free(git->address);
    free(git->ca_file);
    wipe_free(git->token);
    free(git);
}

static void operation_free(struct operation *op)
{
    struct git_http *git = op->git;

    LIST_REMOVE(op, link);
    git->count--;
    free(op->project);
    free(op->repository);
    wipe_free(op->token);
    free(op);
    free_if_over(git);
}

/* ---- refusing ---- */

/* git shows a text/plain body to its user. */
static void refuse(struct http_request *request, unsigned status, const char *text)
{
    static const struct http_header ask[] = { { "WWW-Authenticate",
                                                "Basic realm=\"evenkeel\", charset=\"UTF-8\"" },
                                              { "Cache-Control", "no-cache" },
                                              { NULL, NULL } };
    static const struct http_header later[] = { { "Retry-After", "5" },
                                                { "Cache-Control", "no-cache" },
                                                { NULL, NULL } };
    static const struct http_header plain[] = { { "Cache-Control", "no-cache" }, { NULL, NULL } };
    auto_free char *line = xasprintf("%s\n", text);

    http_reply(request, status, "text/plain; charset=utf-8",
               status == 401   ? ask
               : status == 503 ? later
                               : plain,
               line, strlen(line));
}

static void refuse_with(struct http_request *request, const struct err *err)
{
    static const struct {
        enum err_class class;
        unsigned status;
        const char *text; /* NULL: the error's own */
    } answers[] = {
        { ERR_UNAUTHENTICATED, 401, "evenkeel: give an API token as the password" },
        { ERR_DENIED, 403, NULL },
        { ERR_NOT_FOUND, 404, NULL },
        { ERR_INVALID, 404, NULL },
        { ERR_CONFLICT, 409, NULL },
        { ERR_UNAVAILABLE, 503,
          "evenkeel: the controller is away, nothing was changed; try again" },
        { ERR_TIMEOUT, 503, "evenkeel: the controller is away, nothing was changed; try again" },
        { ERR_STOPPED, 503, "evenkeel: restarting, nothing was changed; try again" },
        { ERR_EXHAUSTED, 503, "evenkeel: too many git operations at once; try again" },
    };

    for (size_t i = 0; i < countof(answers); i++) {
        if (answers[i].class != err->class)
            continue;
        refuse(request, answers[i].status, answers[i].text ? answers[i].text : err->text);
        return;
    }
    log_error("authorising git", E(err));
    refuse(request, 500, "evenkeel: an internal error; the reason is in the gateway's log");
}

/* ---- reading the request ---- */

/* /git/PROJECT/REPOSITORY.git/REST. Labels need no decoding: what would have to be decoded is no
 * label. */
static bool split_path(const char *path, char **project, char **repository, const char **rest)
{
    if (!text_starts(path, prefix))
        return false;
    const char *name = path + strlen(prefix);
    const char *slash = strchr(name, '/');
    const char *end = slash ? strstr(slash, ".git/") : NULL;

    if (!end || end - slash > LABEL_MAX + 1 || slash - name > LABEL_MAX)
        return false;
    auto_free char *first = xstrndup(name, (size_t)(slash - name)),
                   *second = xstrndup(slash + 1, (size_t)(end - slash - 1));
    if (!text_is_label(first, LABEL_MAX) || !text_is_label(second, LABEL_MAX))
        return false;
    *project = take(&first);
    *repository = take(&second);
    *rest = end + strlen(".git/");
    return true;
}

static const struct service *find_service(const struct http_request *request, const char *rest)
{
    const char *method = http_request_method(request),
               *query = http_request_query(request, "service");
    const char *type = http_request_header(request, "Content-Type");

    for (size_t i = 0; i < countof(services); i++) {
        const struct service *s = &services[i];
        if (strcmp(s->method, method) == 0 && strcmp(s->path, rest) == 0 &&
            (!s->query || (query && strcmp(s->query, query) == 0)) &&
            (!s->type || (type && strcmp(s->type, type) == 0)))
            return s;
    }
    return NULL;
}

/* The password of "user:password", or the user where there is no password, as some tools have it.
 */
static char *token_of_basic(const char *encoded)
{
    size_t len = 0;
    auto_wipe char *pair = text_unbase64(encoded, strlen(encoded), &len);
    char *colon = pair ? memchr(pair, ':', len) : NULL;

    if (!colon || strlen(pair) != len)
        return NULL;
    *colon = '\0';
    return xstrdup(colon[1] ? colon + 1 : pair);
}

/* NULL: none given. */
static char *find_token(const struct http_request *request)
{
    const char *header = http_request_header(request, "Authorization");

    if (!header)
        return NULL;
    if (strncasecmp(header, "Basic ", 6) == 0)
        return token_of_basic(header + 6);
    return strncasecmp(header, "Bearer ", 7) == 0 ? xstrdup(header + 7) : NULL;
}

/* ---- running git ---- */

struct env {
    char *items[ENV_MAX + 1]; /* NULL-ended */
    size_t count;
};

/* NULL: left out. */
static void env_add(struct env *env, const char *name, const char *value)
{
    if (env->count == ENV_MAX)
        abort();
    if (value)
        env->items[env->count++] = xasprintf("%s=%s", name, value);
}

static void env_done(struct env *env)
{
    for (size_t i = 0; i < env->count; i++)
        wipe_free(env->items[i]);
}

static const char *short_header(const struct http_request *request, const char *name)
{
    const char *value = http_request_header(request, name);

    return value && strlen(value) <= HEADER_MAX ? value : NULL;
}

static void env_add_request(struct env *env, const struct operation *op, const char *path)
{
    auto_free char *info = xasprintf("/%s", op->service->path);
    auto_free char *query = xasprintf("service=%s", op->service->query ? op->service->query : "");

    env_add(env, "GATEWAY_INTERFACE", "CGI/1.1");
    env_add(env, "SERVER_PROTOCOL", "HTTP/1.1");
    env_add(env, "GIT_PROJECT_ROOT", path);
    env_add(env, "PATH_INFO", info);
    env_add(env, "REQUEST_METHOD", op->service->method);
    env_add(env, "QUERY_STRING", op->service->query ? query : "");
    env_add(env, "CONTENT_TYPE", op->service->type);
    env_add(env, "CONTENT_LENGTH", short_header(op->request, "Content-Length"));
    env_add(env, "HTTP_CONTENT_ENCODING", short_header(op->request, "Content-Encoding"));
    env_add(env, "GIT_PROTOCOL", short_header(op->request, "Git-Protocol"));
    env_add(env, "REMOTE_ADDR", http_request_peer(op->request));
    env_add(env, "REMOTE_USER",
            op->project); /* receive-pack is on for those with a name; who may was decided before */
}

static void env_add_git(struct env *env, const char *path)
{
    env_add(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    env_add(env, "HOME", "/nonexistent");
    env_add(env, "LC_ALL", "C.UTF-8");
    env_add(env, "GIT_HTTP_EXPORT_ALL", "1");
    env_add(env, "GIT_CONFIG_NOSYSTEM", "1");
    env_add(env, "GIT_CONFIG_GLOBAL", "/dev/null");
    env_add(env, "GIT_ATTR_NOSYSTEM", "1");
    env_add(env, "GIT_CONFIG_COUNT", "1");
    env_add(env, "GIT_CONFIG_KEY_0", "safe.directory");
    env_add(env, "GIT_CONFIG_VALUE_0", path);
}

static void env_add_hooks(struct env *env, const struct operation *op, const char *repository_id)
{
    env_add(env, GIT_ENV_CONTROLLER, op->git->address);
    env_add(env, GIT_ENV_CA_FILE, op->git->ca_file);
    env_add(env, GIT_ENV_LINK_TOKEN, op->git->token);
    env_add(env, GIT_ENV_TOKEN, op->token);
    env_add(env, GIT_ENV_PEER, http_request_peer(op->request));
    env_add(env, GIT_ENV_PROJECT, op->project);
    env_add(env, GIT_ENV_REPOSITORY, repository_id);
}

static void on_ended(void *arg)
{
    operation_free(arg);
}

static int run_git(struct operation *op, const char *path, const char *repository_id,
                   struct err *err)
{
    static const char *const argv[] = { "git", "http-backend", NULL };
    __attribute__((__cleanup__(env_done))) struct env env = { 0 };

    env_add_git(&env, path);
    env_add_request(&env, op, path);
    env_add_hooks(&env, op, repository_id);
    const struct cgi_options options = {
        .argv = argv, .env = (const char *const *)env.items, .ended = on_ended, .arg = op
    };
    return cgi_start(op->git->loop, op->request, &options, &op->cgi, err);
}

/* ---- authorising ---- */

static void end_refused(struct operation *op, const struct err *err)
{
    refuse_with(take(&op->request), err);
    operation_free(op);
}

static void on_authorized(void *arg, const json_t *result, const struct err *failed)
{
    struct operation *op = arg;
    const char *path, *repository;
    struct err err = { 0 };

    op->authorizing = NULL;
    if (!result) {
        end_refused(op, failed);
        return;
    }
    path = json_string_value(json_object_get(result, "path"));
    repository = json_string_value(json_object_get(result, "repository"));
    if (!path || path[0] != '/' || !repository) {
        err_set(&err, ERR_INTERNAL, "git.authorize answers without a path or a repository");
        end_refused(op, &err);
    } else if (run_git(op, path, repository, &err)) {
        end_refused(op, &err);
    } else {
        op->request = NULL;
    }
}

static void on_gone(void *arg)
{
    struct operation *op = arg;

    op->request = NULL;
    rpc_async_cancel(take(&op->authorizing));
    operation_free(op);
}

static void authorize(struct operation *op)
{
    const struct rpc_async_events events = { .done = on_authorized, .arg = op };
    json_auto_t *params =
        json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "project", op->project, "repository",
                  op->repository, "service", op->service->name, "as", "token", op->token, "peer",
                  http_request_peer(op->request));

    if (!params) { /* a token that is not UTF-8 */
        end_refused(op, &(struct err){ .class = ERR_UNAUTHENTICATED });
        return;
    }
    http_request_on_gone(op->request, on_gone, op);
    op->authorizing =
        rpc_client_start_call(op->git->controller, "git.authorize", params, AUTHORIZE_MS, &events);
}

/* ---- public ---- */

bool git_http_is_for(const struct http_request *request)
{
    return text_starts(http_request_path(request), prefix);
}

void git_http_handle(struct git_http *git, struct http_request *request)
{
    auto_free char *project = NULL, *repository = NULL;
    auto_wipe char *token = find_token(request);
    const char *rest = NULL;

    if (!split_path(http_request_path(request), &project, &repository, &rest)) {
        refuse(request, 404, "evenkeel: a repository is at /git/PROJECT/APP.git");
        return;
    }
    const struct service *service = find_service(request, rest);
    if (!service || !token || git->is_stopping || git->count >= git->children_max) {
        enum err_class class = !service           ? ERR_DENIED
                               : !token           ? ERR_UNAUTHENTICATED
                               : git->is_stopping ? ERR_STOPPED
                                                  : ERR_EXHAUSTED;
        refuse_with(request,
                    &(struct err){ .class = class,
                                   .text = "evenkeel: only git's smart protocol is served here" });
        return;
    }
    struct operation *op = xcalloc(1, sizeof *op);
    *op = (struct operation){ .git = git, .request = request, .service = service };
    op->project = take(&project);
    op->repository = take(&repository);
    op->token = take(&token);
    LIST_INSERT_HEAD(&git->operations, op, link);
    git->count++;
    authorize(op);
}

void git_http_stop(struct git_http *git)
{
    struct operation *op, *next;

    if (!git)
        return;
    git->is_stopping = true;
    git->count++; /* held while walking */
    for (op = LIST_FIRST(&git->operations); op; op = next) {
        next = LIST_NEXT(op, link);
        if (op->cgi) {
            cgi_stop(op->cgi);
        } else {
            rpc_async_cancel(take(&op->authorizing));
            end_refused(op, &(struct err){ .class = ERR_STOPPED });
        }
    }
    git->count--;
    free_if_over(git);
}
