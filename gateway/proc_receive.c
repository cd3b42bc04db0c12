/* What is said on standard input and output, in pkt-lines (R: receive-pack, H: this hook):
 *
 *   R: version=1\0push-options atomic…   flush
 *   H: version=1                         flush
 *   R: OLD NEW REF …                     flush
 *   H: ok REF | ng REF REASON …          flush
 *
 * The controller moves the branch itself, when the app is live at the commit; "ok" without "option
 * fall-through" tells receive-pack that it is done.
 *
 * Once the controller has taken the push (git.received is open and the first line has come) what is
 * wanted is recorded: this hook only watches. If its link breaks it asks again, which changes
 * nothing; if the pusher goes away it ends, and the deploy goes on. */
#include "gateway/proc_receive.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/work.h"
#include "gateway/git.h"
#include "git/pkt.h"
#include "rpc/rpc.h"

enum { PUSHED_MAX = 1000, INPUT_MAX = 1 << 20, READ_MS = 1000, AGAIN_MS = 100, TRIES_MAX = 5 };

struct hook {
    struct loop *loop;
    struct thread *thread;
    struct rpc_client *client;
    const char *repository, *project, *token, *peer; /* of the environment */
    char *input;
    size_t len, at; /* at: begin of what is not taken yet */
    bool is_atomic;
    struct pushed *pushed;
    size_t count;
};

int pushed_parse(const char *line, size_t len, struct pushed *pushed)
{
    enum { NEW = GIT_SHA_LEN + 1, REF = 2 * GIT_SHA_LEN + 2 };

    if (len <= REF || line[GIT_SHA_LEN] != ' ' || line[REF - 1] != ' ' || memchr(line, '\0', len))
        return -1;
    for (size_t i = 0; i < REF - 1; i++)
        if (i != GIT_SHA_LEN && !isxdigit((unsigned char)line[i]))
            return -1;
    *pushed = (struct pushed){ .ref = xstrndup(line + REF, len - REF) };
    memcpy(pushed->old, line, GIT_SHA_LEN);
    memcpy(pushed->new, line + NEW, GIT_SHA_LEN);
    return 0;
}

bool pushed_is_deletion(const struct pushed *pushed)
{
    return strspn(pushed->new, "0") == GIT_SHA_LEN;
}

/* ---- talking to receive-pack ---- */

static int read_more(struct hook *h, struct err *err)
{
    char data[8192];
    ssize_t n = read(STDIN_FILENO, data, sizeof data);

    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0 || h->len + (size_t)n > INPUT_MAX)
        return err_set(err, ERR_INVALID, "git has ended the conversation in the middle");
    h->input = xreallocarray(h->input, h->len + (size_t)n, 1);
    memcpy(h->input + h->len, data, (size_t)n);
    h->len += (size_t)n;
    return 0;
}

static int next_packet(struct hook *h, struct git_pkt *pkt, struct err *err)
{
    int rc;

    while ((rc = git_pkt_next(h->input, h->len, &h->at, pkt, err)) == 0)
        if (read_more(h, err))
            return -1;
    return rc < 0 ? -1 : 0;
}

static int greet(struct hook *h, struct err *err)
{
    struct git_pkt pkt;

    if (next_packet(h, &pkt, err))
        return -1;
    const char *nul = pkt.kind == GIT_PKT_DATA ? memchr(pkt.data, '\0', pkt.len) : NULL;
    if (!git_pkt_starts(&pkt, "version=1") || (pkt.len > 9 && nul != pkt.data + 9))
        return err_set(err, ERR_INVALID, "git speaks another version of proc-receive");
    auto_free char *abilities = nul ? xstrndup(nul + 1, pkt.len - 10) : xstrdup("");
    h->is_atomic = strstr(abilities, "atomic");
    while (pkt.kind != GIT_PKT_FLUSH)
        if (next_packet(h, &pkt, err))
            return -1;
    git_pkt_put(stdout, "version=1\n");
    git_pkt_put_flush(stdout);
    return fflush(stdout) ? err_errno(err, errno, "answering git") : 0;
}

static int read_pushed(struct hook *h, struct err *err)
{
    struct git_pkt pkt;

    for (;;) {
        if (next_packet(h, &pkt, err))
            return -1;
        if (pkt.kind == GIT_PKT_FLUSH)
            return 0;
        h->pushed = xreallocarray(h->pushed, h->count + 1, sizeof *h->pushed);
        if (h->count == PUSHED_MAX || pkt.kind != GIT_PKT_DATA ||
            pushed_parse(pkt.data, pkt.len, &h->pushed[h->count]))
            return err_set(err, ERR_INVALID,
                           "git has handed over what is no update of a ref, or too many");
        h->count++;
    }
}

/* On one line: a reason goes into the answer to git. */
static void report(const struct pushed *p, const struct err *failed)
{
    if (failed->class == ERR_NONE) {
        git_pkt_put(stdout, "ok %s\n", p->ref);
    } else {
        auto_free char *reason = xstrdup(failed->text);
        for (char *c = reason; *c; c++)
            if ((unsigned char)*c < ' ')
                *c = ' ';
        git_pkt_put(stdout, "ng %s %s\n", p->ref, reason);
    }
}

/* ---- talking to the pusher ---- */

/* One line or several. The pusher's terminal gets no control characters that an app's log may hold.
 * When nobody reads any more there is nothing left to do. */
