#include "builder/cgroup.h"

#include "support.h"

static const char v1[] =
    "25 20 0:21 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755\n"
    "30 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "31 25 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"
    "32 25 0:28 / /sys/fs/cgroup/memory rw shared:10 master:1 - cgroup cgroup rw,memory\n";
static const char v2[] =
    "25 20 0:21 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

static void check(const char *text, const char *want, int want_version)
{
    int version = 0;
    auto_free char *mount = cgroup_find_mount(text, &version);

    if (want)
        assert_string_equal(mount, want);
    else
        assert_null(mount);
    assert_int_equal(version, want_version);
}

static void test_mounts(void **state)
{
    (void)state;
    check(v1, "/sys/fs/cgroup/memory", 1);
    check(v2, "/sys/fs/cgroup", 2);
    check("", NULL, 0);
    check("\n\n - \n", NULL, 0);
    check("1 2 3 - cgroup cgroup rw,memory_recursiveprot\n", NULL, 0);
}

static void test_no_limit(void **state)
{
    struct cgroup *cgroup = NULL;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(cgroup_limit("", "docker/buildkit", 1 << 30, &cgroup, &err), -1);
    assert_int_equal(err.class, ERR_UNAVAILABLE);
    assert_int_equal(cgroup_kills(NULL), 0);
    assert_null(cgroup);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_mounts),
                                        cmocka_unit_test(test_no_limit) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
