// SPDX-License-Identifier: Apache-2.0
/* Calls that end half-way: cancelled, killed, out of space. */
#include "base/confine-private.h"
#include "host/storage/pool_dir.h"
#include "storage-rig.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- running out of space, being cancelled ---- */

typedef struct {
  StorageRig *f;
  gint cancel;
  bool fill, stop;
} Meddler;

static void meddle(gint64 done, gint64 total, void *arg)
{
  Meddler *m = arg;
  if (m->stop)
    g_atomic_int_set(&m->cancel, 1);
  if (!m->fill)
    return;
  m->fill = false; /* somebody else takes all the space */
  g_autofree char *path = storage_rig_path(m->f, "other"), *block = g_malloc0(65536);
  int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  while (write(fd, block, 65536) > 0)
    ;
  close(fd);
}

static void cancelled_call_leaves_nothing(StorageRig *f, gconstpointer data)
{
  Meddler m = {.f = f, .stop = true};
  StorageOp op = {.progress = meddle, .arg = &m, .cancel = &m.cancel};
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_create(f, "vol-1", 64 * MIB, RAW, EAGER, NULL, &op, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_CANCELLED);
  storage_rig_assert_files(f, "");
}

static void die_in_the_middle(gint64 done, gint64 total, void *arg)
{
  if (done > total / 3)
    kill(getpid(), SIGKILL);
}

/* A power failure in the middle of a call, in a process of its own. */
static void killed_call_leaves_no_file_under_its_name(StorageRig *f, gconstpointer data)
{
  static const int formats[] = {RAW, QCOW2};
  for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
    storage_free(f->storage);
    pid_t child = fork();
    if (child == 0) {
      storage_rig_start(f, false);
      StorageOp op = {.progress = die_in_the_middle};
      storage_rig_create(f, "vol-1", 64 * MIB, formats[i], EAGER, NULL, &op, NULL, NULL);
      _exit(0);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_autofree char *unfinished = storage_rig_new_name(f, "vol-1");
    storage_rig_assert_files(f, unfinished);
    storage_rig_start(f, false);
    storage_rig_assert_files(f, "");
    gint64 allocated = -1;
    storage_rig_must_create(f, "vol-1", 64 * MIB, formats[i], EAGER, &allocated); /* taken again */
    g_assert_cmpint(allocated, >=, 64 * MIB);
    g_assert_true(storage_rig_delete(f, "vol-1", false, NULL));
  }
}

/* The pool on a file system of 24 MiB, in a mount namespace of this process. */
static bool mount_small(StorageRig *f)
{
  g_autofree char *path = g_build_filename(f->root, "small", NULL);
  g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
  if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      mount("small", path, "tmpfs", 0, "size=24m,mode=0755") < 0) {
    g_test_skip("mounting is not permitted here");
    return false;
  }
  g_assert_true(storage_pool_remove(f->storage, 1, false, NULL));
  g_autoptr(GError) error = NULL;
  storage_rig_prepare(f, 1, path, STORAGE_RIG_UUID_B, true, &error);
  g_assert_no_error(error);
  g_autofree char *old = storage_rig_path(f, NULL);
  g_assert_cmpint(symlink("small", old), ==, 0); /* so that the helpers find it under "p" */
  return true;
}

static void unmount_small(StorageRig *f)
{
  g_autofree char *path = g_build_filename(f->root, "small", NULL);
  storage_pool_remove(f->storage, 1, false, NULL);
  g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
}