static void say(const char *line)
{
    auto_free char *clean = xstrdup(line);

    for (char *c = clean; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t' && *c != '\n') || *c == 127)
            *c = ' ';
    if (fprintf(stderr, "%s\n", clean) < 0)
        _exit(1);
}

/* ---- talking to the controller ---- */

/* Prints what comes until the call has ended. */
static int follow(struct rpc_exchange *x, struct err *err)
{
    for (;;) {
        struct rpc_item item = { 0 };
        struct err failed = { 0 };
        int rc = rpc_exchange_read(x, READ_MS, &item, &failed);
        if (rc == 0)
            return 0;
        if (rc < 0 && failed.class != ERR_TIMEOUT) {
            *err = failed;
            return -1;
        }
        const char *line = rc > 0 ? json_string_value(json_object_get(item.json, "line")) : NULL;
        if (line)
            say(line);
        if (rc > 0)
            rpc_item_done(&item);
    }
}

static int read_result(const json_t *result, struct err *err)
{
    const char *message = json_string_value(json_object_get(result, "message"));

    if (!json_is_true(json_object_get(result, "ok")))
        return err_set(err, ERR_CONFLICT, "%s",
                       message ? message
                               : "the app is not live at this commit; `evenkeel explain` says why");
    if (message && message[0])
        say(message);
    return 0;
}

/* `is_open` tells whether the controller may have taken the push. The call has no time limit of its
 * own: how long a deploy may take is the controller's to say, and a link that is dead is noticed by
 * its pings. */
static int try_once(const struct hook *h, const struct pushed *p, bool *is_open, struct err *err)
{
    auto_rpc_exchange *x = NULL;
    json_auto_t *result = NULL;
    json_auto_t *params =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s*}}", "project", h->project, "repository",
                  h->repository, "ref", p->ref, "old", p->old, "new", p->new, "as", "token",
                  h->token, "peer", h->peer);

    if (!params)
        return err_set(err, ERR_INVALID, "the name of the branch is not UTF-8");
    if (rpc_client_open(h->client, "git.received", params, 0, &x, err))
        return -1;
    *is_open = true;
    if (follow(x, err) || rpc_exchange_result(x, &result, err))
        return -1;
    return read_result(result, err);
}

/* Asking again for the same commit is the same wish, so a link that is lost in the middle costs
 * nothing but time. */
static void hand_over(const struct hook *h, const struct pushed *p, struct err *failed)
{
    bool was_open = false, is_open = true;

    for (int i = 0; i < TRIES_MAX && is_open; i++) {
        is_open = false;
        *failed = (struct err){ 0 };
        if (try_once(h, p, &is_open, failed) == 0 ||
            (failed->class != ERR_UNAVAILABLE && failed->class != ERR_TIMEOUT))
            return;
        was_open |= is_open;
        work_sleep(AGAIN_MS);
    }
    if (was_open)
        err_set(failed, ERR_UNAVAILABLE,
                "the controller went away meanwhile; push again to see what became of it");
    else
        err_set(failed, ERR_UNAVAILABLE, "the controller is away, nothing was changed; push again");
}

/* ---- the link's thread ---- */

static void on_signal(void *arg)
{
    (void)arg;
    _exit(1); /* what is wanted is recorded, or was never asked for */
}

static void run_loop(void *arg)
{
    loop_run(arg);
}

static void stop_loop(void *arg)
{
    struct hook *h = arg;

    rpc_client_stop(h->client);
    loop_stop(h->loop);
}

static int start_link(struct hook *h, struct err *err)
{
    const struct rpc_client_config config = {
        .address = getenv(GIT_ENV_CONTROLLER),
        .ca_file = getenv(GIT_ENV_CA_FILE),
        .token = getenv(GIT_ENV_LINK_TOKEN),
        .kind = RPC_GATEWAY,
        .name = "git-hook",
    };

    h->repository = getenv(GIT_ENV_REPOSITORY);
    h->project = getenv(GIT_ENV_PROJECT);
    h->token = getenv(GIT_ENV_TOKEN);
    h->peer = getenv(GIT_ENV_PEER);
    if (!config.address || !h->repository || !h->project || !h->token)
        return err_set(err, ERR_INVALID,
                       "branches of this repository are pushed over HTTP, through the gateway");
    h->loop = loop_new(on_signal, NULL);
    if (rpc_client_start(h->loop, &config, &h->client, err))
        return -1;
    h->thread = thread_start(run_loop, h->loop);
    return 0;
}

static void stop_link(struct hook *h)
{
    if (h->thread)
        loop_post(h->loop, stop_loop, h);
    thread_join(h->thread);
    loop_free(h->loop);
}

/* ---- the hook ---- */

static void answer(const struct hook *h, const struct err *unlinked)
{
    for (size_t i = 0; i < h->count; i++) {
        struct err failed = *unlinked;
        if (h->is_atomic && h->count > 1)
            err_set(&failed, ERR_INVALID,
                    "several branches cannot be pushed atomically: each waits for its own app");
        if (failed.class == ERR_NONE)
            hand_over(h, &h->pushed[i], &failed);
        report(&h->pushed[i], &failed);
    }
    git_pkt_put_flush(stdout);
    fflush(stdout);
}

static void hook_done(struct hook *h)
{
    stop_link(h);
    for (size_t i = 0; i < h->count; i++)
        free(h->pushed[i].ref);
    free(h->pushed);
    free(h->input);
}

int proc_receive_run(void)
{
    __attribute__((__cleanup__(hook_done))) struct hook h = { 0 };
    struct err err = { 0 }, unlinked = { 0 };

    if (greet(&h, &err) || read_pushed(&h, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    start_link(&h, &unlinked);
    answer(&h, &unlinked);
    return 0;
}
