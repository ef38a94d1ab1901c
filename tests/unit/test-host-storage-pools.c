// SPDX-License-Identifier: Apache-2.0
/* Pools of a host, on real directories: what is taken for one, what is told of it. */
#include "base/confine-private.h"
#include "host/storage/pool_dir.h"
#include "host/storage/pool_inspect.h"
#include "storage-rig.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- pools ---- */

static void pool_refuses_path_outside_its_roots(StorageRig *f, gconstpointer data)
{
  const char *paths[] = {"/etc/pool", "/", f->root, f->top};
  for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(storage_rig_prepare(f, 2, paths[i], STORAGE_RIG_UUID_B, true, &error));
    storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
  }
  g_autofree char *sly = g_strconcat(f->root, "-else/p", NULL);
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_prepare(f, 2, sly, STORAGE_RIG_UUID_B, true, &error));
  storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
}

static void pool_refuses_symbolic_link_in_its_path(StorageRig *f, gconstpointer data)
{
  g_autofree char *link = g_build_filename(f->root, "link", NULL), *path = g_build_filename(link, "x", NULL);
  g_assert_cmpint(symlink(f->top, link), ==, 0);
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_prepare(f, 2, path, STORAGE_RIG_UUID_B, true, &error));
  storage_rig_assert_code(error, WS_ERROR_IO_ERROR);
  g_autofree char *outside = g_build_filename(f->top, "x", NULL);
  g_assert_false(g_file_test(outside, G_FILE_TEST_EXISTS));
}

static void pool_refuses_another_identity(StorageRig *f, gconstpointer data)
{
  g_autofree char *path = storage_rig_path(f, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(storage_rig_prepare(f, 1, path, STORAGE_RIG_UUID_A, true, &error)); /* repeated: the same */
  g_assert_false(storage_rig_prepare(f, 1, path, STORAGE_RIG_UUID_B, true, &error));
  storage_rig_assert_code(error, WS_ERROR_ALREADY_EXISTS);
}

static void pool_is_not_taken_for_an_unmarked_folder(StorageRig *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename(f->root, "empty", NULL);
  g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_prepare(f, 2, path, STORAGE_RIG_UUID_B, false, &error));
  storage_rig_assert_code(error, WS_ERROR_NOT_FOUND);
}

static void pool_refuses_folder_that_others_write(StorageRig *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename(f->root, "open", NULL);
  static const mode_t modes[] = {0777, 0757, 0775};
  g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS(modes); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(g_chmod(path, modes[i]), ==, 0);
    g_assert_false(storage_rig_prepare(f, 2, path, STORAGE_RIG_UUID_B, true, &error));
    storage_rig_assert_code(error, WS_ERROR_BAD_VALUE);
  }
}

static void pool_refuses_to_lie_in_another(StorageRig *f, gconstpointer data)
{
  g_autofree char *inner = storage_rig_path(f, "inner");
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_prepare(f, 2, inner, STORAGE_RIG_UUID_B, true, &error));
  storage_rig_assert_code(error, WS_ERROR_IN_USE);
}

static void pool_is_known_after_a_restart_and_swept(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1.raw", MIB, RAW, THIN, NULL);
  g_autofree char *ours = storage_rig_new_name(f, "vol-2.raw");
  g_autofree char *leftover = storage_rig_path(f, ours), *upload = storage_rig_path(f, ".upload-vol-3.raw");
  g_autofree char *theirs = storage_rig_path(f, ".new-00000000-vol-4.raw"); /* of another host, at work */
  g_assert_true(g_file_set_contents(leftover, "x", 1, NULL));
  g_assert_true(g_file_set_contents(theirs, "x", 1, NULL));
  g_assert_true(g_file_set_contents(upload, "x", 1, NULL));
  storage_rig_restart(f, false);
  storage_rig_assert_files(f, ".new-00000000-vol-4.raw,.upload-vol-3.raw,vol-1.raw");
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeInfoResult) r = storage_rig_info(f, "vol-1.raw", RAW, &error);
  g_assert_no_error(error);
  g_assert_true(r->exists);
}

