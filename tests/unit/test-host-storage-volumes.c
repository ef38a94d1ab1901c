// SPDX-License-Identifier: Apache-2.0
/* Volumes of a host, with the real qemu-img: made, grown, copied, deleted. */
#include "base/confine-private.h"
#include "host/storage/pool_dir.h"
#include "storage-rig.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- create ---- */

static void created_volume_has_its_provisioning(StorageRig *f, gconstpointer data)
{
  static const struct {
    int format, provisioning;
    bool thick;
  } cases[] = {
      {RAW, THIN, false},   {RAW, LAZY, true},   {RAW, EAGER, true},
      {QCOW2, THIN, false}, {QCOW2, LAZY, true}, {QCOW2, EAGER, true},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *file = g_strdup_printf("vol-%u", i);
    gint64 allocated = -1;
    storage_rig_must_create(f, file, 16 * MIB, cases[i].format, cases[i].provisioning, &allocated);
    if (cases[i].thick)
      g_assert_cmpint(allocated, >=, 16 * MIB);
    else
      g_assert_cmpint(allocated, <, MIB);
    g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, file, cases[i].format, NULL);
    g_assert_cmpint(r->size_bytes, ==, 16 * MIB);
    g_assert_cmpint(r->format, ==, cases[i].format);
    storage_rig_must_create(f, file, 16 * MIB, cases[i].format, cases[i].provisioning, NULL); /* repeated: no error */
  }
}

static void create_refuses_a_name_that_is_taken(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1", MIB, QCOW2, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_create(f, "vol-1", 2 * MIB, QCOW2, THIN, NULL, NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_ALREADY_EXISTS);
}

static void names_cannot_leave_the_pool(StorageRig *f, gconstpointer data)
{
  static const char *const names[] = {"",   ".", "..",  "../x", "a/b", "/etc/x", ".hidden",
                                      "-x", "A", "a b", "a\nb", "a:b", "json:{}"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(storage_rig_create(f, names[i], MIB, RAW, THIN, NULL, NULL, NULL, &error));
    storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
    g_clear_error(&error);
    g_assert_false(storage_rig_delete(f, names[i], false, &error));
    storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
  }
}

static void symbolic_link_in_the_pool_is_not_followed(StorageRig *f, gconstpointer data)
{
  g_autofree char *target = g_build_filename(f->top, "secret", NULL), *link = storage_rig_path(f, "vol-1");
  g_assert_true(g_file_set_contents(target, "secret", 6, NULL));
  g_assert_cmpint(symlink(target, link), ==, 0);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "vol-1", RAW, &error);
  storage_rig_assert_code(error, WS_ERROR_IO_ERROR);
  g_clear_error(&error);
  g_assert_false(storage_rig_clone(f, "vol-1", RAW, "vol-2", RAW, THIN, 0, &error));
  storage_rig_assert_code(error, WS_ERROR_IO_ERROR);
}

