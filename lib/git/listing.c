/* Every full name that can answer is a slot in a hash; reading a listing fills slots and forgets
 * all else, so a remote with a million refs costs the time to read past them. A tag's slot is
 * filled with the tag object first and then with what it peels to: "NAME^{}" as a line of its own
 * in the old forms, an attribute in protocol v2. */
#include "git/listing.h"

#include <ctype.h>
#include <string.h>
#include <uthash.h>

#include "base/mem.h"
#include "base/text.h"
#include "git/pkt.h"

struct slot {
    char *name; /* full */
    char sha[GIT_SHA_LEN + 1];
    UT_hash_handle hh;
};

struct asked {
    char *name;
    const struct slot *first, *second; /* the second answers when the first does not; may be NULL */
};

struct git_listing {
    struct slot *slots;
    struct asked *asked;
    size_t count;
    char *head_target; /* of a HEAD that was read as a file */
};

bool git_name_is_ref(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 1024 || name[0] == '-' || name[0] == '/' || name[len - 1] == '/' ||
        name[len - 1] == '.')
        return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 127 || strchr("~^:?*[\\", *c))
            return false;
    return !strstr(name, "..") && !strstr(name, "//") && !strstr(name, "@{") &&
           !strstr(name, "/.") && name[0] != '.' && !text_ends(name, ".lock") &&
           !strstr(name, ".lock/") && strcmp(name, "@") != 0;
}

static const struct slot *add_slot(struct git_listing *listing, const char *prefix,
                                   const char *name)
{
    auto_free char *full = xasprintf("%s%s", prefix, name);
    struct slot *slot = NULL;

    HASH_FIND_STR(listing->slots, full, slot);
    if (slot)
        return slot;
    slot = xcalloc(1, sizeof *slot);
    slot->name = take(&full);
    HASH_ADD_KEYPTR(hh, listing->slots, slot->name, strlen(slot->name), slot);
    return slot;
}

int git_listing_new(const char *const *names, size_t count, struct git_listing **listing,
                    struct err *err)
{
    auto_git_listing *made = xcalloc(1, sizeof *made);

    made->asked = xcalloc(count ? count : 1, sizeof *made->asked);
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i];
        struct asked *asked = &made->asked[i];
        if (!git_name_is_ref(name))
            return err_set(err, ERR_INVALID, "\"%.100s\" cannot be the name of a ref", name);
        asked->name = xstrdup(name);
        made->count++;
        if (text_starts(name, "refs/") || strcmp(name, "HEAD") == 0) {
            asked->first = add_slot(made, "", name);
        } else {
            asked->first = add_slot(made, "refs/heads/", name);
            asked->second = add_slot(made, "refs/tags/", name);
        }
    }
    *listing = take(&made);
    return 0;
}

void git_listing_free(struct git_listing *listing)
{
    struct slot *slot, *next;

    if (!listing)
        return;
    HASH_ITER(hh, listing->slots, slot, next) {
        HASH_DEL(listing->slots, slot);
        free(slot->name);
        free(slot);
    }
    for (size_t i = 0; i < listing->count; i++)
        free(listing->asked[i].name);
    free(listing->asked);
    free(listing->head_target);
    free(listing);
}

void git_listing_each(const struct git_listing *listing,
                      void (*each)(void *arg, const char *full_name), void *arg)
{
    for (const struct slot *slot = listing->slots; slot; slot = slot->hh.next)
        each(arg, slot->name);
}

static bool is_sha(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isdigit((unsigned char)data[i]) && !(data[i] >= 'a' && data[i] <= 'f'))
            return false;
    return len == GIT_SHA_LEN;
}

/* Fills the slot of that name, if it was asked for. "NAME^{}", what a tag peels to, follows NAME.
 */
static void see(struct git_listing *listing, const char *sha, const char *name, size_t len)
{
    struct slot *slot = NULL;

    if (len > 3 && memcmp(name + len - 3, "^{}", 3) == 0)
        len -= 3;
    HASH_FIND(hh, listing->slots, name, len, slot);
    if (slot)
        memcpy(slot->sha, sha, GIT_SHA_LEN);
}