static void full_pool_is_refused_early(StorageRig *f, gconstpointer data)
{
  if (!mount_small(f))
    return;
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_create(f, "vol-1", 64 * MIB, RAW, EAGER, NULL, NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_NO_CAPACITY);
  g_assert_cmpstr(ws_error_param(error, "need"), ==, "64.0 MiB");
  g_clear_error(&error);
  g_assert_false(storage_rig_create(f, "vol-1", 64 * MIB, QCOW2, LAZY, NULL, NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_NO_CAPACITY);
  storage_rig_assert_files(f, "");
  g_autoptr(GError) none = NULL;
  storage_rig_must_create(f, "vol-2", 64 * MIB, RAW, THIN, NULL); /* promised, not taken */
  unmount_small(f);
}

static void pool_that_fills_up_in_the_middle_is_undone(StorageRig *f, gconstpointer data)
{
  if (!mount_small(f))
    return;
  storage_rig_must_create(f, "source", 12 * MIB, RAW, EAGER, NULL);
  /* the kernel would reserve all at once: copy instead, and let another writer take the rest */
  Meddler m = {.f = f, .fill = true};
  StorageOp op = {.progress = meddle, .arg = &m, .cancel = &m.cancel};
  g_autoptr(WsRpcVolumeUploadOpen) open_params = ws_rpc_volume_upload_open_new();
  open_params->pool = 1;
  open_params->file = g_strdup("vol-3");
  open_params->total_bytes = 10 * MIB;
  g_autoptr(WsRpcVolumeUploadOpenResult) opened = NULL;
  g_assert_true(storage_upload_open(f->storage, open_params, &opened, NULL));
  g_autoptr(GError) error = NULL;
  UploadSink *sink = storage_upload_sink(f->storage, 1, "vol-3", &error);
  g_assert_no_error(error);
  g_autofree char *chunk = g_malloc0(STORAGE_CHUNK_BYTES);
  meddle(0, 0, &m);
  g_assert_false(upload_sink_write(sink, 0, chunk, STORAGE_CHUNK_BYTES, &error));
  storage_rig_assert_code(error, WS_ERROR_NO_CAPACITY);
  g_assert_cmpuint(upload_sink_received(sink), ==, 0);
  g_clear_error(&error);
  g_autofree char *other = storage_rig_path(f, "other");
  g_assert_cmpint(g_unlink(other), ==, 0);
  upload_sink_write(sink, 0, chunk, STORAGE_CHUNK_BYTES, &error); /* goes on when there is room again */
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeUploadAbort) abort_params = ws_rpc_volume_upload_abort_new();
  abort_params->pool = 1;
  abort_params->file = g_strdup("vol-3");
  g_assert_true(storage_upload_abort(f->storage, abort_params, NULL));
  g_clear_pointer(&sink, upload_sink_free); /* its descriptor keeps the space until then */

  g_assert_true(storage_rig_create(f, "vol-2", 4 * MIB, RAW, EAGER, NULL, &op, NULL, NULL));
  m.fill = true;
  meddle(0, 0, &m);
  g_assert_false(storage_rig_clone(f, "vol-2", RAW, "copy", QCOW2, THIN, 0, &error));
  storage_rig_assert_code(error, WS_ERROR_NO_CAPACITY);
  storage_rig_assert_files(f, "other,source,vol-2");
  unmount_small(f);
}

/* ---- a VM that is exported ---- */

static void cancelled_export_leaves_nothing(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1", 64 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "vol-1", MIB, 8 * MIB);
  Meddler m = {.f = f, .stop = true};
  StorageOp op = {.progress = meddle, .arg = &m, .cancel = &m.cancel};
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  g_assert_false(storage_rig_export(f, "vol-2.ova", &op, &result, &error, "vol-1", RAW, NULL));
  storage_rig_assert_code(error, WS_ERROR_CANCELLED);
  storage_rig_assert_files(f, "vol-1");
}

typedef struct {
  gint64 at; /* of 100 */
} Death;

static void die_at(gint64 done, gint64 total, void *arg)
{
  if (done * 100 >= total * ((const Death *)arg)->at)
    kill(getpid(), SIGKILL);
}

