// SPDX-License-Identifier: Apache-2.0
/* A VM as one file: what tar, sha256 and qemu-img make of it. How it ends half-way is in test-host-storage-space.c. */
#include "base/confine-private.h"
#include "base/hash.h"
#include "host/storage/pool_dir.h"
#include "host/storage/tar.h"
#include "storage-rig.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *output_of(const char *const *argv)
{
  static const char *const environment[] = {"LC_ALL=C.UTF-8", "TZ=UTC0", "PATH=/usr/bin:/bin", NULL};
  g_autoptr(GError) error = NULL;
  g_autofree char *err = NULL;
  char *out = NULL;
  int status = -1;
  g_spawn_sync(NULL, (char **)argv, (char **)environment, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
  g_assert_no_error(error);
  if (status != 0 || *err)
    g_error("%s: %s", argv[0], err);
  return out;
}

/* ---- heads ---- */

#define GIB (G_GUINT64_CONSTANT(1) << 30)

/* An archive of nothing but holes, as GNU tar lists it. */
static void sizes_are_what_tar_reads(StorageRig *f, gconstpointer data)
{
  static const struct {
    const char *name;
    guint64 bytes;
    gint64 modified_s;
  } files[] = {{"a.ovf", 0, 0},          {"b.mf", 1, 1},           {"c", 512, 1000000000},          {"d", 513, -5},
               {"e", 8 * GIB - 1, 1000}, {"f", 8 * GIB, 2000},     {"g", 8 * GIB + 1, 3000},        {"h", 3000 * GIB + 7, 4000},
               {"a-name-that-is-as-long-as-names-may-be-in-the-head-of-a-file-which-is-one-hundred-bytes-1234567890ab", 3, 5000}};
  g_autofree char *path = storage_rig_path(f, "heads.tar");
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  guint64 at = 0;
  g_autoptr(GString) expected = g_string_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    guint8 head[TAR_BLOCK];
    tar_head(head, files[i].name, files[i].bytes, files[i].modified_s);
    g_assert_cmpint(pwrite(fd, head, sizeof head, (off_t)at), ==, sizeof head);
    at += TAR_BLOCK + tar_whole_blocks(files[i].bytes);
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(MAX(0, files[i].modified_s));
    g_autofree char *when = g_date_time_format(time, "%Y-%m-%d %H:%M:%S");
    g_string_append_printf(expected, "-rw-r--r-- 0/0 %" G_GUINT64_FORMAT " %s %s\n", files[i].bytes, when, files[i].name);
  }
  g_assert_cmpuint(strlen(files[G_N_ELEMENTS(files) - 1].name), ==, TAR_NAME_MAX);
  if (ftruncate(fd, (off_t)(at + TAR_END_BYTES)) < 0) {
    g_test_skip("this file system has no files of 3 TiB");
    close(fd);
    return;
  }
  close(fd);
  g_autofree char *out = output_of((const char *[]){"tar", "--list", "--verbose", "--numeric-owner", "--full-time", "--file", path, NULL});
  g_autoptr(GString) listed = g_string_new(out);
  while (g_string_replace(listed, "  ", " ", 0) > 0) /* columns */
    ;
  g_assert_cmpstr(listed->str, ==, expected->str);
}

/* ---- the whole ---- */

static char *read_file(const char *folder, const char *name, gsize *n)
{
  g_autofree char *path = g_build_filename(folder, name, NULL);
  g_autoptr(GError) error = NULL;
  char *bytes = NULL;
  g_file_get_contents(path, &bytes, n, &error);
  g_assert_no_error(error);
  return bytes;
}

/* Each line of the manifest is of a file that is there, with the sum it has. */
static guint check_manifest(const char *folder)
{
  gsize n;
  guint checked = 0;
  g_autofree char *text = read_file(folder, "web-server.mf", &n);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line && **line; line++, checked++) {
    g_auto(GStrv) parts = g_strsplit_set(*line, "()", 3);
    g_assert_cmpstr(parts[0], ==, "SHA256");
    g_autofree char *bytes = read_file(folder, parts[1], &n), *sum = ws_sha256_hex(bytes, n), *expected = g_strconcat("= ", sum, NULL);
    g_assert_cmpstr(parts[2], ==, expected);
  }
  return checked;
}

static char *unpack(StorageRig *f, const char *file)
{
  g_autofree char *archive = storage_rig_path(f, file);
  char *folder = g_build_filename(f->top, "unpacked", NULL);
  g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
  g_free(output_of((const char *[]){"tar", "--extract", "--directory", folder, "--file", archive, NULL}));
  return folder;
}

static void assert_same_disk(StorageRig *f, const char *folder, const char *vmdk, const char *file, const char *format)
{
  g_autofree char *packed = g_build_filename(folder, vmdk, NULL), *disk = storage_rig_path(f, file);
  g_free(output_of((const char *[]){"qemu-img", "compare", "-q", "-f", "vmdk", "-F", format, packed, disk, NULL}));
}