/* "ID<separator>NAME"; false when it is not of that form. */
static bool see_line(struct git_listing *listing, const char *line, size_t len, char separator)
{
    if (len < GIT_SHA_LEN + 2 || line[GIT_SHA_LEN] != separator || !is_sha(line, GIT_SHA_LEN))
        return false;
    see(listing, line, line + GIT_SHA_LEN + 1, len - GIT_SHA_LEN - 1);
    return true;
}

/* The next packet of a listing, which must not end in the middle: 1, 0 at the end of the data, -1.
 * An ERR packet is an error. */
static int next_packet(const char *data, size_t len, size_t *at, struct git_pkt *pkt,
                       struct err *err)
{
    int rc = git_pkt_next(data, len, at, pkt, err);

    if (rc == 0 && *at < len)
        return err_set(err, ERR_UNAVAILABLE, "the remote's listing of refs is cut off");
    if (rc == 1 && git_pkt_starts(pkt, "ERR ")) {
        auto_free char *text = text_utf8(pkt->data + 4, pkt->len - 4);
        return err_set(err, ERR_UNAVAILABLE, "the remote says: %.300s", text);
    }
    return rc;
}

/* ---- protocol v0 and the choice of protocol ---- */

static int check_object_format(const char *text, struct err *err)
{
    return strstr(text, "object-format=") && !strstr(text, "object-format=sha1")
               ? err_set(err, ERR_INVALID,
                         "the repository names its objects by something other than SHA-1, which is "
                         "not supported")
               : 0;
}

/* The first line of v0 carries the server's abilities after a NUL. */
static int read_v0_line(struct git_listing *listing, const struct git_pkt *pkt, struct err *err)
{
    const char *nul = memchr(pkt->data, '\0', pkt->len);
    size_t len = nul ? (size_t)(nul - pkt->data) : pkt->len;

    if (nul) {
        auto_free char *abilities = xstrndup(nul + 1, pkt->len - len - 1);
        if (check_object_format(abilities, err))
            return -1;
    }
    if (!see_line(listing, pkt->data, len, ' ') && !git_pkt_starts(pkt, "shallow "))
        return err_set(err, ERR_UNAVAILABLE, "the remote's answer is no listing of refs");
    return 0;
}

int git_listing_read_advertisement(struct git_listing *listing, const char *data, size_t len,
                                   enum git_protocol *protocol, struct err *err)
{
    enum git_protocol seen = GIT_PROTOCOL_V0;
    struct git_pkt pkt;
    size_t at = 0, flushes = 0;
    bool is_begun = false;
    int rc;

    while ((rc = next_packet(data, len, &at, &pkt, err)) == 1) {
        if (pkt.kind != GIT_PKT_DATA) {
            flushes++;
            continue;
        }
        if (git_pkt_starts(&pkt, "# service=") || git_pkt_is(&pkt, "version 1"))
            continue;
        if (!is_begun && git_pkt_is(&pkt, "version 2")) {
            seen = GIT_PROTOCOL_V2;
        } else if (seen == GIT_PROTOCOL_V2) {
            auto_free char *ability = xstrndup(pkt.data, pkt.len);
            if (check_object_format(ability, err))
                return -1;
        } else if (read_v0_line(listing, &pkt, err)) {
            return -1;
        }
        is_begun = true;
    }
    if (rc < 0)
        return -1;
    if (flushes == 0)
        return err_set(err, ERR_UNAVAILABLE, "the remote's listing of refs is cut off");
    *protocol = seen;
    return 0;
}

/* ---- protocol v2 ---- */

void git_listing_write_ls_refs(const struct git_listing *listing, FILE *out)
{
    git_pkt_put(out, "command=ls-refs\n");
    git_pkt_put(out, "agent=evenkeel/%s", EVENKEEL_VERSION);
    git_pkt_put_delim(out);
    git_pkt_put(out, "peel\n");
    for (const struct slot *slot = listing->slots; slot; slot = slot->hh.next)
        git_pkt_put(out, "ref-prefix %s\n", slot->name);
    git_pkt_put_flush(out);
}