static void linked_child_names_its_parent_only(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  storage_rig_must_create(f, "base", 8 * MIB, QCOW2, THIN, NULL);
  storage_rig_create(f, "child", 16 * MIB, QCOW2, THIN, "base", NULL, NULL, &error);
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "child", QCOW2, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(r->parent_file, ==, "base");
  g_assert_cmpint(r->size_bytes, ==, 16 * MIB);
  g_assert_false(storage_rig_create(f, "orphan", 8 * MIB, QCOW2, THIN, "nothing", NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_false(storage_rig_create(f, "small", MIB, QCOW2, THIN, "base", NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
  storage_rig_assert_files(f, "base,child");
}

static void chain_that_leaves_the_pool_is_refused(StorageRig *f, gconstpointer data)
{
  static const char *const samples[] = {"qcow2-backing", "qcow2-json-backing", "qcow2-data-file"};
  for (guint i = 0; i < G_N_ELEMENTS(samples); i++) {
    /* a file that somebody else put there */
    g_autofree char *name = g_strconcat(samples[i], ".sample", NULL), *path = storage_rig_path(f, "found"),
                    *bytes = NULL;
    g_autofree char *sample =
        g_build_filename(g_getenv("G_TEST_SRCDIR"), "..", "data", "image-header", name, NULL);
    gsize n;
    g_assert_true(g_file_get_contents(sample, &bytes, &n, NULL));
    guint64 length, offset;
    guint32 piece;
    memcpy(&length, bytes, 8);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    g_assert_cmpint(ftruncate(fd, (off_t)GUINT64_FROM_LE(length)), ==, 0);
    for (gsize at = 8; at < n; at += 12 + piece) {
      memcpy(&offset, bytes + at, 8);
      memcpy(&piece, bytes + at + 8, 4);
      g_assert_cmpint(pwrite(fd, bytes + at + 12, piece, (off_t)offset), ==, piece);
    }
    close(fd);
    g_autoptr(GError) error = NULL;
    g_assert_false(storage_rig_clone(f, "found", QCOW2, "copy", RAW, THIN, 0, &error));
    storage_rig_assert_code(error, WS_ERROR_IMAGE_REFUSED);
  }
  storage_rig_assert_files(f, "found");
}

/* ---- resize ---- */

static void resize_grows_and_never_shrinks(StorageRig *f, gconstpointer data)
{
  static const struct {
    int format, provisioning;
  } cases[] = {{RAW, THIN}, {RAW, EAGER}, {QCOW2, THIN}, {QCOW2, EAGER}, {QCOW2, LAZY}};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *file = g_strdup_printf("vol-%u", i);
    g_autoptr(GError) error = NULL;
    gint64 now = 0;
    storage_rig_must_create(f, file, 4 * MIB, cases[i].format, cases[i].provisioning, NULL);
    storage_rig_resize(f, file, cases[i].format, 12 * MIB, cases[i].provisioning, &now, &error);
    g_assert_no_error(error);
    g_assert_cmpint(now, ==, 12 * MIB);
    g_assert_true(storage_rig_resize(f, file, cases[i].format, MIB, cases[i].provisioning, &now, &error));
    g_assert_cmpint(now, ==, 12 * MIB);
    g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, file, cases[i].format, NULL);
    g_assert_cmpint(r->size_bytes, ==, 12 * MIB);
    if (cases[i].provisioning != THIN)
      g_assert_cmpint(r->allocated_bytes, >=, 12 * MIB);
  }
}

static void file_in_use_is_left_alone(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1", MIB, RAW, THIN, NULL);
  int fd = storage_rig_hold_as_qemu(f, "vol-1", true);
  g_autoptr(GError) error = NULL;
  gint64 now;
  g_assert_false(storage_rig_resize(f, "vol-1", RAW, 2 * MIB, THIN, &now, &error));
  storage_rig_assert_code(error, WS_ERROR_IN_USE);
  g_clear_error(&error);
  g_assert_false(storage_rig_delete(f, "vol-1", false, &error));
  storage_rig_assert_code(error, WS_ERROR_IN_USE);
  g_clear_error(&error);
  g_assert_false(storage_rig_clone(f, "vol-1", RAW, "vol-2", RAW, THIN, 0, &error));
  storage_rig_assert_code(error, WS_ERROR_IN_USE);
  close(fd);
  fd = storage_rig_hold_as_qemu(f, "vol-1", false); /* read by a VM, as the base of its disk is */
  g_clear_error(&error);
  storage_rig_clone(f, "vol-1", RAW, "vol-2", RAW, THIN, 0, &error);
  g_assert_no_error(error);
  close(fd);
}

/* ---- clone ---- */

static void clone_keeps_every_byte(StorageRig *f, gconstpointer data)
{
  static const struct {
    int format, provisioning;
  } steps[] = {{RAW, THIN}, {QCOW2, THIN}, {QCOW2, EAGER}, {RAW, EAGER},
               {RAW, LAZY}, {QCOW2, LAZY}, {RAW, THIN}};
  storage_rig_must_create(f, "step-0", 8 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "step-0", 3 * MIB + 4096, 100000);
  int before = RAW;
  for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
    g_autofree char *from = g_strdup_printf("step-%u", i), *to = g_strdup_printf("step-%u", i + 1);
    g_autoptr(GError) error = NULL;
    storage_rig_clone(f, from, before, to, steps[i].format, steps[i].provisioning, 0, &error);
    g_assert_no_error(error);
    g_assert_true(
        storage_rig_clone(f, from, before, to, steps[i].format, steps[i].provisioning, 0, &error)); /* repeated */
    g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, to, steps[i].format, NULL);
    g_assert_cmpint(r->size_bytes, ==, 8 * MIB);
    g_assert_true((r->allocated_bytes >= 8 * MIB) == (steps[i].provisioning != THIN));
    before = steps[i].format;
  }
  storage_rig_assert_same_bytes(f, "step-0", "step-7");
}

