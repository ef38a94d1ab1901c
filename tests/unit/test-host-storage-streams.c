// SPDX-License-Identifier: Apache-2.0
/* Bytes that come and go: uploads, downloads, volumes on their way to another host. */
#include "base/confine-private.h"
#include "base/hash.h"
#include "host/storage/pool_dir.h"
#include "storage-rig.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- uploads and downloads ---- */

static UploadSink *begin_upload(StorageRig *f, const char *file, gint64 total, gint64 *received)
{
  g_autoptr(WsRpcVolumeUploadOpen) params = ws_rpc_volume_upload_open_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->total_bytes = total;
  WsRpcVolumeUploadOpenResult *result = NULL;
  g_autoptr(GError) error = NULL;
  storage_upload_open(f->storage, params, &result, &error);
  g_assert_no_error(error);
  *received = result->received_bytes;
  ws_rpc_volume_upload_open_result_free(result);
  UploadSink *sink = storage_upload_sink(f->storage, 1, file, &error);
  g_assert_no_error(error);
  return sink;
}

static bool finish(StorageRig *f, const char *file, gint64 total, int source_format, int format,
                   const char *sha256, char **got, GError **error)
{
  g_autoptr(WsRpcVolumeUploadFinish) params = ws_rpc_volume_upload_finish_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->total_bytes = total;
  params->source_format = (WsRpcVolumeUploadFinishSourceFormat)source_format;
  params->format = (WsRpcVolumeUploadFinishFormat)format;
  params->sha256 = g_strdup(sha256);
  WsRpcVolumeUploadFinishResult *result = NULL;
  bool ok = storage_upload_finish(f->storage, params, NULL, &result, error);
  if (ok && got)
    *got = g_strdup(result->sha256);
  ws_rpc_volume_upload_finish_result_free(result);
  return ok;
}

static void broken_upload_goes_on_where_it_was(StorageRig *f, gconstpointer data)
{
  gsize total = 3 * MIB + 1000; /* not a whole sector */
  g_autofree guint8 *bytes = g_malloc(total);
  for (gsize i = 0; i < total; i++)
    bytes[i] = (guint8)(i * 31 + i / 1000);
  g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, total);
  gint64 received;
  g_autoptr(GError) error = NULL;
  UploadSink *first = begin_upload(f, "vol-1", (gint64)total, &received);
  g_assert_cmpint(received, ==, 0);
  g_assert_true(upload_sink_write(first, 0, bytes, MIB, &error));
  g_assert_false(upload_sink_write(first, 2 * MIB, bytes, 1000, &error)); /* a gap */
  storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
  g_clear_error(&error);
  g_assert_false(upload_sink_write(first, MIB, bytes, 3 * MIB, &error)); /* more than announced */
  storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
  g_clear_error(&error);

  UploadSink *second =
      begin_upload(f, "vol-1", (gint64)total, &received); /* while the first is thought dead */
  g_assert_cmpint(received, ==, MIB);
  g_assert_false(upload_sink_write(first, MIB, bytes + MIB, 1000, &error));
  storage_rig_assert_code(error, WS_ERROR_CONFLICT);
  g_clear_error(&error);
  upload_sink_free(first);
  g_assert_true(
      upload_sink_write(second, MIB / 2, bytes + MIB / 2, MIB, &error)); /* half of it is there already */
  g_assert_cmpuint(upload_sink_received(second), ==, (guint64)MIB * 3 / 2);
  upload_sink_free(second);
  g_assert_false(finish(f, "vol-1", (gint64)total, RAW, RAW, NULL, NULL, &error)); /* not all is there */
  storage_rig_assert_code(error, WS_ERROR_WRONG_STATE);
  g_clear_error(&error);

  storage_rig_restart(f, false); /* the agent, too */
  g_autoptr(UploadSink) third = begin_upload(f, "vol-1", (gint64)total, &received);
  g_assert_cmpint(received, ==, MIB * 3 / 2);
  g_assert_true(
      upload_sink_write(third, (guint64)received, bytes + received, total - (gsize)received, &error));
  g_autofree char *got = NULL, *again = NULL;
  finish(f, "vol-1", (gint64)total, RAW, RAW, sum, &got, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(got, ==, sum);
  finish(f, "vol-1", (gint64)total, RAW, RAW, sum, &again, &error); /* repeated */
  g_assert_no_error(error);
  g_assert_cmpstr(again, ==, sum);
  storage_rig_assert_files(f, "vol-1");
  g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "vol-1", RAW, NULL);
  g_assert_cmpint(r->size_bytes, ==, 3 * MIB + 1024);

  g_autoptr(DownloadSource) source = storage_download_source(f->storage, 1, "vol-1", RAW, &error);
  g_assert_no_error(error);
  char part[1000];
  gsize n = sizeof part;
  g_assert_true(download_source_read(source, 12345, part, &n, &error));
  g_assert_cmpmem(part, n, bytes + 12345, 1000);
  g_assert_true(download_source_read(source, 3 * MIB + 1000, part, &n, &error));
  g_assert_cmpuint(n, ==, 24);
}

