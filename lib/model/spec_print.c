/* The reference, printed from the table. */
#include <string.h>

#include "base/mem.h"
#include "model/member.h"
#include "model/spec.h"

static void print_members(FILE *out, const struct member *members, const char *parent);

/* What stands inside a member: "env.NAME", "processes.NAME.port", "routes[].host". */
static void print_inside(FILE *out, const struct member *member, const char *path)
{
    bool is_list = member->type == MEMBER_LIST;
    auto_free char *below = xasprintf("%s%s", path, is_list ? "[]" : member->item ? ".NAME" : "");

    if (member->item)
        member = member->item;
    if (member->members)
        print_members(out, member->members, below);
}

static void print_member(FILE *out, const struct member *member, const char *path)
{
    auto_free char *example = member_example(member);

    fprintf(out, "%s: %s", path, example);
    if (member->fallback)
        fprintf(out, "; default %s", member->fallback);
    fprintf(out, "\n    %s\n", member->help);
}

static void print_members(FILE *out, const struct member *members, const char *parent)
{
    for (; members->name; members++) {
        auto_free char *path = xasprintf("%s%s%s", parent, *parent ? "." : "", members->name);
        if (members->type >= MEMBER_ONLY)
            continue;
        print_member(out, members, path);
        print_inside(out, members, path);
    }
}

void spec_print(FILE *out)
{
    print_members(out, spec_root.members, "");
}