static void clone_may_be_larger(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  storage_rig_must_create(f, "a", 4 * MIB, QCOW2, THIN, NULL);
  storage_rig_clone(f, "a", QCOW2, "b", QCOW2, THIN, 32 * MIB, &error);
  g_assert_no_error(error);
  storage_rig_clone(f, "a", QCOW2, "c", RAW, THIN, 32 * MIB, &error);
  g_assert_no_error(error);
  storage_rig_clone(f, "a", QCOW2, "d", QCOW2, EAGER, 32 * MIB, &error);
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeInfoResult) b = storage_rig_info(f, "b", QCOW2, NULL), c = storage_rig_info(f, "c", RAW, NULL),
                                   d = storage_rig_info(f, "d", QCOW2, NULL);
  g_assert_cmpint(b->size_bytes, ==, 32 * MIB);
  g_assert_cmpint(c->size_bytes, ==, 32 * MIB);
  g_assert_cmpint(d->size_bytes, ==, 32 * MIB);
  g_assert_cmpint(d->allocated_bytes, >=, 32 * MIB);
}

static void full_clone_of_a_linked_child_stands_alone(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  storage_rig_must_create(f, "plain", 4 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "plain", 8192, 70000);
  storage_rig_clone(f, "plain", RAW, "base", QCOW2, THIN, 0, &error);
  g_assert_no_error(error);
  storage_rig_create(f, "child", 4 * MIB, QCOW2, THIN, "base", NULL, NULL, &error);
  g_assert_no_error(error);
  storage_rig_clone(f, "child", QCOW2, "copy", RAW, THIN, 0, &error);
  g_assert_no_error(error);
  storage_rig_assert_same_bytes(f, "plain", "copy");
  storage_rig_clone(f, "child", QCOW2, "alone", QCOW2, THIN, 0, &error);
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "alone", QCOW2, NULL);
  g_assert_null(r->parent_file);
}

/* ---- delete and wipe ---- */

static void deleted_volume_is_gone_and_stays_so(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1", MIB, QCOW2, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(storage_rig_delete(f, "vol-1", false, &error));
  g_assert_true(storage_rig_delete(f, "vol-1", false, &error)); /* repeated */
  g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "vol-1", QCOW2, &error);
  g_assert_no_error(error);
  g_assert_false(r->exists);
}

static void assert_zero(int fd)
{
  char buf[65536];
  gssize n;
  for (off_t at = 0; (n = pread(fd, buf, sizeof buf, at)) > 0; at += n)
    for (gssize i = 0; i < n; i++)
      g_assert_cmpint(buf[i], ==, 0);
}