static bool upload_all(StorageRig *f, const char *file, const char *path, int source_format, int format,
                       const char *sum, GError **error)
{
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
  gint64 received;
  g_autoptr(UploadSink) sink = begin_upload(f, file, (gint64)n, &received);
  for (gsize at = 0; at < n; at += MIN(STORAGE_CHUNK_BYTES, n - at))
    g_assert_true(upload_sink_write(sink, at, bytes + at, MIN(STORAGE_CHUNK_BYTES, n - at), NULL));
  return finish(f, file, (gint64)n, source_format, format, sum, NULL, error);
}

static void upload_is_converted_to_the_wanted_format(StorageRig *f, gconstpointer data)
{
  static const struct {
    const char *driver;
    int format;
  } cases[] = {
      {"vmdk", IMAGE_FORMAT_VMDK}, {"vpc", IMAGE_FORMAT_VHD}, {"vhdx", IMAGE_FORMAT_VHDX},
      {"vdi", IMAGE_FORMAT_VDI},   {"qcow2", QCOW2},
  };
  storage_rig_must_create(f, "plain", 4 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "plain", MIB, 50000);
  g_autofree char *plain = storage_rig_path(f, "plain"), *made = g_build_filename(f->top, "made", NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    const char *argv[] = {"qemu-img", "convert", "-f", "raw", "-O", cases[i].driver, plain, made, NULL};
    storage_rig_run_tool(argv);
    g_autoptr(GError) error = NULL;
    upload_all(f, "image", made, cases[i].format, QCOW2, NULL, &error);
    g_assert_no_error(error);
    storage_rig_clone(f, "image", QCOW2, "back", RAW, THIN, 0, &error);
    g_assert_no_error(error);
    g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "back", RAW, NULL);
    if (cases[i].format != IMAGE_FORMAT_VHD) /* which rounds its size up */
      storage_rig_assert_same_bytes(f, "plain", "back");
    g_assert_cmpint(r->size_bytes, >=, 4 * MIB);
    storage_rig_delete(f, "image", false, NULL);
    storage_rig_delete(f, "back", false, NULL);
    storage_rig_assert_files(f, "plain");
    g_unlink(made);
  }
}

/* What the children of this process map at most, as the kernel counts it for RLIMIT_AS. */
static void note_peak(gint64 done, gint64 total, void *arg)
{
  guint64 *peak_kib = arg;
  g_autofree char *path = g_strdup_printf("/proc/self/task/%ld/children", (long)gettid()), *children = NULL;
  if (!g_file_get_contents(path, &children, NULL, NULL))
    return;
  g_auto(GStrv) pids = g_strsplit(g_strchomp(children), " ", -1);
  for (guint i = 0; pids[i]; i++) {
    g_autofree char *status_path = g_strdup_printf("/proc/%s/status", pids[i]), *status = NULL;
    const char *peak =
        g_file_get_contents(status_path, &status, NULL, NULL) ? strstr(status, "VmPeak:") : NULL;
    if (peak)
      *peak_kib = MAX(*peak_kib, g_ascii_strtoull(peak + strspn(peak, "VmPeak: \t"), NULL, 10));
  }
}

static void conversion_is_far_from_its_limit_of_memory(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "plain", 128 * MIB, RAW, THIN, NULL);
  for (guint i = 0; i < 128; i++)
    storage_rig_write_pattern(f, "plain", i * MIB, 1000000);
  WsRpcVolumeClone params = {.pool = 1,
                             .target_pool = 1,
                             .file = (char *)"plain",
                             .source_format = (WsRpcVolumeCloneSourceFormat)RAW,
                             .target_file = (char *)"copy",
                             .format = (WsRpcVolumeCloneFormat)QCOW2,
                             .provisioning = (WsRpcVolumeCloneProvisioning)THIN};
  guint64 peak_kib = 0;
  StorageOp op = {.progress = note_peak, .arg = &peak_kib};
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeCloneResult) result = NULL;
  storage_volume_clone(f->storage, &params, &op, &result, &error);
  g_assert_no_error(error);
  g_test_message("%" G_GUINT64_FORMAT " KiB", peak_kib);
  g_assert_cmpuint(peak_kib, >, 0);
  /* QEMU's pool begins threads as it needs them, on a busy machine up to 64, each with 8 MiB of stack; the limit is 1,024 MiB. */
  g_assert_cmpuint(peak_kib, <, 700 << 10);
}

