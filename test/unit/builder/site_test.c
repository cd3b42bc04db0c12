#include "builder/site.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include "base/digest.h"
#include "base/fs.h"
#include "support.h"

static const struct tree_limits limits = { 1 << 20, 100 };
static char dir[] = "/tmp/evenkeel-site-XXXXXX";

static FILE *source(int variant)
{
    FILE *tar = tmpfile();

    put_tar(tar, "dist/", '5', NULL, NULL, variant ? 0700 : 0755);
    put_tar(tar, "dist/a.html", '0', NULL, "<h1>", variant ? 0600 : 0644);
    put_tar(tar, "dist/evil", '2', "/etc/passwd", NULL, 0777);
    put_tar(tar, "dist/sub/", '5', NULL, NULL, 0755);
    put_tar(tar, "dist/sub/b", '0', NULL, "b", 0644);
    put_tar(tar, "distant", '0', NULL, "no", 0644);
    put_tar(tar, "file", '0', NULL, "no", 0644);
    put_tar_end(tar);
    return tar;
}

/* Names of a tar.gz, checked on the way to be of owner 0 and time 0. */
static char *names(const char *path)
{
    struct archive *in = archive_read_new();
    struct archive_entry *entry;
    char *text = NULL;
    size_t len;
    FILE *out = xmemstream(&text, &len);

    archive_read_support_format_tar(in);
    archive_read_support_filter_gzip(in);
    assert_int_equal(archive_read_open_filename(in, path, 4096), ARCHIVE_OK);
    while (archive_read_next_header(in, &entry) == ARCHIVE_OK) {
        fprintf(out, "%s %o\n", archive_entry_pathname(entry), archive_entry_perm(entry));
        assert_int_equal(archive_entry_mtime(entry), 0);
        assert_int_equal(archive_entry_uid(entry), 0);
        assert_int_equal(archive_entry_gid(entry), 0);
    }
    archive_read_free(in);
    fclose(out);
    return text;
}

static int pack(int variant, const char *folder, const struct tree_limits *bounds,
                struct site_archive *site, struct err *err)
{
    auto_free char *path = fs_join(dir, "site.tar.gz");
    FILE *tar = source(variant);
    int rc = site_pack(fileno(tar), folder, path, bounds, site, err);

    fclose(tar);
    return rc;
}

static void test_packing(void **state)
{
    auto_free char *path = fs_join(dir, "site.tar.gz");
    auto_site_archive one = { 0 }, two = { 0 }, all = { 0 };
    auto_free char *bytes = NULL;
    size_t len;
    struct err err = { 0 };
    (void)state;

    assert_int_equal(pack(0, "dist", &limits, &one, &err), 0);
    auto_free char *list = names(path);
    assert_string_equal(list, "a.html 644\nsub/ 755\nsub/b 644\n");
    assert_int_equal(one.files, 2);
    assert_int_equal(one.left_out, 1);
    assert_int_equal(fs_read(path, 1 << 20, &bytes, &len, &err), 0);
    auto_free char *sha = sha256_hex(bytes, len);
    assert_string_equal(sha, one.sha256);
    assert_int_equal(len, one.size);
    /* the same content, other modes: the same bytes */
    assert_int_equal(pack(1, "dist", &limits, &two, &err), 0);
    assert_string_equal(one.sha256, two.sha256);
    assert_int_equal(pack(0, "", &limits, &all, &err), 0);
    auto_free char *everything = names(path);
    assert_non_null(strstr(everything, "dist/sub/b 644\ndistant 644\nfile 644\n"));
    assert_int_equal(all.files, 4);
    assert_string_not_equal(all.sha256, one.sha256);
}

static void test_refusals(void **state)
{
    struct site_archive site = { 0 };
    struct tree_limits few = { 1 << 20, 3 }, small = { 4, 100 };
    struct err err = { 0 };
    (void)state;

    assert_int_equal(pack(0, "nowhere", &limits, &site, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_int_equal(pack(0, "file", &limits, &site, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_int_equal(pack(0, "dist", &few, &site, &err), -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    assert_int_equal(pack(0, "dist", &small, &site, &err), -1);
    assert_int_equal(err.class, ERR_EXHAUSTED);
    assert_null(site.sha256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_refusals),
    };
    struct err err = { 0 };

    setlocale(LC_CTYPE, "C.UTF-8");
    assert_non_null(mkdtemp(dir));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fs_remove_tree(dir, &err);
    return failed;
}