static void pool_that_lost_its_mount_is_unreachable(StorageRig *f, gconstpointer data)
{
  g_autofree char *mark = storage_rig_path(f, ".winsphere-pool");
  g_assert_cmpint(g_unlink(mark), ==, 0);
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_create(f, "vol-1.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_WRONG_STATE);
  g_assert_cmpstr(ws_error_param(error, "state"), ==, "unreachable");
  WsRpcPoolRefreshResult *r = NULL;
  g_assert_true(storage_pool_refresh(f->storage, 1, &r, NULL));
  g_assert_cmpint(r->status->state, ==, WS_POOL_STATUS_STATE_UNREACHABLE);
  ws_rpc_pool_refresh_result_free(r);
}

static void suspended_pool_bars_use(StorageRig *f, gconstpointer data)
{
  g_autoptr(WsRpcPoolPrepare) params = ws_rpc_pool_prepare_new();
  params->pool = 1;
  params->path = storage_rig_path(f, NULL);
  params->uuid = g_strdup(STORAGE_RIG_UUID_A);
  params->suspended = true;
  g_autoptr(WsPoolStatus) status = NULL;
  g_assert_true(storage_pool_prepare(f->storage, params, &status, NULL));
  g_assert_cmpint(status->state, ==, WS_POOL_STATUS_STATE_SUSPENDED);
  storage_rig_restart(f, false); /* and stays so */
  g_autoptr(GError) error = NULL;
  g_assert_false(storage_rig_create(f, "vol-1.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  g_assert_cmpstr(ws_error_param(error, "state"), ==, "suspended");
}

static void removed_pool_keeps_its_files(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "vol-1.raw", MIB, RAW, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(storage_pool_remove(f->storage, 1, false, &error));
  g_assert_true(storage_pool_remove(f->storage, 1, false, &error)); /* repeated */
  storage_rig_assert_files(f, "vol-1.raw");
  g_assert_false(storage_rig_create(f, "vol-2.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_NOT_FOUND);
}

static void pool_of_other_hosts_keeps_its_identity(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *mark = storage_rig_path(f, ".winsphere-pool");
  g_assert_true(storage_pool_remove(f->storage, 1, true, &error));
  g_assert_no_error(error);
  g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
}

static void pools_that_are_not_kept_are_forgotten(StorageRig *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  WsId kept[] = {1};
  WsRpcPoolKeep all = {.pools = {.len = 1, .items = kept}}, none = {0};
  guint64 came_at = storage_pool_moment(f->storage);
  g_assert_true(storage_pool_keep(f->storage, &all, came_at, &error));
  g_assert_no_error(error);
  g_autofree char *later = g_build_filename(f->root, "later", NULL);
  g_assert_true(storage_rig_prepare(f, 2, later, STORAGE_RIG_UUID_B, true, &error));
  g_assert_true(storage_pool_keep(f->storage, &all, came_at, &error)); /* obeyed late: this pool is newer than the list */
  g_assert_no_error(error);
  g_autoptr(WsRpcPoolRefreshResult) there = NULL;
  storage_pool_refresh(f->storage, 2, &there, &error);
  g_assert_no_error(error);
  storage_rig_must_create(f, "vol-1.raw", MIB, RAW, THIN, NULL);
  g_assert_true(storage_pool_keep(f->storage, &none, storage_pool_moment(f->storage), &error));
  g_assert_no_error(error);
  storage_rig_restart(f, false);
  g_assert_false(storage_rig_create(f, "vol-2.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  storage_rig_assert_code(error, WS_ERROR_NOT_FOUND);
  storage_rig_assert_files(f, "vol-1.raw");
}

static void removed_empty_pool_leaves_nothing(StorageRig *f, gconstpointer data)
{
  g_autofree char *path = storage_rig_path(f, NULL);
  g_assert_true(storage_pool_remove(f->storage, 1, false, NULL));
  g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void refresh_lists_what_is_there(StorageRig *f, gconstpointer data)
{
  storage_rig_must_create(f, "a.qcow2", MIB, QCOW2, THIN, NULL);
  storage_rig_must_create(f, "b.raw", MIB, RAW, EAGER, NULL);
  WsRpcPoolRefreshResult *r = NULL;
  g_assert_true(storage_pool_refresh(f->storage, 1, &r, NULL));
  g_assert_cmpuint(r->files.len, ==, 2);
  for (guint i = 0; i < 2; i++) {
    WsPoolFile *file = r->files.items[i];
    bool is_a = g_str_equal(file->file, "a.qcow2");
    g_assert_cmpint(file->format, ==, is_a ? WS_POOL_FILE_FORMAT_QCOW2 : WS_POOL_FILE_FORMAT_RAW);
    g_assert_cmpint(file->size_bytes, ==, MIB);
  }
  g_assert_cmpint(r->status->allocated_bytes, >=, MIB);
  ws_rpc_pool_refresh_result_free(r);
}

/* ---- watching ---- */

static void outside_changes_are_told_own_ones_are_not(StorageRig *f, gconstpointer data)
{
  g_assert_true(storage_rig_wait_for_event(f, "state active", 200000));
  g_autofree char *stranger = storage_rig_path(f, "stranger");
  /* the first look only takes note; wait until it has */
  for (guint i = 0; i < 600 && !storage_rig_wait_for_event(f, "appeared stranger", 200); i++) {
    g_unlink(stranger);
    g_assert_true(g_file_set_contents(stranger, "x", 1, NULL));
  }
  storage_rig_must_create(f, "vol-1", MIB, RAW, THIN, NULL);
  g_assert_true(storage_rig_delete(f, "vol-1", false, NULL));
  storage_rig_must_create(f, "vol-2", MIB, RAW, THIN, NULL);
  g_assert_cmpint(g_unlink(stranger), ==, 0);
  g_assert_true(storage_rig_wait_for_event(f, "vanished stranger", 200000));
  g_autofree char *lost = storage_rig_path(f, "vol-2"), *mark = storage_rig_path(f, ".winsphere-pool");
  g_assert_cmpint(g_unlink(lost), ==, 0);
  g_assert_true(storage_rig_wait_for_event(f, "vanished vol-2", 200000));
  g_assert_cmpint(g_unlink(mark), ==, 0);
  g_assert_true(storage_rig_wait_for_event(f, "state unreachable", 200000));
  for (guint i = 0; i < f->events->len; i++) {
    g_assert_cmpstr(f->events->pdata[i], !=, "appeared vol-1");
    g_assert_cmpstr(f->events->pdata[i], !=, "vanished vol-1");
    g_assert_cmpstr(f->events->pdata[i], !=, "appeared vol-2");
  }
}

/* ---- a file system that does not answer ---- */

static struct {
  GMutex lock;
  GCond changed;
  bool hangs;
  guint inside; /* threads that hang */
} silence;

/* In pool 1 alone, in the middle of a listing. */
static void hang_in_pool_1(const char *path)
{
  if (!g_str_has_suffix(path, "/p"))
    return;
  g_mutex_lock(&silence.lock);
  silence.inside++;
  g_cond_broadcast(&silence.changed);
  while (silence.hangs)
    g_cond_wait(&silence.changed, &silence.lock);
  silence.inside--;
  g_mutex_unlock(&silence.lock);
}

static void set_hangs(bool hangs)
{
  g_mutex_lock(&silence.lock);
  silence.hangs = hangs;
  g_cond_broadcast(&silence.changed);
  g_mutex_unlock(&silence.lock);
}

static guint threads_inside(guint at_least)
{
  g_mutex_lock(&silence.lock);
  while (silence.inside < at_least)
    g_cond_wait(&silence.changed, &silence.lock);
  guint n = silence.inside;
  g_mutex_unlock(&silence.lock);
  return n;
}

static void forget_events(StorageRig *f)
{
  g_mutex_lock(&f->lock);
  g_ptr_array_set_size(f->events, 0);
  g_mutex_unlock(&f->lock);
}

static void hang_and_hint(StorageRig *f)
{
  g_autofree char *hint = storage_rig_path(f, "hint");
  forget_events(f);
  set_hangs(true);
  for (guint i = 0; i < 600 && !storage_rig_wait_for_event(f, "state unreachable", 200); i++) {
    g_unlink(hint);
    g_assert_true(g_file_set_contents(hint, "x", 1, NULL));
  }
  g_assert_true(storage_rig_wait_for_event(f, "state unreachable", 0));
  g_assert_cmpuint(threads_inside(1), ==, 1);
}

static void pool_that_hangs_in_a_listing_holds_up_no_other(StorageRig *f, gconstpointer data)
{
  g_autofree char *second = g_build_filename(f->root, "q", NULL), *stranger = g_build_filename(second, "stranger", NULL);
  g_autoptr(GError) error = NULL;
  pool_reach_wait_ms = 2000; /* longer than a busy machine takes for a listing */
  inspection_seam = hang_in_pool_1;
  storage_rig_prepare(f, 2, second, STORAGE_RIG_UUID_B, true, &error);
  g_assert_no_error(error);
  g_assert_true(storage_rig_wait_for_event(f, "state active", 200000));
  hang_and_hint(f);
  for (guint i = 0; i < 600 && !storage_rig_wait_for_event(f, "appeared stranger", 200); i++) {
    g_unlink(stranger);
    g_assert_true(g_file_set_contents(stranger, "x", 1, NULL));
  }
  g_assert_true(storage_rig_wait_for_event(f, "appeared stranger", 0));

  g_autoptr(WsRpcPoolRefreshResult) seen = NULL;
  g_assert_true(storage_pool_refresh(f->storage, 1, &seen, &error));
  g_assert_cmpint(seen->status->state, ==, WS_POOL_STATUS_STATE_UNREACHABLE);
  g_assert_nonnull(strstr(seen->status->reason, "does not answer"));
  g_assert_cmpuint(threads_inside(1), ==, 1); /* nobody was sent after it */

  forget_events(f);
  set_hangs(false);
  g_assert_true(storage_rig_wait_for_event(f, "state active", 200000));
  hang_and_hint(f);
  storage_rig_restart(f, false); /* the agent ends all the same */
  set_hangs(false);
  inspection_seam = NULL;
  pool_reach_wait_ms = 5000;
}

/* ---- a name is given once ---- */

static void published_file_takes_no_name_that_another_has(StorageRig *f, gconstpointer data)
{
  g_autofree char *from = storage_rig_path(f, "from"), *to = storage_rig_path(f, "to"), *folder = storage_rig_path(f, NULL);
  g_autofree char *content = NULL;
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_true(g_file_set_contents(from, "new", -1, NULL) && g_file_set_contents(to, "old", -1, NULL));
  g_assert_false(pool_dir_publish(fd, "from", fd, "to"));
  g_assert_cmpint(errno, ==, EEXIST);
  g_assert_true(g_file_get_contents(to, &content, NULL, NULL));
  g_assert_cmpstr(content, ==, "old");
  g_assert_cmpint(g_unlink(to), ==, 0);
  g_assert_true(pool_dir_publish(fd, "from", fd, "to"));
  g_assert_cmpint(g_access(from, F_OK), !=, 0);
  if (storage_as_on_old_kernel) { /* a server that was asked twice */
    g_assert_cmpint(link(to, from), ==, 0);
    g_assert_true(pool_dir_publish(fd, "from", fd, "to"));
    g_assert_cmpint(g_access(from, F_OK), !=, 0);
  }
  close(fd);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_exec_as_on_old_kernel = storage_as_on_old_kernel = g_strcmp0(g_getenv("KERNEL"), "old") == 0;
  TEST(pool_refuses_path_outside_its_roots);
  TEST(pool_refuses_symbolic_link_in_its_path);
  TEST(pool_refuses_another_identity);
  TEST(pool_is_not_taken_for_an_unmarked_folder);
  TEST(pool_refuses_folder_that_others_write);
  TEST(pool_refuses_to_lie_in_another);
  TEST(pool_is_known_after_a_restart_and_swept);
  TEST(pool_that_lost_its_mount_is_unreachable);
  TEST(suspended_pool_bars_use);
  TEST(removed_pool_keeps_its_files);
  TEST(pool_of_other_hosts_keeps_its_identity);
  TEST(pools_that_are_not_kept_are_forgotten);
  TEST(removed_empty_pool_leaves_nothing);
  TEST(refresh_lists_what_is_there);
  TEST(published_file_takes_no_name_that_another_has);
  WATCHED_TEST(pool_that_hangs_in_a_listing_holds_up_no_other);
  WATCHED_TEST(outside_changes_are_told_own_ones_are_not);
  return g_test_run();
}