static void upload_that_is_not_what_it_says_is_refused(StorageRig *f, gconstpointer data)
{
  g_autofree char *made = g_build_filename(f->top, "made", NULL);
  const char *argv[] = {"qemu-img",    "create", "-q",  "-f", "qcow2", "-u", "-b",
                        "/etc/shadow", "-F",     "raw", made, "1M",    NULL};
  storage_rig_run_tool(argv);
  g_autoptr(GError) error = NULL;
  g_assert_false(upload_all(f, "image", made, QCOW2, RAW, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_IMAGE_REFUSED);
  g_clear_error(&error);
  g_assert_false(upload_all(f, "image", made, RAW, RAW, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_IMAGE_REFUSED);
  g_clear_error(&error);
  g_assert_false(upload_all(f, "image", made, QCOW2, RAW,
                            "0000000000000000000000000000000000000000000000000000000000000000", &error));
  storage_rig_assert_code(error, WS_ERROR_CHECKSUM_MISMATCH);
  storage_rig_assert_files(f, ".upload-image"); /* until the manager drops it */
  g_autoptr(WsRpcVolumeUploadAbort) params = ws_rpc_volume_upload_abort_new();
  params->pool = 1;
  params->file = g_strdup("image");
  g_assert_true(storage_upload_abort(f->storage, params, NULL));
  g_assert_true(storage_upload_abort(f->storage, params, NULL)); /* repeated */
  storage_rig_assert_files(f, "");
}

static void linked_child_is_not_downloaded(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "base", MIB, QCOW2, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(storage_rig_create(f, "child", MIB, QCOW2, THIN, "base", NULL, NULL, &error));
  g_assert_null(storage_download_source(f->storage, 1, "child", QCOW2, &error));
  storage_rig_assert_code(error, WS_ERROR_UNSUPPORTED);
}

/* ---- from host to host ---- */

/* Carries f's file into the other one's pool. `spoil`: the piece that arrives with another byte than it left with; -1: none. */
static bool carry(StorageRig *from, const char *file, int source_format, StorageRig *to, const char *target, int format, int provisioning, gint64 size,
                  int spoil, gint64 *allocated, GError **error)
{
  g_autoptr(VolumeLeave) leave = storage_leave(from->storage, 1, file, source_format, error);
  g_autoptr(VolumeArrival) arrival =
      leave ? storage_arrive(to->storage, 1, target, format, provisioning, (guint64)size, NULL, error) : NULL;
  if (!arrival)
    return false;
  for (guint i = 0; i < volume_leave_n_files(leave); i++) {
    guint64 bytes, data_bytes;
    const char *name = volume_leave_file(leave, i, &bytes, &data_bytes);
    if (!volume_arrival_file(arrival, name, bytes, data_bytes, error))
      return false;
  }
  VolumePiece piece;
  for (int n = 0; volume_leave_next(leave, &piece, error) && piece.n; n++) {
    g_autofree char *sha256 = ws_sha256_hex(piece.bytes, piece.n);
    if (n == spoil)
      ((char *)piece.bytes)[0] ^= 1;
    if (!volume_arrival_piece(arrival, &piece, sha256, error))
      return false;
  }
  return volume_arrival_finish(arrival, source_format, NULL, allocated, error);
}

static void assert_carried(StorageRig *from, const char *file, StorageRig *to, const char *target)
{
  g_autofree char *source = storage_rig_path(from, file), *copy = storage_rig_path(to, target);
  const char *compare[] = {"qemu-img", "compare", "-q", source, copy, NULL};
  storage_rig_run_tool(compare);
}

static void volume_goes_to_another_host_with_every_byte(StorageRig *f, gconstpointer data)
{
  StorageRig other = {0};
  gint64 allocated = 0;
  storage_rig_set_up(&other, NULL);
  storage_rig_must_create(f, "raw", 64 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "raw", 0, 100000);
  storage_rig_write_pattern(f, "raw", 33 * MIB + 5, 9000000); /* more than one piece */
  g_autoptr(GError) error = NULL;
  carry(f, "raw", 2, &other, "there", 2, 1, 64 * MIB, -1, &allocated, &error);
  g_assert_no_error(error);
  assert_carried(f, "raw", &other, "there");
  g_assert_cmpint(allocated, <, 20 * MIB); /* holes stay holes */
  storage_rig_assert_files(&other, "there");
  carry(f, "raw", 2, &other, "there", 2, 1, 64 * MIB, -1, &allocated, &error); /* a repeated one is made anew */
  g_assert_no_error(error);
  carry(f, "raw", 2, &other, "thick", 1, 3, 64 * MIB, -1, &allocated, &error);
  g_assert_no_error(error);
  assert_carried(f, "raw", &other, "thick");
  g_assert_cmpint(allocated, >=, 64 * MIB);
  storage_rig_tear_down(&other, NULL);
}

static void linked_child_arrives_whole_and_alone(StorageRig *f, gconstpointer data)
{
  StorageRig other = {0};
  gint64 allocated;
  storage_rig_set_up(&other, NULL);
  g_autoptr(GError) error = NULL;
  storage_rig_must_create(f, "parent", 8 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "parent", MIB, 300000);
  g_assert_true(storage_rig_clone(f, "parent", RAW, "base", QCOW2, THIN, 0, &error));
  storage_rig_create(f, "child", 8 * MIB, QCOW2, THIN, "base", NULL, NULL, &error);
  g_assert_no_error(error);
  carry(f, "child", 1, &other, "alone", 1, 1, 8 * MIB, -1, &allocated, &error);
  g_assert_no_error(error);
  assert_carried(f, "child", &other, "alone");
  g_autoptr(WsRpcVolumeInfoResult) there = storage_rig_info(&other, "alone", 1, &error);
  g_assert_null(there->parent_file);
  storage_rig_assert_files(&other, "alone");
  storage_rig_tear_down(&other, NULL);
}

static void spoilt_piece_is_refused_and_nothing_stays(StorageRig *f, gconstpointer data)
{
  gint64 allocated;
  StorageRig other = {0};
  storage_rig_set_up(&other, NULL);
  storage_rig_must_create(f, "raw", 16 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "raw", 0, 9000000);
  g_autoptr(GError) error = NULL;
  g_assert_false(carry(f, "raw", 2, &other, "there", 2, 1, 16 * MIB, 1, &allocated, &error));
  storage_rig_assert_code(error, WS_ERROR_CHECKSUM_MISMATCH);
  storage_rig_assert_files(&other, "");
  g_autofree char *path = storage_rig_path(&other, NULL);
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));)
    g_assert_cmpstr(name, ==, ".winsphere-pool");
  storage_rig_tear_down(&other, NULL);
}

