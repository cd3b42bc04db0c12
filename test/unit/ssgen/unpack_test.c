/* Archives that a hostile tenant could hand in, made here with libarchive, which writes whatever it
 * is told. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "ssgen/unpack.h"

struct item {
    const char *path;
    int type;            /* AE_IFREG with NULL target and data: a file; with `hard`: a hard link */
    const char *content; /* of a file, or the target */
    bool is_hard;
    int mode;
};

struct fixture {
    char *dir, *archive, *folder, *outside;
};

static int setup(void **state)
{
    char template[] = "/tmp/unpack-test-XXXXXX";
    struct fixture *f = xcalloc(1, sizeof *f);

    f->dir = xstrdup(mkdtemp(template));
    f->archive = fs_join(f->dir, "site.tar.gz");
    f->folder = fs_join(f->dir, "site");
    f->outside = fs_join(f->dir, "outside");
    struct err err = { 0 };
    assert_int_equal(fs_write(f->outside, "untouched", 9, 0600, &err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    fs_remove_tree(f->dir, &err);
    free(f->dir);
    free(f->archive);
    free(f->folder);
    free(f->outside);
    free(f);
    return 0;
}

static void add_item(struct archive *out, const struct item *item)
{
    struct archive_entry *entry = archive_entry_new();
    bool is_file = item->type == AE_IFREG && !item->is_hard;
    size_t len = is_file && item->content ? strlen(item->content) : 0;

    archive_entry_set_pathname(entry, item->path);
    archive_entry_set_filetype(entry, (unsigned)item->type);
    archive_entry_set_perm(entry, (mode_t)(item->mode ? item->mode : 0644));
    archive_entry_set_size(entry, (la_int64_t)len);
    if (item->is_hard)
        archive_entry_set_hardlink(entry, item->content);
    else if (item->type == AE_IFLNK)
        archive_entry_set_symlink(entry, item->content);
    assert_true(archive_write_header(out, entry) >= ARCHIVE_WARN);
    if (len)
        assert_int_equal(archive_write_data(out, item->content, len), len);
    archive_entry_free(entry);
}

static void pack(const struct fixture *f, const struct item *items)
{
    struct archive *out = archive_write_new();

    archive_write_add_filter_gzip(out);
    archive_write_set_format_pax_restricted(out);
    assert_int_equal(archive_write_open_filename(out, f->archive), ARCHIVE_OK);
    for (; items->path; items++)
        add_item(out, items);
    assert_int_equal(archive_write_close(out), ARCHIVE_OK);
    archive_write_free(out);
}

static const struct unpack_limits limits = {
    .entries_max = 50, .bytes_max = 100000, .path_max = 200, .depth_max = 8
};

static enum err_class unpack(const struct fixture *f)
{
    struct err err = { 0 };
    bool is_disk_full = true;
    int rc = unpack_archive(f->archive, f->folder, &limits, &is_disk_full, &err);

    assert_false(is_disk_full);
    assert_int_equal(rc, err.class == ERR_NONE ? 0 : -1);
    return err.class;
}

/* Whatever happened, what lies outside is as it was. */
static void assert_outside(const struct fixture *f)
{
    auto_free char *text = NULL;
    struct err err = { 0 };
    struct stat st;

    assert_int_equal(fs_read(f->outside, 100, &text, NULL, &err), 0);
    assert_string_equal(text, "untouched");
    assert_int_equal(stat(f->outside, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void assert_file(const struct fixture *f, const char *name, const char *expected)
{
    auto_free char *path = fs_join(f->folder, name);
    auto_free char *text = NULL;
    struct err err = { 0 };

    assert_int_equal(fs_read(path, 100000, &text, NULL, &err), 0);
    assert_string_equal(text, expected);
}

static void ordinary_site(void **state)
{
    const struct item items[] = {
        { "./", AE_IFDIR, NULL, false, 0700 },
        { "./index.html", AE_IFREG, "<h1>", false, 04777 },
        { "assets/js/app.js", AE_IFREG, "1", false, 0 }, /* no entry for its folders */
        { "empty", AE_IFREG, NULL, false, 0 },
        { "na\xc3\xafve.html", AE_IFREG, "utf", false, 0 },
        { "latest", AE_IFLNK, "assets/js", false, 0 },
        { "assets/up", AE_IFLNK, "../index.html", false, 0 },
        { "dangling", AE_IFLNK, "not-there", false, 0 },
        { "assets/copy.js", AE_IFREG, "assets/js/app.js", true, 0 },
        { NULL, 0, NULL, false, 0 },
    };
    const struct fixture *f = *state;
    auto_free char *index = fs_join(f->folder, "index.html");
    struct stat st;

    pack(f, items);
    assert_int_equal(unpack(f), ERR_NONE);
    assert_file(f, "index.html", "<h1>");
    assert_file(f, "latest/app.js", "1");
    assert_file(f, "assets/up", "<h1>");
    assert_file(f, "assets/copy.js", "1");
    assert_file(f, "empty", "");
    assert_file(f, "na\xc3\xafve.html", "utf");
    assert_int_equal(stat(index, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644); /* no setuid */
    assert_int_equal(stat(f->folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void empty_site(void **state)
{
    const struct fixture *f = *state;

    pack(f, (const struct item[]){ { NULL, 0, NULL, false, 0 } });
    assert_int_equal(unpack(f), ERR_NONE);
}

static void last_of_two_entries_wins(void **state)
{
    const struct item items[] = {
        { "a", AE_IFREG, "first", false, 0 },      { "b", AE_IFREG, "a", true, 0 },
        { "a", AE_IFREG, "second", false, 0 },     { "l", AE_IFLNK, "a", false, 0 },
        { "l", AE_IFREG, "not a link", false, 0 }, { NULL, 0, NULL, false, 0 },
    };
    const struct fixture *f = *state;

    pack(f, items);
    assert_int_equal(unpack(f), ERR_NONE);
    assert_file(f, "a", "second");
    assert_file(f, "b", "first");
    assert_file(f, "l", "not a link");
}

struct hostile {
    const char *what;
    enum err_class class;
    struct item items[8];
};

static const struct hostile hostile[] = {
    { "traversal", ERR_INVALID, { { "../outside", AE_IFREG, "x", false, 0 } } },
    { "traversal inside a path", ERR_INVALID, { { "a/../../outside", AE_IFREG, "x", false, 0 } } },
    { "traversal that comes back", ERR_INVALID, { { "a/../b", AE_IFREG, "x", false, 0 } } },
    { "folder outside", ERR_INVALID, { { "../new/", AE_IFDIR, NULL, false, 0 } } },
    { "absolute path", ERR_INVALID, { { "/tmp/unpack-test-absolute", AE_IFREG, "x", false, 0 } } },
    { "absolute link", ERR_INVALID, { { "l", AE_IFLNK, "/etc/passwd", false, 0 } } },
    { "link out", ERR_INVALID, { { "l", AE_IFLNK, "../outside", false, 0 } } },
    { "link out from a folder", ERR_INVALID, { { "a/l", AE_IFLNK, "../../outside", false, 0 } } },
    { "link out by another link",
      ERR_INVALID,
      { { "p/q/r/b", AE_IFLNK, "../../..", false, 0 },
        { "p/q/r/c", AE_IFLNK, "b/../outside", false, 0 } } },
    { "links in a circle",
      ERR_INVALID,
      { { "a", AE_IFLNK, "b", false, 0 }, { "b", AE_IFLNK, "a", false, 0 } } },
    { "write through a link",
      ERR_INVALID,
      { { "l", AE_IFLNK, "..", false, 0 }, { "l/outside", AE_IFREG, "x", false, 0 } } },
    { "write through a link that stays inside",
      ERR_INVALID,
      { { "d/", AE_IFDIR, NULL, false, 0 },
        { "l", AE_IFLNK, "d", false, 0 },
        { "l/x", AE_IFREG, "x", false, 0 } } },
    { "folder over a link",
      ERR_INVALID,
      { { "l", AE_IFLNK, "..", false, 0 }, { "l/", AE_IFDIR, NULL, false, 0 } } },
    { "hard link out", ERR_INVALID, { { "h", AE_IFREG, "../outside", true, 0 } } },
    { "absolute hard link", ERR_INVALID, { { "h", AE_IFREG, "/etc/passwd", true, 0 } } },
    { "hard link to a link",
      ERR_INVALID,
      { { "l", AE_IFLNK, "../outside", false, 0 }, { "h", AE_IFREG, "l", true, 0 } } },
    { "hard link through a link",
      ERR_INVALID,
      { { "l", AE_IFLNK, "..", false, 0 }, { "h", AE_IFREG, "l/outside", true, 0 } } },
    { "hard link to itself", ERR_INVALID, { { "h", AE_IFREG, "h", true, 0 } } },
    { "hard link to the folder", ERR_INVALID, { { "h", AE_IFREG, ".", true, 0 } } },
    { "device", ERR_INVALID, { { "null", AE_IFCHR, NULL, false, 0 } } },
    { "block device", ERR_INVALID, { { "sda", AE_IFBLK, NULL, false, 0 } } },
    { "pipe", ERR_INVALID, { { "fifo", AE_IFIFO, NULL, false, 0 } } },
    { "file over a folder",
      ERR_INVALID,
      { { "a/b", AE_IFREG, "x", false, 0 }, { "a", AE_IFREG, "x", false, 0 } } },
    { "file used as a folder",
      ERR_INVALID,
      { { "a", AE_IFREG, "x", false, 0 }, { "a/b", AE_IFREG, "x", false, 0 } } },
    { "file named like the folder", ERR_INVALID, { { ".", AE_IFREG, "x", false, 0 } } },
    { "too deep", ERR_EXHAUSTED, { { "1/2/3/4/5/6/7/8/9/x", AE_IFREG, "x", false, 0 } } },
};

static void hostile_archives(void **state)
{
    const struct fixture *f = *state;

    for (size_t i = 0; i < countof(hostile); i++) {
        struct err err = { 0 };
        enum err_class class;

        pack(f, hostile[i].items);
        if ((class = unpack(f)) != hostile[i].class)
            fail_msg("%s: %s instead of %s", hostile[i].what, err_code(class),
                     err_code(hostile[i].class));
        assert_outside(f);
        assert_false(fs_exists("/tmp/unpack-test-absolute"));
        assert_int_equal(fs_remove_tree(f->folder, &err), 0);
    }
}

static void long_path(void **state)
{
    const struct fixture *f = *state;
    char name[202] = { 0 };

    memset(name, 'x', 201);
    pack(f,
         (const struct item[]){ { name, AE_IFREG, "x", false, 0 }, { NULL, 0, NULL, false, 0 } });
    assert_int_equal(unpack(f), ERR_EXHAUSTED);
}

static void too_many_entries(void **state)
{
    const struct fixture *f = *state;
    struct item items[52] = { 0 };

    for (int i = 0; i < 51; i++) /* one name again and again counts each time */
        items[i] = (struct item){ "same", AE_IFREG, "x", false, 0 };
    pack(f, items);
    assert_int_equal(unpack(f), ERR_EXHAUSTED);
}

static void bomb(void **state)
{
    const struct fixture *f = *state;
    auto_free char *zeros = xcalloc(1, 60001);

    memset(zeros, '0', 60000);
    pack(f, (const struct item[]){ { "a", AE_IFREG, zeros, false, 0 },
                                   { "b", AE_IFREG, zeros, false, 0 },
                                   { NULL, 0, NULL, false, 0 } });
    assert_int_equal(unpack(f), ERR_EXHAUSTED);
}

/* A header that promises 8 GiB costs nothing but the bytes that come: none. */
static void promised_size(void **state)
{
    const struct fixture *f = *state;
    unsigned char header[512] = "huge"; /* the fields of ustar, by their offsets */
    unsigned sum = 0;
    struct err err = { 0 };

    memcpy(header + 100, "0000644", 8);
    memcpy(header + 124, "77777777777", 12);
    memcpy(header + 148, "        ", 8);
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof header; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
    assert_int_equal(fs_write(f->archive, header, sizeof header, 0600, &err), 0);
    assert_int_equal(unpack(f), ERR_INVALID);
}

static void truncated(void **state)
{
    const struct fixture *f = *state;
    auto_free char *noise = xcalloc(1, 30001), *data = NULL;
    struct err err = { 0 };
    size_t len;

    for (unsigned i = 0, x = 1; i < 30000; i++)
        noise[i] = (char)('a' + (x = x * 1103515245 + 12345) % 57 / 3);
    pack(f,
         (const struct item[]){ { "a", AE_IFREG, noise, false, 0 }, { NULL, 0, NULL, false, 0 } });
    assert_int_equal(fs_read(f->archive, 1 << 20, &data, &len, &err), 0);
    for (size_t cut = 1; cut < len - 8; cut += len / 20) {
        assert_int_equal(fs_write(f->archive, data, cut, 0600, &err), 0);
        assert_int_equal(unpack(f), ERR_INVALID);
        assert_int_equal(fs_remove_tree(f->folder, &err), 0);
    }
    assert_int_equal(fs_write(f->archive, "this is no archive, only text", 29, 0600, &err), 0);
    assert_int_equal(unpack(f), ERR_INVALID);
}

static void folder_that_is_there(void **state)
{
    const struct fixture *f = *state;

    pack(f, (const struct item[]){ { NULL, 0, NULL, false, 0 } });
    assert_int_equal(mkdir(f->folder, 0700), 0);
    assert_int_equal(unpack(f), ERR_EXISTS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ordinary_site),
        TEST(empty_site),
        TEST(last_of_two_entries_wins),
        TEST(hostile_archives),
        TEST(long_path),
        TEST(too_many_entries),
        TEST(bomb),
        TEST(promised_size),
        TEST(truncated),
        TEST(folder_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