/* While a disk is packed, while it is taken in, while the whole is read back. */
static void killed_export_leaves_what_is_swept(StorageRig *f, gconstpointer data)
{
  static const gint64 moments[] = {1, 51, 76, 100};
  storage_rig_must_create(f, "vol-1", 64 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "vol-1", MIB, 8 * MIB);
  for (guint i = 0; i < G_N_ELEMENTS(moments); i++) {
    storage_free(f->storage);
    pid_t child = fork();
    if (child == 0) {
      storage_rig_start(f, false);
      Death death = {moments[i]};
      StorageOp op = {.progress = die_at, .arg = &death};
      g_autoptr(WsRpcVolumeExportResult) result = NULL;
      storage_rig_export(f, "vol-2.ova", &op, &result, NULL, "vol-1", RAW, NULL);
      _exit(0);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_autofree char *archive = storage_rig_new_name(f, "vol-2.ova"), *folder = storage_rig_new_name(f, "export-vol-2.ova");
    g_autofree char *unfinished = g_strjoin(",", folder, archive, "vol-1", NULL);
    storage_rig_assert_files(f, unfinished);
    storage_rig_start(f, false);
    storage_rig_assert_files(f, "vol-1");
  }
}

static void export_that_does_not_fit_is_refused_early(StorageRig *f, gconstpointer data)
{
  if (!mount_small(f))
    return;
  storage_rig_must_create(f, "vol-1", 16 * MIB, RAW, EAGER, NULL);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  g_assert_false(storage_rig_export(f, "vol-2.ova", NULL, &result, &error, "vol-1", RAW, NULL));
  storage_rig_assert_code(error, WS_ERROR_NO_CAPACITY);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "pool-1");
  g_assert_cmpstr(ws_error_param(error, "need"), ==, "39.0 MiB");
  storage_rig_assert_files(f, "vol-1");
  unmount_small(f);
}

/* What its file takes says nothing: room is needed for what is in it. */
static void export_of_a_compressed_disk_is_refused_by_its_data(StorageRig *f, gconstpointer data)
{
  if (!mount_small(f))
    return;
  storage_rig_must_create(f, "plain", 16 * MIB, RAW, THIN, NULL);
  storage_rig_write_pattern(f, "plain", 0, 16 * MIB);
  g_autofree char *plain = storage_rig_path(f, "plain"), *disk = storage_rig_path(f, "vol-1");
  storage_rig_run_tool((const char *[]){"qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", plain, disk, NULL});
  g_assert_cmpint(g_unlink(plain), ==, 0);
  struct stat facts;
  g_assert_cmpint(stat(disk, &facts), ==, 0);
  g_assert_cmpint(facts.st_blocks * 512, <, 2 * MIB);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  g_assert_false(storage_rig_export(f, "vol-2.ova", NULL, &result, &error, "vol-1", QCOW2, NULL));
  storage_rig_assert_code(error, WS_ERROR_NO_CAPACITY);
  storage_rig_assert_files(f, "vol-1");
  unmount_small(f);
}

static void export_into_a_pool_that_fills_up_says_so(StorageRig *f, gconstpointer data)
{
  if (!mount_small(f))
    return;
  storage_rig_must_create(f, "vol-1", 4 * MIB, RAW, THIN, NULL);
  storage_rig_write_random(f, "vol-1", 4 * MIB);
  Meddler m = {.f = f, .fill = true};
  StorageOp op = {.progress = meddle, .arg = &m};
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  g_assert_false(storage_rig_export(f, "vol-2.ova", &op, &result, &error, "vol-1", RAW, NULL));
  storage_rig_assert_code(error, WS_ERROR_NO_CAPACITY);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "pool-1");
  storage_rig_assert_files(f, "other,vol-1");
  unmount_small(f);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_exec_as_on_old_kernel = storage_as_on_old_kernel = g_strcmp0(g_getenv("KERNEL"), "old") == 0;
  TEST(cancelled_call_leaves_nothing);
  TEST(killed_call_leaves_no_file_under_its_name);
  TEST(full_pool_is_refused_early);
  TEST(pool_that_fills_up_in_the_middle_is_undone);
  TEST(cancelled_export_leaves_nothing);
  TEST(killed_export_leaves_what_is_swept);
  TEST(export_that_does_not_fit_is_refused_early);
  TEST(export_of_a_compressed_disk_is_refused_by_its_data);
  TEST(export_into_a_pool_that_fills_up_says_so);
  return g_test_run();
}