static void leaving_volume_cannot_be_written(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  storage_rig_must_create(f, "raw", MIB, RAW, THIN, NULL);
  VolumeLeave *leave = storage_leave(f->storage, 1, "raw", 2, &error);
  g_assert_no_error(error);
  g_autofree char *path = storage_rig_path(f, "raw");
  g_autofree char *quoted = g_strdup_printf("write 0 512");
  const char *argv[] = {"qemu-io", "-f", "raw", "-c", quoted, path, NULL};
  int status = 0;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                             NULL, NULL, NULL, &status, NULL));
  g_assert_cmpint(status, !=, 0);
  volume_leave_free(leave);
  storage_rig_run_tool(argv);
  int fd = storage_rig_hold_as_qemu(f, "raw", true);
  g_assert_null(storage_leave(f->storage, 1, "raw", 2, &error));
  storage_rig_assert_code(error, WS_ERROR_IN_USE);
  close(fd);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_exec_as_on_old_kernel = storage_as_on_old_kernel = g_strcmp0(g_getenv("KERNEL"), "old") == 0;
  TEST(broken_upload_goes_on_where_it_was);
  TEST(upload_is_converted_to_the_wanted_format);
  TEST(conversion_is_far_from_its_limit_of_memory);
  TEST(upload_that_is_not_what_it_says_is_refused);
  TEST(linked_child_is_not_downloaded);
  TEST(volume_goes_to_another_host_with_every_byte);
  TEST(linked_child_arrives_whole_and_alone);
  TEST(spoilt_piece_is_refused_and_nothing_stays);
  TEST(leaving_volume_cannot_be_written);
  return g_test_run();
}