/* A linked child whose blocks lie in two files, and a raw disk that has no whole number of grains. */
static void make_disks(StorageRig *f)
{
  g_autoptr(GError) error = NULL;
  storage_rig_must_create(f, "base", 32 * MIB, QCOW2, THIN, NULL);
  g_autofree char *base = storage_rig_path(f, "base"), *child = storage_rig_path(f, "child");
  storage_rig_run_tool((const char *[]){"qemu-io", "-f", "qcow2", "-c", "write -P 1 0 2M", "-c", "write -P 2 5M 1M", base, NULL});
  storage_rig_create(f, "child", 32 * MIB, QCOW2, THIN, "base", NULL, NULL, &error);
  g_assert_no_error(error);
  storage_rig_run_tool((const char *[]){"qemu-io", "-f", "qcow2", "-c", "write -P 3 1M 64k", "-c", "write -P 4 31M 1M", child, NULL});
  storage_rig_must_create(f, "raw", 3 * MIB + 512, RAW, THIN, NULL);
  storage_rig_write_random(f, "raw", 3 * MIB + 512);
}

static void export_is_what_tar_and_qemu_read(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL, again = NULL;
  make_disks(f);
  storage_rig_export(f, "vol-9.ova", NULL, &result, &error, "child", QCOW2, "raw", RAW, NULL);
  g_assert_no_error(error);
  storage_rig_assert_files(f, "base,child,raw,vol-9.ova");
  g_autofree char *archive = storage_rig_path(f, "vol-9.ova");
  g_autofree char *names = output_of((const char *[]){"tar", "--list", "--file", archive, NULL});
  g_assert_cmpstr(names, ==, "web-server.ovf\nweb-server.mf\nweb-server-disk1.vmdk\nweb-server-disk2.vmdk\n");
  gsize n;
  g_autofree char *bytes = NULL;
  g_assert_true(g_file_get_contents(archive, &bytes, &n, NULL));
  g_autofree char *sum = ws_sha256_hex(bytes, n);
  g_assert_cmpint(result->size_bytes, ==, (gint64)n);
  g_assert_cmpstr(result->sha256, ==, sum);
  g_assert_cmpint(result->allocated_bytes, >, 3 * MIB);
  g_autofree char *folder = unpack(f, "vol-9.ova");
  g_assert_cmpuint(check_manifest(folder), ==, 3);
  assert_same_disk(f, folder, "web-server-disk1.vmdk", "child", "qcow2");
  assert_same_disk(f, folder, "web-server-disk2.vmdk", "raw", "raw");
  g_autofree char *vmdk = read_file(folder, "web-server-disk1.vmdk", &n);
  const char *words = vmdk + 512; /* its descriptor, a text */
  g_assert_nonnull(strstr(words, "createType=\"streamOptimized\""));
  g_assert_nonnull(strstr(words, "SPARSE \"web-server-disk1.vmdk\"")); /* no name of ours */
  gsize packed = n;
  g_autofree char *ovf = read_file(folder, "web-server.ovf", &n);
  g_autofree char *first = g_strdup_printf("ovf:href=\"web-server-disk1.vmdk\" ovf:id=\"file1\" ovf:size=\"%" G_GSIZE_FORMAT "\"", packed);
  g_assert_nonnull(strstr(ovf, first));

  /* Repeated, it finds its work done. */
  storage_rig_export(f, "vol-9.ova", NULL, &again, &error, "child", QCOW2, "raw", RAW, NULL);
  g_assert_no_error(error);
  g_assert_true(ws_rpc_volume_export_result_equal(again, result));
}

static void machine_without_disks_is_described_alone(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  storage_rig_export(f, "vol-9.ova", NULL, &result, &error, NULL);
  g_assert_no_error(error);
  g_autofree char *folder = unpack(f, "vol-9.ova");
  g_assert_cmpuint(check_manifest(folder), ==, 1);
}

static void disk_that_a_guest_writes_is_refused(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  storage_rig_must_create(f, "raw", 3 * MIB, RAW, THIN, NULL);
  int fd = storage_rig_hold_as_qemu(f, "raw", true);
  g_assert_false(storage_rig_export(f, "vol-9.ova", NULL, &result, &error, "raw", RAW, NULL));
  storage_rig_assert_code(error, WS_ERROR_IN_USE);
  storage_rig_assert_files(f, "raw");
  close(fd);
}

static void disk_that_is_not_there_is_named(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  g_assert_false(storage_rig_export(f, "vol-9.ova", NULL, &result, &error, "gone", RAW, NULL));
  storage_rig_assert_code(error, WS_ERROR_NOT_FOUND);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "pool-1/gone");
  storage_rig_assert_files(f, "");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_exec_as_on_old_kernel = storage_as_on_old_kernel = g_strcmp0(g_getenv("KERNEL"), "old") == 0;
  TEST(sizes_are_what_tar_reads);
  TEST(export_is_what_tar_and_qemu_read);
  TEST(machine_without_disks_is_described_alone);
  TEST(disk_that_a_guest_writes_is_refused);
  TEST(disk_that_is_not_there_is_named);
  return g_test_run();
}
