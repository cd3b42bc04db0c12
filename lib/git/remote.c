/* One question to a remote: what do these names point to?
 *
 * Over HTTP that is info/refs with "Git-Protocol: version=2". A server of today answers with its
 * abilities, and the second request, ls-refs with ref-prefix, costs the same in a repository with a
 * million refs. An old server ignores the header and answers with all refs. A server of plain files
 * answers with the file info/refs, which knows no HEAD. Over ssh it is the program `git ls-remote`.
 *
 * With credentials redirects are not followed, as in run.c. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "git/listing.h"
#include "git/run.h"
#include "http/client.h"

enum { ANSWER_MAX = 32 << 20, HEAD_SIZE_MAX = 4096, PATTERNS_MAX = 1000 };

struct question {
    const char *url;
    const struct git_credentials *credentials;
    struct http_client *client;
    int64_t deadline_ms;
    struct git_listing *listing;
};

static int64_t left_ms(const struct question *q)
{
    int64_t left = q->deadline_ms - clock_mono_ms(clock_system());

    return left > 1 ? left : 1;
}

static const char *password_of(const struct git_credentials *credentials)
{
    return credentials && credentials->password ? credentials->password : "";
}

static int check_status(const struct http_answer *answer, struct err *err)
{
    if (answer->status == 200)
        return 0;
    if (answer->status == 401 || answer->status == 403) {
        err_set(err, ERR_DENIED, "the remote answers %ld", answer->status);
        return err_hint(err,
                        "check the user and the password of the repository, and whether it exists");
    }
    if (answer->status == 404 || answer->status == 410)
        return err_set(err, ERR_NOT_FOUND, "there is no repository: the remote answers %ld",
                       answer->status);
    if (answer->status >= 300 && answer->status < 400) {
        err_set(err, ERR_UNAVAILABLE,
                "the remote redirects, and credentials do not follow redirects");
        return err_hint(err, "give the address that it redirects to");
    }
    return err_set(err, ERR_UNAVAILABLE, "the remote answers %ld", answer->status);
}

static int get(const struct question *q, const char *url, size_t answer_max,
               struct http_answer *answer, struct err *err)
{
    const char *headers[] = { "Git-Protocol: version=2", NULL };
    const struct http_call call = { .method = "GET",
                                    .url = url,
                                    .headers = headers,
                                    .timeout_ms = left_ms(q),
                                    .answer_max = answer_max,
                                    .follow_redirects = !git_credentials_user(q->credentials),
                                    .user = git_credentials_user(q->credentials),
                                    .password = password_of(q->credentials) };

    return http_client_run(q->client, &call, answer, err) || check_status(answer, err) ? -1 : 0;
}

static int ask_ls_refs(const struct question *q, const char *base, struct err *err)
{
    const char *headers[] = { "Git-Protocol: version=2",
                              "Content-Type: application/x-git-upload-pack-request",
                              "Accept: application/x-git-upload-pack-result", NULL };
    auto_http_answer answer = { 0 };
    auto_free char *url = xasprintf("%s/git-upload-pack", base), *body = NULL;
    size_t len = 0;
    FILE *out = xmemstream(&body, &len);

    git_listing_write_ls_refs(q->listing, out);
    fclose(out);
    const struct http_call call = { .method = "POST",
                                    .url = url,
                                    .headers = headers,
                                    .body = body,
                                    .body_len = len,
                                    .timeout_ms = left_ms(q),
                                    .answer_max = ANSWER_MAX,
                                    .user = git_credentials_user(q->credentials),
                                    .password = password_of(q->credentials) };
    if (http_client_run(q->client, &call, &answer, err) || check_status(&answer, err))
        return -1;
    return git_listing_read_ls_refs(q->listing, answer.body, answer.len, err);
}

/* Plain files: info/refs is the listing; HEAD is a file beside. */
static int read_files(const struct question *q, const char *base, const struct http_answer *listed,
                      struct err *err)
{
    if (git_listing_wants_head(q->listing)) {
        auto_http_answer head = { 0 };
        auto_free char *url = xasprintf("%s/HEAD", base);
        if (get(q, url, HEAD_SIZE_MAX, &head, err) ||
            git_listing_read_head(q->listing, head.body, head.len, err))
            return -1;
    }
    return git_listing_read_text(q->listing, listed->body, listed->len, err);
}