/* "ID NAME[ peeled:ID][ …]" or "unborn NAME …". */
static int read_v2_line(struct git_listing *listing, const struct git_pkt *pkt, struct err *err)
{
    static const char peeled[] = " peeled:";
    auto_free char *line = xstrndup(pkt->data, pkt->len);
    size_t len = strlen(line);

    if (text_starts(line, "unborn "))
        return 0;
    if (len < GIT_SHA_LEN + 2 || line[GIT_SHA_LEN] != ' ' || !is_sha(line, GIT_SHA_LEN))
        return err_set(err, ERR_UNAVAILABLE, "the remote's answer is no listing of refs");
    const char *name = line + GIT_SHA_LEN + 1, *sha = line;
    const char *attribute = strstr(name, peeled);
    if (attribute &&
        is_sha(attribute + sizeof peeled - 1, strcspn(attribute + sizeof peeled - 1, " ")))
        sha = attribute + sizeof peeled - 1;
    see(listing, sha, name, strcspn(name, " "));
    return 0;
}

int git_listing_read_ls_refs(struct git_listing *listing, const char *data, size_t len,
                             struct err *err)
{
    struct git_pkt pkt;
    size_t at = 0;
    int rc;

    while ((rc = next_packet(data, len, &at, &pkt, err)) == 1) {
        if (pkt.kind == GIT_PKT_FLUSH)
            return 0;
        if (pkt.kind == GIT_PKT_DATA && read_v2_line(listing, &pkt, err))
            return -1;
    }
    return rc < 0 ? -1 : err_set(err, ERR_UNAVAILABLE, "the remote's listing of refs is cut off");
}

/* ---- text ---- */

int git_listing_read_text(struct git_listing *listing, const char *data, size_t len,
                          struct err *err)
{
    const char *end = data + len;

    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        const char *stop = newline ? newline : end;
        if (!see_line(listing, data, (size_t)(stop - data), '\t'))
            return err_set(err, ERR_NOT_FOUND,
                           "there is no git repository: what came is no listing of refs");
        data = stop + 1;
    }
    if (listing->head_target) {
        const struct slot *target = NULL;
        HASH_FIND_STR(listing->slots, listing->head_target, target);
        see(listing, target->sha, "HEAD", 4);
    }
    return 0;
}

bool git_listing_wants_head(const struct git_listing *listing)
{
    struct slot *slot = NULL;

    HASH_FIND_STR(listing->slots, "HEAD", slot);
    return slot;
}

int git_listing_read_head(struct git_listing *listing, const char *data, size_t len,
                          struct err *err)
{
    auto_free char *text = xstrndup(data, len);

    text[strcspn(text, "\r\n")] = '\0';
    if (is_sha(text, strlen(text))) {
        see(listing, text, "HEAD", 4);
        return 0;
    }
    if (!text_starts(text, "ref: ") || !git_name_is_ref(text + 5))
        return err_set(err, ERR_NOT_FOUND,
                       "there is no git repository: its HEAD is neither a name nor an id");
    free(listing->head_target);
    listing->head_target = xstrdup(text + 5);
    add_slot(listing, "", listing->head_target);
    return 0;
}

void git_listing_answer(const struct git_listing *listing, struct git_refs *refs)
{
    refs->count = listing->count;
    refs->items = xcalloc(listing->count ? listing->count : 1, sizeof *refs->items);
    for (size_t i = 0; i < listing->count; i++) {
        const struct asked *asked = &listing->asked[i];
        const struct slot *slot =
            asked->first->sha[0] || !asked->second ? asked->first : asked->second;
        refs->items[i].name = xstrdup(asked->name);
        memcpy(refs->items[i].sha, slot->sha, sizeof slot->sha);
    }
}

void git_refs_done(struct git_refs *refs)
{
    for (size_t i = 0; i < refs->count; i++)
        free(refs->items[i].name);
    free(refs->items);
    *refs = (struct git_refs){ 0 };
}