static void wiped_bytes_are_zero_on_disk(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1", 4 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "vol-1", MIB, 200000);
  g_autofree char *path = storage_rig_path(f, "vol-1");
  int fd = open(path, O_RDONLY | O_CLOEXEC); /* sees the same blocks after the name is gone */
  g_autoptr(GError) error = NULL;
  g_assert_true(storage_rig_delete(f, "vol-1", true, &error));
  struct stat st;
  g_assert_cmpint(fstat(fd, &st), ==, 0);
  g_assert_cmpint(st.st_nlink, ==, 0);
  g_assert_cmpint(st.st_size, ==, 4 * MIB);
  assert_zero(fd);
  close(fd);
}

static void wiped_volume_is_empty_and_usable(StorageRig *f, gconstpointer data)
{
  static const int kinds[] = {RAW, QCOW2};
  for (guint i = 0; i < 2; i++) {
    storage_rig_must_create(f, "vol-1", 4 * MIB, kinds[i], EAGER, NULL);
    g_autoptr(WsRpcVolumeWipe) params = ws_rpc_volume_wipe_new();
    params->pool = 1;
    params->file = g_strdup("vol-1");
    params->format = (WsRpcVolumeWipeFormat)kinds[i];
    g_autofree char *path = storage_rig_path(f, "vol-1");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    storage_volume_wipe(f->storage, params, NULL, &error);
    g_assert_no_error(error);
    assert_zero(fd);
    close(fd);
    g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "vol-1", kinds[i], &error);
    g_assert_no_error(error);
    g_assert_cmpint(r->size_bytes, ==, 4 * MIB);
    g_assert_cmpint(r->allocated_bytes, <, MIB);
    g_assert_true(storage_rig_delete(f, "vol-1", false, NULL));
  }
}

/* ---- two at once ---- */

static gpointer create_same(gpointer data)
{
  g_autoptr(GError) error = NULL;
  storage_rig_create(data, "vol-1", 32 * MIB, QCOW2, EAGER, NULL, NULL, NULL, &error);
  g_assert_no_error(error);
  return NULL;
}

static void calls_on_one_file_wait_for_each_other(StorageRig *f, gconstpointer data)
{
  GThread *threads[4];
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("create", create_same, f);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  storage_rig_assert_files(f, "vol-1");
}

static void path_names_pool_and_file(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1", MIB, RAW, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_autofree char *path = storage_volume_path(f->storage, 1, "vol-1", &error);
  g_assert_no_error(error);
  WsId pool;
  const char *file;
  g_assert_true(storage_find_volume(f->storage, path, &pool, &file));
  g_assert_cmpuint(pool, ==, 1);
  g_assert_cmpstr(file, ==, "vol-1");
  g_assert_false(storage_find_volume(f->storage, "/var/lib/libvirt/images/x", &pool, &file));
  g_assert_null(storage_volume_path(f->storage, 1, "vol-2", &error));
  storage_rig_assert_code(error, WS_ERROR_NOT_FOUND);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_exec_as_on_old_kernel = storage_as_on_old_kernel = g_strcmp0(g_getenv("KERNEL"), "old") == 0;
  TEST(created_volume_has_its_provisioning);
  TEST(create_refuses_a_name_that_is_taken);
  TEST(names_cannot_leave_the_pool);
  TEST(symbolic_link_in_the_pool_is_not_followed);
  TEST(linked_child_names_its_parent_only);
  TEST(chain_that_leaves_the_pool_is_refused);
  TEST(resize_grows_and_never_shrinks);
  TEST(file_in_use_is_left_alone);
  TEST(clone_keeps_every_byte);
  TEST(clone_may_be_larger);
  TEST(full_clone_of_a_linked_child_stands_alone);
  TEST(deleted_volume_is_gone_and_stays_so);
  TEST(wiped_bytes_are_zero_on_disk);
  TEST(wiped_volume_is_empty_and_usable);
  TEST(calls_on_one_file_wait_for_each_other);
  TEST(path_names_pool_and_file);
  return g_test_run();
}