/* The address that answered, after redirects, without what was added to it; NULL when it is of
 * another form. */
static char *base_of(const char *answered)
{
    static const char added[] = "/info/refs?service=git-upload-pack";

    return answered && text_ends(answered, added)
               ? xstrndup(answered, strlen(answered) - strlen(added))
               : NULL;
}

static int ask_http(struct question *q, struct err *err)
{
    auto_http_answer answer = { 0 };
    size_t len = strlen(q->url);

    while (len && q->url[len - 1] == '/')
        len--;
    auto_free char *url = xasprintf("%.*s/info/refs?service=git-upload-pack", (int)len, q->url);
    if (get(q, url, ANSWER_MAX, &answer, err))
        return -1;
    auto_free char *base = base_of(answer.url);
    if (!base)
        return err_set(err, ERR_UNAVAILABLE,
                       "the remote redirects to something that is no repository");
    if (!answer.content_type ||
        !text_starts(answer.content_type, "application/x-git-upload-pack-advertisement"))
        return read_files(q, base, &answer, err);
    enum git_protocol protocol;
    if (git_listing_read_advertisement(q->listing, answer.body, answer.len, &protocol, err))
        return -1;
    return protocol == GIT_PROTOCOL_V2 ? ask_ls_refs(q, base, err) : 0;
}

struct patterns {
    char *items[2 * PATTERNS_MAX + 4];
    size_t count;
    bool is_full;
};

/* ls-remote takes patterns; the peeled form of a name must be asked for by itself. */
static void add_patterns(void *arg, const char *full_name)
{
    struct patterns *p = arg;

    if (p->count + 2 > 2 * PATTERNS_MAX) {
        p->is_full = true;
        return;
    }
    p->items[p->count++] = xstrdup(full_name);
    p->items[p->count++] = xasprintf("%s^{}", full_name);
}

static int ask_program(struct question *q, struct err *err)
{
    struct patterns patterns = { 0 };
    const char *args[countof(patterns.items) + 4] = { "ls-remote", "--quiet", "--", q->url };
    auto_free char *output = NULL;
    size_t len = 0;

    git_listing_each(q->listing, add_patterns, &patterns);
    for (size_t i = 0; i < patterns.count && !patterns.is_full; i++)
        args[4 + i] = patterns.items[i];
    const struct git_run run = { .args = args,
                                 .credentials = q->credentials,
                                 .timeout_ms = left_ms(q),
                                 .output_max = ANSWER_MAX };
    int rc = git_run(&run, &output, &len, err);
    for (size_t i = 0; i < patterns.count; i++)
        free(patterns.items[i]);
    return rc ? -1 : git_listing_read_text(q->listing, output, len, err);
}

static int ask(struct question *q, enum git_scheme scheme, struct err *err)
{
    auto_http_client *client = NULL;

    if (scheme != GIT_OVER_HTTP)
        return ask_program(q, err);
    q->client = client = http_client_new(NULL);
    return ask_http(q, err);
}

int git_remote_refs(const char *url, const struct git_credentials *credentials,
                    const char *const *names, size_t count, int64_t timeout_ms,
                    struct git_refs *refs, struct err *err)
{
    struct question q = { .url = url,
                          .credentials = credentials,
                          .deadline_ms = clock_mono_ms(clock_system()) + timeout_ms };
    auto_git_listing *listing = NULL;
    enum git_scheme scheme;

    if (git_check_url(url, &scheme, err) || git_listing_new(names, count, &listing, err))
        return -1;
    q.listing = listing;
    if (ask(&q, scheme, err))
        return err_prefix(err, "asking %.200s for its refs", url);
    git_listing_answer(listing, refs);
    return 0;
}
