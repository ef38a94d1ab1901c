// SPDX-License-Identifier: Apache-2.0
/* Pools and volumes of a host, on real directories and with the real qemu-img. */
#include "base/confine-private.h"
#include "base/error.h"
#include "base/hash.h"
#include "host/storage/image_header.h"
#include "host/storage/pool_dir.h"
#include "host/storage/storage.h"
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

#define MIB (G_GINT64_CONSTANT(1) << 20)
static const char uuid_a[] = "0d4f7a52-6a2b-4d8e-9a35-2f6d3c1b0a01",
                  uuid_b[] = "7b1e0c44-11d2-4f0c-8e57-90ab12cd34ef";

typedef struct {
  char *top, *root, *state;
  Storage *storage;
  GMutex lock;
  GCond changed;
  GPtrArray *events; /* "appeared x", "vanished x", "state N" */
} Fixture;

static void on_changed(WsId pool, const WsPoolStatus *status, const char *const *appeared,
                       const char *const *vanished, void *arg)
{
  Fixture *f = arg;
  g_mutex_lock(&f->lock);
  g_ptr_array_add(f->events, g_strdup_printf("state %s", ws_pool_status_state_names[status->state - 1]));
  for (; appeared && *appeared; appeared++)
    g_ptr_array_add(f->events, g_strconcat("appeared ", *appeared, NULL));
  for (; vanished && *vanished; vanished++)
    g_ptr_array_add(f->events, g_strconcat("vanished ", *vanished, NULL));
  g_cond_broadcast(&f->changed);
  g_mutex_unlock(&f->lock);
}

static bool wait_for_event(Fixture *f, const char *event, guint timeout_ms)
{
  gint64 deadline = g_get_monotonic_time() + timeout_ms * 1000;
  bool found = false, waiting = true;
  g_mutex_lock(&f->lock);
  while (!found && waiting) {
    for (guint i = 0; i < f->events->len; i++)
      found |= g_str_equal(f->events->pdata[i], event);
    if (!found)
      waiting = g_cond_wait_until(&f->changed, &f->lock, deadline);
  }
  g_mutex_unlock(&f->lock);
  return found;
}

static void start(Fixture *f, bool watch)
{
  const char *roots[] = {f->root, NULL};
  StorageConfig config = {.state_dir = f->state,
                          .allowed_roots = roots,
                          .clock = ws_clock_system(),
                          .watch_interval_ms = 50,
                          .changed = watch ? on_changed : NULL,
                          .changed_arg = f};
  g_autoptr(GError) error = NULL;
  f->storage = storage_new(&config, &error);
  g_assert_no_error(error);
}

static void restart(Fixture *f, bool watch)
{
  storage_free(f->storage);
  start(f, watch);
}

static bool prepare(Fixture *f, WsId id, const char *path, const char *uuid, bool create, GError **error)
{
  g_autoptr(WsRpcPoolPrepare) params = ws_rpc_pool_prepare_new();
  params->pool = id;
  params->kind = WS_RPC_POOL_PREPARE_KIND_DIRECTORY;
  params->path = g_strdup(path);
  params->uuid = g_strdup(uuid);
  params->create = create;
  WsPoolStatus *status = NULL;
  bool ok = storage_pool_prepare(f->storage, params, &status, error);
  if (ok)
    g_assert_cmpint(status->capacity_bytes, >, 0);
  ws_pool_status_free(status);
  return ok;
}

static char *pool_path(Fixture *f, const char *name)
{
  return g_build_filename(f->root, "p", name, NULL);
}

static void set_up(Fixture *f, gconstpointer data)
{
  f->top = g_dir_make_tmp("ws-storage-XXXXXX", NULL);
  f->root = g_build_filename(f->top, "pools", NULL);
  f->state = g_build_filename(f->top, "state", NULL);
  g_assert_cmpint(g_mkdir(f->state, 0700), ==, 0);
  g_mutex_init(&f->lock);
  g_cond_init(&f->changed);
  f->events = g_ptr_array_new_with_free_func(g_free);
  start(f, data != NULL);
  g_autofree char *path = pool_path(f, NULL);
  g_autoptr(GError) error = NULL;
  prepare(f, 1, path, uuid_a, true, &error);
  g_assert_no_error(error);
}

static void remove_tree(const char *path)
{
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  const char *name;
  while (dir && (name = g_dir_read_name(dir))) {
    g_autofree char *child = g_build_filename(path, name, NULL);
    if (g_file_test(child, G_FILE_TEST_IS_DIR) && !g_file_test(child, G_FILE_TEST_IS_SYMLINK))
      remove_tree(child);
    else
      g_unlink(child);
  }
  g_rmdir(path);
}

static void tear_down(Fixture *f, gconstpointer data)
{
  storage_free(f->storage);
  remove_tree(f->top);
  g_ptr_array_unref(f->events);
  g_mutex_clear(&f->lock);
  g_cond_clear(&f->changed);
  g_free(f->top);
  g_free(f->root);
  g_free(f->state);
}

static void assert_code(GError *error, WsErrorCode code)
{
  g_assert_nonnull(error);
  if (ws_error_code(error) != code)
    g_error("%s (%s), not %s", ws_error_code_name(ws_error_code(error)), error->message,
            ws_error_code_name(code));
}

static int compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in the pool's directory, sorted, without its identity: "a,b". */
static char *list(Fixture *f)
{
  g_autofree char *path = pool_path(f, NULL);
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  const char *name;
  while ((name = g_dir_read_name(dir)))
    if (!g_str_equal(name, ".winsphere-pool"))
      g_ptr_array_add(names, g_strdup(name));
  g_ptr_array_sort(names, compare_names);
  g_ptr_array_add(names, NULL);
  return g_strjoinv(",", (char **)names->pdata);
}

static void assert_files(Fixture *f, const char *expected)
{
  g_autofree char *now = list(f);
  g_assert_cmpstr(now, ==, expected);
}

/* ---- short forms of the calls ---- */

static bool create(Fixture *f, const char *file, gint64 size, int format, int provisioning,
                   const char *parent, const StorageOp *op, gint64 *allocated, GError **error)
{
  g_autoptr(WsRpcVolumeCreate) params = ws_rpc_volume_create_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->size_bytes = size;
  params->format = (WsRpcVolumeCreateFormat)format;
  params->provisioning = (WsRpcVolumeCreateProvisioning)provisioning;
  params->parent_file = g_strdup(parent);
  params->parent_format = parent ? WS_RPC_VOLUME_CREATE_PARENT_FORMAT_QCOW2 : 0;
  WsRpcVolumeCreateResult *result = NULL;
  bool ok = storage_volume_create(f->storage, params, op, &result, error);
  if (ok && allocated)
    *allocated = result->allocated_bytes;
  ws_rpc_volume_create_result_free(result);
  return ok;
}

static void must_create(Fixture *f, const char *file, gint64 size, int format, int provisioning,
                        gint64 *allocated)
{
  g_autoptr(GError) error = NULL;
  create(f, file, size, format, provisioning, NULL, NULL, allocated, &error);
  g_assert_no_error(error);
}

static bool clone_file(Fixture *f, const char *file, int source_format, const char *target, int format,
                       int provisioning, gint64 size, GError **error)
{
  g_autoptr(WsRpcVolumeClone) params = ws_rpc_volume_clone_new();
  params->pool = params->target_pool = 1;
  params->file = g_strdup(file);
  params->source_format = (WsRpcVolumeCloneSourceFormat)source_format;
  params->target_file = g_strdup(target);
  params->format = (WsRpcVolumeCloneFormat)format;
  params->provisioning = (WsRpcVolumeCloneProvisioning)provisioning;
  params->size_bytes = size;
  WsRpcVolumeCloneResult *result = NULL;
  bool ok = storage_volume_clone(f->storage, params, NULL, &result, error);
  if (ok && size > 0)
    g_assert_cmpint(result->size_bytes, ==, size);
  ws_rpc_volume_clone_result_free(result);
  return ok;
}

static bool delete_file(Fixture *f, const char *file, bool wipe, GError **error)
{
  g_autoptr(WsRpcVolumeDelete) params = ws_rpc_volume_delete_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->wipe = wipe;
  return storage_volume_delete(f->storage, params, NULL, error);
}

static WsRpcVolumeInfoResult *info(Fixture *f, const char *file, int format, GError **error)
{
  g_autoptr(WsRpcVolumeInfo) params = ws_rpc_volume_info_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->format = (WsRpcVolumeInfoFormat)format;
  WsRpcVolumeInfoResult *result = NULL;
  storage_volume_info(f->storage, params, &result, error);
  return result;
}

static bool resize(Fixture *f, const char *file, int format, gint64 size, int provisioning, gint64 *now,
                   GError **error)
{
  g_autoptr(WsRpcVolumeResize) params = ws_rpc_volume_resize_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->format = (WsRpcVolumeResizeFormat)format;
  params->size_bytes = size;
  params->provisioning = (WsRpcVolumeResizeProvisioning)provisioning;
  WsRpcVolumeResizeResult *result = NULL;
  bool ok = storage_volume_resize(f->storage, params, NULL, &result, error);
  if (ok)
    *now = result->size_bytes;
  ws_rpc_volume_resize_result_free(result);
  return ok;
}

static void write_pattern(Fixture *f, const char *file, gint64 offset, gsize n)
{
  g_autofree char *path = pool_path(f, file), *bytes = g_malloc(n);
  for (gsize i = 0; i < n; i++)
    bytes[i] = (char)(i * 7 + i / 256 + 1);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  g_assert_cmpint(pwrite(fd, bytes, n, offset), ==, (gssize)n);
  close(fd);
}

static void assert_same_bytes(Fixture *f, const char *a, const char *b)
{
  g_autofree char *path_a = pool_path(f, a), *path_b = pool_path(f, b), *bytes_a = NULL, *bytes_b = NULL;
  gsize na, nb;
  g_assert_true(g_file_get_contents(path_a, &bytes_a, &na, NULL));
  g_assert_true(g_file_get_contents(path_b, &bytes_b, &nb, NULL));
  g_assert_cmpmem(bytes_a, na, bytes_b, nb);
}

enum { QCOW2 = IMAGE_FORMAT_QCOW2, RAW = IMAGE_FORMAT_RAW, THIN = 1, LAZY = 2, EAGER = 3 };

/* ---- pools ---- */

static void pool_refuses_path_outside_its_roots(Fixture *f, gconstpointer data)
{
  const char *paths[] = {"/etc/pool", "/", f->root, f->top};
  for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(prepare(f, 2, paths[i], uuid_b, true, &error));
    assert_code(error, WS_ERROR_BAD_VALUE);
  }
  g_autofree char *sly = g_strconcat(f->root, "-else/p", NULL);
  g_autoptr(GError) error = NULL;
  g_assert_false(prepare(f, 2, sly, uuid_b, true, &error));
  assert_code(error, WS_ERROR_BAD_VALUE);
}

static void pool_refuses_symbolic_link_in_its_path(Fixture *f, gconstpointer data)
{
  g_autofree char *link = g_build_filename(f->root, "link", NULL), *path = g_build_filename(link, "x", NULL);
  g_assert_cmpint(symlink(f->top, link), ==, 0);
  g_autoptr(GError) error = NULL;
  g_assert_false(prepare(f, 2, path, uuid_b, true, &error));
  assert_code(error, WS_ERROR_IO_ERROR);
  g_autofree char *outside = g_build_filename(f->top, "x", NULL);
  g_assert_false(g_file_test(outside, G_FILE_TEST_EXISTS));
}

static void pool_refuses_another_identity(Fixture *f, gconstpointer data)
{
  g_autofree char *path = pool_path(f, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(prepare(f, 1, path, uuid_a, true, &error)); /* repeated: the same */
  g_assert_false(prepare(f, 1, path, uuid_b, true, &error));
  assert_code(error, WS_ERROR_ALREADY_EXISTS);
}

static void pool_is_not_taken_for_an_unmarked_folder(Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename(f->root, "empty", NULL);
  g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
  g_autoptr(GError) error = NULL;
  g_assert_false(prepare(f, 2, path, uuid_b, false, &error));
  assert_code(error, WS_ERROR_NOT_FOUND);
}

static void pool_refuses_folder_that_everybody_writes(Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename(f->root, "open", NULL);
  g_assert_cmpint(g_mkdir(path, 0777), ==, 0);
  g_assert_cmpint(g_chmod(path, 0777), ==, 0);
  g_autoptr(GError) error = NULL;
  g_assert_false(prepare(f, 2, path, uuid_b, true, &error));
  assert_code(error, WS_ERROR_BAD_VALUE);
}

static void pool_refuses_to_lie_in_another(Fixture *f, gconstpointer data)
{
  g_autofree char *inner = pool_path(f, "inner");
  g_autoptr(GError) error = NULL;
  g_assert_false(prepare(f, 2, inner, uuid_b, true, &error));
  assert_code(error, WS_ERROR_IN_USE);
}

/* The name under which this host makes a file. */
static char *new_name(Fixture *f, const char *file)
{
  g_autofree char *path = g_build_filename(f->state, "tag", NULL), *tag = NULL;
  g_assert_true(g_file_get_contents(path, &tag, NULL, NULL));
  return g_strdup_printf(".new-%s-%s", tag, file);
}

static void pool_is_known_after_a_restart_and_swept(Fixture *f, gconstpointer data)
{
  must_create(f, "vol-1.raw", MIB, RAW, THIN, NULL);
  g_autofree char *ours = new_name(f, "vol-2.raw");
  g_autofree char *leftover = pool_path(f, ours), *upload = pool_path(f, ".upload-vol-3.raw");
  g_autofree char *theirs = pool_path(f, ".new-00000000-vol-4.raw"); /* of another host, at work */
  g_assert_true(g_file_set_contents(leftover, "x", 1, NULL));
  g_assert_true(g_file_set_contents(theirs, "x", 1, NULL));
  g_assert_true(g_file_set_contents(upload, "x", 1, NULL));
  restart(f, false);
  assert_files(f, ".new-00000000-vol-4.raw,.upload-vol-3.raw,vol-1.raw");
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeInfoResult) r = info(f, "vol-1.raw", RAW, &error);
  g_assert_no_error(error);
  g_assert_true(r->exists);
}

static void pool_that_lost_its_mount_is_unreachable(Fixture *f, gconstpointer data)
{
  g_autofree char *mark = pool_path(f, ".winsphere-pool");
  g_assert_cmpint(g_unlink(mark), ==, 0);
  g_autoptr(GError) error = NULL;
  g_assert_false(create(f, "vol-1.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  assert_code(error, WS_ERROR_WRONG_STATE);
  g_assert_cmpstr(ws_error_param(error, "state"), ==, "unreachable");
  WsRpcPoolRefreshResult *r = NULL;
  g_assert_true(storage_pool_refresh(f->storage, 1, &r, NULL));
  g_assert_cmpint(r->status->state, ==, WS_POOL_STATUS_STATE_UNREACHABLE);
  ws_rpc_pool_refresh_result_free(r);
}

static void suspended_pool_bars_use(Fixture *f, gconstpointer data)
{
  g_autoptr(WsRpcPoolPrepare) params = ws_rpc_pool_prepare_new();
  params->pool = 1;
  params->path = pool_path(f, NULL);
  params->uuid = g_strdup(uuid_a);
  params->suspended = true;
  g_autoptr(WsPoolStatus) status = NULL;
  g_assert_true(storage_pool_prepare(f->storage, params, &status, NULL));
  g_assert_cmpint(status->state, ==, WS_POOL_STATUS_STATE_SUSPENDED);
  restart(f, false); /* and stays so */
  g_autoptr(GError) error = NULL;
  g_assert_false(create(f, "vol-1.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  g_assert_cmpstr(ws_error_param(error, "state"), ==, "suspended");
}

static void removed_pool_keeps_its_files(Fixture *f, gconstpointer data)
{
  must_create(f, "vol-1.raw", MIB, RAW, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(storage_pool_remove(f->storage, 1, false, &error));
  g_assert_true(storage_pool_remove(f->storage, 1, false, &error)); /* repeated */
  assert_files(f, "vol-1.raw");
  g_assert_false(create(f, "vol-2.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  assert_code(error, WS_ERROR_NOT_FOUND);
}

static void pool_of_other_hosts_keeps_its_identity(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *mark = pool_path(f, ".winsphere-pool");
  g_assert_true(storage_pool_remove(f->storage, 1, true, &error));
  g_assert_no_error(error);
  g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
}

static void pools_that_are_not_kept_are_forgotten(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  WsId kept[] = {1};
  WsRpcPoolKeep all = {.pools = {.len = 1, .items = kept}}, none = {0};
  guint64 came_at = storage_pool_moment(f->storage);
  g_assert_true(storage_pool_keep(f->storage, &all, came_at, &error));
  g_assert_no_error(error);
  g_autofree char *later = g_build_filename(f->root, "later", NULL);
  g_assert_true(prepare(f, 2, later, uuid_b, true, &error));
  g_assert_true(storage_pool_keep(f->storage, &all, came_at, &error)); /* obeyed late: this pool is newer than the list */
  g_assert_no_error(error);
  g_autoptr(WsRpcPoolRefreshResult) there = NULL;
  storage_pool_refresh(f->storage, 2, &there, &error);
  g_assert_no_error(error);
  must_create(f, "vol-1.raw", MIB, RAW, THIN, NULL);
  g_assert_true(storage_pool_keep(f->storage, &none, storage_pool_moment(f->storage), &error));
  g_assert_no_error(error);
  restart(f, false);
  g_assert_false(create(f, "vol-2.raw", MIB, RAW, THIN, NULL, NULL, NULL, &error));
  assert_code(error, WS_ERROR_NOT_FOUND);
  assert_files(f, "vol-1.raw");
}

static void removed_empty_pool_leaves_nothing(Fixture *f, gconstpointer data)
{
  g_autofree char *path = pool_path(f, NULL);
  g_assert_true(storage_pool_remove(f->storage, 1, false, NULL));
  g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void refresh_lists_what_is_there(Fixture *f, gconstpointer data)
{
  must_create(f, "a.qcow2", MIB, QCOW2, THIN, NULL);
  must_create(f, "b.raw", MIB, RAW, EAGER, NULL);
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

/* ---- create ---- */

static void created_volume_has_its_provisioning(Fixture *f, gconstpointer data)
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
    must_create(f, file, 16 * MIB, cases[i].format, cases[i].provisioning, &allocated);
    if (cases[i].thick)
      g_assert_cmpint(allocated, >=, 16 * MIB);
    else
      g_assert_cmpint(allocated, <, MIB);
    g_autoptr(WsRpcVolumeInfoResult) r = info(f, file, cases[i].format, NULL);
    g_assert_cmpint(r->size_bytes, ==, 16 * MIB);
    g_assert_cmpint(r->format, ==, cases[i].format);
    must_create(f, file, 16 * MIB, cases[i].format, cases[i].provisioning, NULL); /* repeated: no error */
  }
}

static void create_refuses_a_name_that_is_taken(Fixture *f, gconstpointer data)
{
  must_create(f, "vol-1", MIB, QCOW2, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_false(create(f, "vol-1", 2 * MIB, QCOW2, THIN, NULL, NULL, NULL, &error));
  assert_code(error, WS_ERROR_ALREADY_EXISTS);
}

static void names_cannot_leave_the_pool(Fixture *f, gconstpointer data)
{
  static const char *const names[] = {"",   ".", "..",  "../x", "a/b", "/etc/x", ".hidden",
                                      "-x", "A", "a b", "a\nb", "a:b", "json:{}"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(create(f, names[i], MIB, RAW, THIN, NULL, NULL, NULL, &error));
    assert_code(error, WS_ERROR_BAD_VALUE);
    g_clear_error(&error);
    g_assert_false(delete_file(f, names[i], false, &error));
    assert_code(error, WS_ERROR_BAD_VALUE);
  }
}

static void symbolic_link_in_the_pool_is_not_followed(Fixture *f, gconstpointer data)
{
  g_autofree char *target = g_build_filename(f->top, "secret", NULL), *link = pool_path(f, "vol-1");
  g_assert_true(g_file_set_contents(target, "secret", 6, NULL));
  g_assert_cmpint(symlink(target, link), ==, 0);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVolumeInfoResult) r = info(f, "vol-1", RAW, &error);
  assert_code(error, WS_ERROR_IO_ERROR);
  g_clear_error(&error);
  g_assert_false(clone_file(f, "vol-1", RAW, "vol-2", RAW, THIN, 0, &error));
  assert_code(error, WS_ERROR_IO_ERROR);
}

static void linked_child_names_its_parent_only(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  must_create(f, "base", 8 * MIB, QCOW2, THIN, NULL);
  create(f, "child", 16 * MIB, QCOW2, THIN, "base", NULL, NULL, &error);
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeInfoResult) r = info(f, "child", QCOW2, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(r->parent_file, ==, "base");
  g_assert_cmpint(r->size_bytes, ==, 16 * MIB);
  g_assert_false(create(f, "orphan", 8 * MIB, QCOW2, THIN, "nothing", NULL, NULL, &error));
  assert_code(error, WS_ERROR_NOT_FOUND);
  g_clear_error(&error);
  g_assert_false(create(f, "small", MIB, QCOW2, THIN, "base", NULL, NULL, &error));
  assert_code(error, WS_ERROR_BAD_VALUE);
  assert_files(f, "base,child");
}

static void chain_that_leaves_the_pool_is_refused(Fixture *f, gconstpointer data)
{
  static const char *const samples[] = {"qcow2-backing", "qcow2-json-backing", "qcow2-data-file"};
  for (guint i = 0; i < G_N_ELEMENTS(samples); i++) {
    /* a file that somebody else put there */
    g_autofree char *name = g_strconcat(samples[i], ".sample", NULL), *path = pool_path(f, "found"),
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
    g_assert_false(clone_file(f, "found", QCOW2, "copy", RAW, THIN, 0, &error));
    assert_code(error, WS_ERROR_IMAGE_REFUSED);
  }
  assert_files(f, "found");
}

/* ---- resize ---- */

static void resize_grows_and_never_shrinks(Fixture *f, gconstpointer data)
{
  static const struct {
    int format, provisioning;
  } cases[] = {{RAW, THIN}, {RAW, EAGER}, {QCOW2, THIN}, {QCOW2, EAGER}, {QCOW2, LAZY}};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *file = g_strdup_printf("vol-%u", i);
    g_autoptr(GError) error = NULL;
    gint64 now = 0;
    must_create(f, file, 4 * MIB, cases[i].format, cases[i].provisioning, NULL);
    resize(f, file, cases[i].format, 12 * MIB, cases[i].provisioning, &now, &error);
    g_assert_no_error(error);
    g_assert_cmpint(now, ==, 12 * MIB);
    g_assert_true(resize(f, file, cases[i].format, MIB, cases[i].provisioning, &now, &error));
    g_assert_cmpint(now, ==, 12 * MIB);
    g_autoptr(WsRpcVolumeInfoResult) r = info(f, file, cases[i].format, NULL);
    g_assert_cmpint(r->size_bytes, ==, 12 * MIB);
    if (cases[i].provisioning != THIN)
      g_assert_cmpint(r->allocated_bytes, >=, 12 * MIB);
  }
}

/* As a running QEMU holds it: shared locks on the permissions it uses. */
static int hold_as_qemu(Fixture *f, const char *file, bool writing)
{
  g_autofree char *path = pool_path(f, file);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = writing ? 101 : 100, .l_len = 1};
  g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
  return fd;
}

static void file_in_use_is_left_alone(Fixture *f, gconstpointer data)
{
  must_create(f, "vol-1", MIB, RAW, THIN, NULL);
  int fd = hold_as_qemu(f, "vol-1", true);
  g_autoptr(GError) error = NULL;
  gint64 now;
  g_assert_false(resize(f, "vol-1", RAW, 2 * MIB, THIN, &now, &error));
  assert_code(error, WS_ERROR_IN_USE);
  g_clear_error(&error);
  g_assert_false(delete_file(f, "vol-1", false, &error));
  assert_code(error, WS_ERROR_IN_USE);
  g_clear_error(&error);
  g_assert_false(clone_file(f, "vol-1", RAW, "vol-2", RAW, THIN, 0, &error));
  assert_code(error, WS_ERROR_IN_USE);
  close(fd);
  fd = hold_as_qemu(f, "vol-1", false); /* read by a VM, as the base of its disk is */
  g_clear_error(&error);
  clone_file(f, "vol-1", RAW, "vol-2", RAW, THIN, 0, &error);
  g_assert_no_error(error);
  close(fd);
}

/* ---- clone ---- */

static void clone_keeps_every_byte(Fixture *f, gconstpointer data)
{
  static const struct {
    int format, provisioning;
  } steps[] = {{RAW, THIN}, {QCOW2, THIN}, {QCOW2, EAGER}, {RAW, EAGER},
               {RAW, LAZY}, {QCOW2, LAZY}, {RAW, THIN}};
  must_create(f, "step-0", 8 * MIB, RAW, THIN, NULL);
  write_pattern(f, "step-0", 3 * MIB + 4096, 100000);
  int before = RAW;
  for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
    g_autofree char *from = g_strdup_printf("step-%u", i), *to = g_strdup_printf("step-%u", i + 1);
    g_autoptr(GError) error = NULL;
    clone_file(f, from, before, to, steps[i].format, steps[i].provisioning, 0, &error);
    g_assert_no_error(error);
    g_assert_true(
        clone_file(f, from, before, to, steps[i].format, steps[i].provisioning, 0, &error)); /* repeated */
    g_autoptr(WsRpcVolumeInfoResult) r = info(f, to, steps[i].format, NULL);
    g_assert_cmpint(r->size_bytes, ==, 8 * MIB);
    g_assert_true((r->allocated_bytes >= 8 * MIB) == (steps[i].provisioning != THIN));
    before = steps[i].format;
  }
  assert_same_bytes(f, "step-0", "step-7");
}

static void clone_may_be_larger(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  must_create(f, "a", 4 * MIB, QCOW2, THIN, NULL);
  clone_file(f, "a", QCOW2, "b", QCOW2, THIN, 32 * MIB, &error);
  g_assert_no_error(error);
  clone_file(f, "a", QCOW2, "c", RAW, THIN, 32 * MIB, &error);
  g_assert_no_error(error);
  clone_file(f, "a", QCOW2, "d", QCOW2, EAGER, 32 * MIB, &error);
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeInfoResult) b = info(f, "b", QCOW2, NULL), c = info(f, "c", RAW, NULL),
                                   d = info(f, "d", QCOW2, NULL);
  g_assert_cmpint(b->size_bytes, ==, 32 * MIB);
  g_assert_cmpint(c->size_bytes, ==, 32 * MIB);
  g_assert_cmpint(d->size_bytes, ==, 32 * MIB);
  g_assert_cmpint(d->allocated_bytes, >=, 32 * MIB);
}

static void full_clone_of_a_linked_child_stands_alone(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  must_create(f, "plain", 4 * MIB, RAW, THIN, NULL);
  write_pattern(f, "plain", 8192, 70000);
  clone_file(f, "plain", RAW, "base", QCOW2, THIN, 0, &error);
  g_assert_no_error(error);
  create(f, "child", 4 * MIB, QCOW2, THIN, "base", NULL, NULL, &error);
  g_assert_no_error(error);
  clone_file(f, "child", QCOW2, "copy", RAW, THIN, 0, &error);
  g_assert_no_error(error);
  assert_same_bytes(f, "plain", "copy");
  clone_file(f, "child", QCOW2, "alone", QCOW2, THIN, 0, &error);
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeInfoResult) r = info(f, "alone", QCOW2, NULL);
  g_assert_null(r->parent_file);
}

/* ---- delete and wipe ---- */

static void deleted_volume_is_gone_and_stays_so(Fixture *f, gconstpointer data)
{
  must_create(f, "vol-1", MIB, QCOW2, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(delete_file(f, "vol-1", false, &error));
  g_assert_true(delete_file(f, "vol-1", false, &error)); /* repeated */
  g_autoptr(WsRpcVolumeInfoResult) r = info(f, "vol-1", QCOW2, &error);
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

static void wiped_bytes_are_zero_on_disk(Fixture *f, gconstpointer data)
{
  must_create(f, "vol-1", 4 * MIB, RAW, THIN, NULL);
  write_pattern(f, "vol-1", MIB, 200000);
  g_autofree char *path = pool_path(f, "vol-1");
  int fd = open(path, O_RDONLY | O_CLOEXEC); /* sees the same blocks after the name is gone */
  g_autoptr(GError) error = NULL;
  g_assert_true(delete_file(f, "vol-1", true, &error));
  struct stat st;
  g_assert_cmpint(fstat(fd, &st), ==, 0);
  g_assert_cmpint(st.st_nlink, ==, 0);
  g_assert_cmpint(st.st_size, ==, 4 * MIB);
  assert_zero(fd);
  close(fd);
}

static void wiped_volume_is_empty_and_usable(Fixture *f, gconstpointer data)
{
  static const int kinds[] = {RAW, QCOW2};
  for (guint i = 0; i < 2; i++) {
    must_create(f, "vol-1", 4 * MIB, kinds[i], EAGER, NULL);
    g_autoptr(WsRpcVolumeWipe) params = ws_rpc_volume_wipe_new();
    params->pool = 1;
    params->file = g_strdup("vol-1");
    params->format = (WsRpcVolumeWipeFormat)kinds[i];
    g_autofree char *path = pool_path(f, "vol-1");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    storage_volume_wipe(f->storage, params, NULL, &error);
    g_assert_no_error(error);
    assert_zero(fd);
    close(fd);
    g_autoptr(WsRpcVolumeInfoResult) r = info(f, "vol-1", kinds[i], &error);
    g_assert_no_error(error);
    g_assert_cmpint(r->size_bytes, ==, 4 * MIB);
    g_assert_cmpint(r->allocated_bytes, <, MIB);
    g_assert_true(delete_file(f, "vol-1", false, NULL));
  }
}

/* ---- running out of space, being cancelled ---- */

typedef struct {
  Fixture *f;
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
  g_autofree char *path = pool_path(m->f, "other"), *block = g_malloc0(65536);
  int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  while (write(fd, block, 65536) > 0)
    ;
  close(fd);
}

static void cancelled_call_leaves_nothing(Fixture *f, gconstpointer data)
{
  Meddler m = {.f = f, .stop = true};
  StorageOp op = {.progress = meddle, .arg = &m, .cancel = &m.cancel};
  g_autoptr(GError) error = NULL;
  g_assert_false(create(f, "vol-1", 64 * MIB, RAW, EAGER, NULL, &op, NULL, &error));
  assert_code(error, WS_ERROR_CANCELLED);
  assert_files(f, "");
}

static void die_in_the_middle(gint64 done, gint64 total, void *arg)
{
  if (done > total / 3)
    kill(getpid(), SIGKILL);
}

/* A power failure in the middle of a call, in a process of its own. */
static void killed_call_leaves_no_file_under_its_name(Fixture *f, gconstpointer data)
{
  static const int formats[] = {RAW, QCOW2};
  for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
    storage_free(f->storage);
    pid_t child = fork();
    if (child == 0) {
      start(f, false);
      StorageOp op = {.progress = die_in_the_middle};
      create(f, "vol-1", 64 * MIB, formats[i], EAGER, NULL, &op, NULL, NULL);
      _exit(0);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_autofree char *unfinished = new_name(f, "vol-1");
    assert_files(f, unfinished);
    start(f, false);
    assert_files(f, "");
    gint64 allocated = -1;
    must_create(f, "vol-1", 64 * MIB, formats[i], EAGER, &allocated); /* taken again */
    g_assert_cmpint(allocated, >=, 64 * MIB);
    g_assert_true(delete_file(f, "vol-1", false, NULL));
  }
}

/* The pool on a file system of 24 MiB, in a mount namespace of this process. */
static bool mount_small(Fixture *f)
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
  prepare(f, 1, path, uuid_b, true, &error);
  g_assert_no_error(error);
  g_autofree char *old = pool_path(f, NULL);
  g_assert_cmpint(symlink("small", old), ==, 0); /* so that the helpers find it under "p" */
  return true;
}

static void unmount_small(Fixture *f)
{
  g_autofree char *path = g_build_filename(f->root, "small", NULL);
  storage_pool_remove(f->storage, 1, false, NULL);
  g_assert_cmpint(umount2(path, MNT_DETACH), ==, 0);
}

static void full_pool_is_refused_early(Fixture *f, gconstpointer data)
{
  if (!mount_small(f))
    return;
  g_autoptr(GError) error = NULL;
  g_assert_false(create(f, "vol-1", 64 * MIB, RAW, EAGER, NULL, NULL, NULL, &error));
  assert_code(error, WS_ERROR_NO_CAPACITY);
  g_assert_cmpstr(ws_error_param(error, "need"), ==, "64.0 MiB");
  g_clear_error(&error);
  g_assert_false(create(f, "vol-1", 64 * MIB, QCOW2, LAZY, NULL, NULL, NULL, &error));
  assert_code(error, WS_ERROR_NO_CAPACITY);
  assert_files(f, "");
  g_autoptr(GError) none = NULL;
  must_create(f, "vol-2", 64 * MIB, RAW, THIN, NULL); /* promised, not taken */
  unmount_small(f);
}

static void pool_that_fills_up_in_the_middle_is_undone(Fixture *f, gconstpointer data)
{
  if (!mount_small(f))
    return;
  must_create(f, "source", 12 * MIB, RAW, EAGER, NULL);
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
  assert_code(error, WS_ERROR_NO_CAPACITY);
  g_assert_cmpuint(upload_sink_received(sink), ==, 0);
  g_clear_error(&error);
  g_autofree char *other = pool_path(f, "other");
  g_assert_cmpint(g_unlink(other), ==, 0);
  upload_sink_write(sink, 0, chunk, STORAGE_CHUNK_BYTES, &error); /* goes on when there is room again */
  g_assert_no_error(error);
  g_autoptr(WsRpcVolumeUploadAbort) abort_params = ws_rpc_volume_upload_abort_new();
  abort_params->pool = 1;
  abort_params->file = g_strdup("vol-3");
  g_assert_true(storage_upload_abort(f->storage, abort_params, NULL));
  g_clear_pointer(&sink, upload_sink_free); /* its descriptor keeps the space until then */

  g_assert_true(create(f, "vol-2", 4 * MIB, RAW, EAGER, NULL, &op, NULL, NULL));
  m.fill = true;
  meddle(0, 0, &m);
  g_assert_false(clone_file(f, "vol-2", RAW, "copy", QCOW2, THIN, 0, &error));
  assert_code(error, WS_ERROR_NO_CAPACITY);
  assert_files(f, "other,source,vol-2");
  unmount_small(f);
}

/* ---- uploads and downloads ---- */

static UploadSink *begin_upload(Fixture *f, const char *file, gint64 total, gint64 *received)
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

static bool finish(Fixture *f, const char *file, gint64 total, int source_format, int format,
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

static void broken_upload_goes_on_where_it_was(Fixture *f, gconstpointer data)
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
  assert_code(error, WS_ERROR_BAD_VALUE);
  g_clear_error(&error);
  g_assert_false(upload_sink_write(first, MIB, bytes, 3 * MIB, &error)); /* more than announced */
  assert_code(error, WS_ERROR_BAD_VALUE);
  g_clear_error(&error);

  UploadSink *second =
      begin_upload(f, "vol-1", (gint64)total, &received); /* while the first is thought dead */
  g_assert_cmpint(received, ==, MIB);
  g_assert_false(upload_sink_write(first, MIB, bytes + MIB, 1000, &error));
  assert_code(error, WS_ERROR_CONFLICT);
  g_clear_error(&error);
  upload_sink_free(first);
  g_assert_true(
      upload_sink_write(second, MIB / 2, bytes + MIB / 2, MIB, &error)); /* half of it is there already */
  g_assert_cmpuint(upload_sink_received(second), ==, (guint64)MIB * 3 / 2);
  upload_sink_free(second);
  g_assert_false(finish(f, "vol-1", (gint64)total, RAW, RAW, NULL, NULL, &error)); /* not all is there */
  assert_code(error, WS_ERROR_WRONG_STATE);
  g_clear_error(&error);

  restart(f, false); /* the agent, too */
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
  assert_files(f, "vol-1");
  g_autoptr(WsRpcVolumeInfoResult) r = info(f, "vol-1", RAW, NULL);
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

static bool upload_all(Fixture *f, const char *file, const char *path, int source_format, int format,
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

static void run_tool(const char *const *argv)
{
  g_autoptr(GError) error = NULL;
  int status;
  g_autofree char *out = NULL, *err = NULL;
  g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
  g_assert_no_error(error);
  if (status != 0)
    g_error("%s: %s", argv[0], err);
}

static void upload_is_converted_to_the_wanted_format(Fixture *f, gconstpointer data)
{
  static const struct {
    const char *driver;
    int format;
  } cases[] = {
      {"vmdk", IMAGE_FORMAT_VMDK}, {"vpc", IMAGE_FORMAT_VHD}, {"vhdx", IMAGE_FORMAT_VHDX},
      {"vdi", IMAGE_FORMAT_VDI},   {"qcow2", QCOW2},
  };
  must_create(f, "plain", 4 * MIB, RAW, THIN, NULL);
  write_pattern(f, "plain", MIB, 50000);
  g_autofree char *plain = pool_path(f, "plain"), *made = g_build_filename(f->top, "made", NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    const char *argv[] = {"qemu-img", "convert", "-f", "raw", "-O", cases[i].driver, plain, made, NULL};
    run_tool(argv);
    g_autoptr(GError) error = NULL;
    upload_all(f, "image", made, cases[i].format, QCOW2, NULL, &error);
    g_assert_no_error(error);
    clone_file(f, "image", QCOW2, "back", RAW, THIN, 0, &error);
    g_assert_no_error(error);
    g_autoptr(WsRpcVolumeInfoResult) r = info(f, "back", RAW, NULL);
    if (cases[i].format != IMAGE_FORMAT_VHD) /* which rounds its size up */
      assert_same_bytes(f, "plain", "back");
    g_assert_cmpint(r->size_bytes, >=, 4 * MIB);
    delete_file(f, "image", false, NULL);
    delete_file(f, "back", false, NULL);
    assert_files(f, "plain");
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

static void conversion_is_far_from_its_limit_of_memory(Fixture *f, gconstpointer data)
{
  must_create(f, "plain", 128 * MIB, RAW, THIN, NULL);
  for (guint i = 0; i < 128; i++)
    write_pattern(f, "plain", i * MIB, 1000000);
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
  g_assert_cmpuint(peak_kib, <, 400 << 10);
}

static void upload_that_is_not_what_it_says_is_refused(Fixture *f, gconstpointer data)
{
  g_autofree char *made = g_build_filename(f->top, "made", NULL);
  const char *argv[] = {"qemu-img",    "create", "-q",  "-f", "qcow2", "-u", "-b",
                        "/etc/shadow", "-F",     "raw", made, "1M",    NULL};
  run_tool(argv);
  g_autoptr(GError) error = NULL;
  g_assert_false(upload_all(f, "image", made, QCOW2, RAW, NULL, &error));
  assert_code(error, WS_ERROR_IMAGE_REFUSED);
  g_clear_error(&error);
  g_assert_false(upload_all(f, "image", made, RAW, RAW, NULL, &error));
  assert_code(error, WS_ERROR_IMAGE_REFUSED);
  g_clear_error(&error);
  g_assert_false(upload_all(f, "image", made, QCOW2, RAW,
                            "0000000000000000000000000000000000000000000000000000000000000000", &error));
  assert_code(error, WS_ERROR_CHECKSUM_MISMATCH);
  assert_files(f, ".upload-image"); /* until the manager drops it */
  g_autoptr(WsRpcVolumeUploadAbort) params = ws_rpc_volume_upload_abort_new();
  params->pool = 1;
  params->file = g_strdup("image");
  g_assert_true(storage_upload_abort(f->storage, params, NULL));
  g_assert_true(storage_upload_abort(f->storage, params, NULL)); /* repeated */
  assert_files(f, "");
}

static void linked_child_is_not_downloaded(Fixture *f, gconstpointer data)
{
  must_create(f, "base", MIB, QCOW2, THIN, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(create(f, "child", MIB, QCOW2, THIN, "base", NULL, NULL, &error));
  g_assert_null(storage_download_source(f->storage, 1, "child", QCOW2, &error));
  assert_code(error, WS_ERROR_UNSUPPORTED);
}

/* ---- watching ---- */

static void outside_changes_are_told_own_ones_are_not(Fixture *f, gconstpointer data)
{
  g_assert_true(wait_for_event(f, "state active", 60000));
  g_autofree char *stranger = pool_path(f, "stranger");
  /* the first look only takes note; wait until it has */
  for (guint i = 0; i < 300 && !wait_for_event(f, "appeared stranger", 200); i++) {
    g_unlink(stranger);
    g_assert_true(g_file_set_contents(stranger, "x", 1, NULL));
  }
  must_create(f, "vol-1", MIB, RAW, THIN, NULL);
  g_assert_true(delete_file(f, "vol-1", false, NULL));
  must_create(f, "vol-2", MIB, RAW, THIN, NULL);
  g_assert_cmpint(g_unlink(stranger), ==, 0);
  g_assert_true(wait_for_event(f, "vanished stranger", 60000));
  g_autofree char *lost = pool_path(f, "vol-2"), *mark = pool_path(f, ".winsphere-pool");
  g_assert_cmpint(g_unlink(lost), ==, 0);
  g_assert_true(wait_for_event(f, "vanished vol-2", 60000));
  g_assert_cmpint(g_unlink(mark), ==, 0);
  g_assert_true(wait_for_event(f, "state unreachable", 60000));
  for (guint i = 0; i < f->events->len; i++) {
    g_assert_cmpstr(f->events->pdata[i], !=, "appeared vol-1");
    g_assert_cmpstr(f->events->pdata[i], !=, "vanished vol-1");
    g_assert_cmpstr(f->events->pdata[i], !=, "appeared vol-2");
  }
}

/* ---- two at once ---- */

static gpointer create_same(gpointer data)
{
  g_autoptr(GError) error = NULL;
  create(data, "vol-1", 32 * MIB, QCOW2, EAGER, NULL, NULL, NULL, &error);
  g_assert_no_error(error);
  return NULL;
}

static void calls_on_one_file_wait_for_each_other(Fixture *f, gconstpointer data)
{
  GThread *threads[4];
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    threads[i] = g_thread_new("create", create_same, f);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);
  assert_files(f, "vol-1");
}

static void path_names_pool_and_file(Fixture *f, gconstpointer data)
{
  must_create(f, "vol-1", MIB, RAW, THIN, NULL);
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
  assert_code(error, WS_ERROR_NOT_FOUND);
}

#define TEST(name) g_test_add("/host/storage/" #name, Fixture, NULL, set_up, name, tear_down)
#define WATCHED_TEST(name) g_test_add("/host/storage/" #name, Fixture, "", set_up, name, tear_down)

/* ---- from host to host ---- */

/* Carries f's file into the other one's pool. `spoil`: the piece that arrives with another byte than it left with; -1: none. */
static bool carry(Fixture *from, const char *file, int source_format, Fixture *to, const char *target, int format, int provisioning, gint64 size,
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

static void assert_carried(Fixture *from, const char *file, Fixture *to, const char *target)
{
  g_autofree char *source = pool_path(from, file), *copy = pool_path(to, target);
  const char *compare[] = {"qemu-img", "compare", "-q", source, copy, NULL};
  run_tool(compare);
}

static void volume_goes_to_another_host_with_every_byte(Fixture *f, gconstpointer data)
{
  Fixture other = {0};
  gint64 allocated = 0;
  set_up(&other, NULL);
  must_create(f, "raw", 64 * MIB, RAW, THIN, NULL);
  write_pattern(f, "raw", 0, 100000);
  write_pattern(f, "raw", 33 * MIB + 5, 9000000); /* more than one piece */
  g_autoptr(GError) error = NULL;
  carry(f, "raw", 2, &other, "there", 2, 1, 64 * MIB, -1, &allocated, &error);
  g_assert_no_error(error);
  assert_carried(f, "raw", &other, "there");
  g_assert_cmpint(allocated, <, 20 * MIB); /* holes stay holes */
  assert_files(&other, "there");
  carry(f, "raw", 2, &other, "there", 2, 1, 64 * MIB, -1, &allocated, &error); /* a repeated one is made anew */
  g_assert_no_error(error);
  carry(f, "raw", 2, &other, "thick", 1, 3, 64 * MIB, -1, &allocated, &error);
  g_assert_no_error(error);
  assert_carried(f, "raw", &other, "thick");
  g_assert_cmpint(allocated, >=, 64 * MIB);
  tear_down(&other, NULL);
}

static void linked_child_arrives_whole_and_alone(Fixture *f, gconstpointer data)
{
  Fixture other = {0};
  gint64 allocated;
  set_up(&other, NULL);
  g_autoptr(GError) error = NULL;
  must_create(f, "parent", 8 * MIB, RAW, THIN, NULL);
  write_pattern(f, "parent", MIB, 300000);
  g_assert_true(clone_file(f, "parent", RAW, "base", QCOW2, THIN, 0, &error));
  create(f, "child", 8 * MIB, QCOW2, THIN, "base", NULL, NULL, &error);
  g_assert_no_error(error);
  carry(f, "child", 1, &other, "alone", 1, 1, 8 * MIB, -1, &allocated, &error);
  g_assert_no_error(error);
  assert_carried(f, "child", &other, "alone");
  g_autoptr(WsRpcVolumeInfoResult) there = info(&other, "alone", 1, &error);
  g_assert_null(there->parent_file);
  assert_files(&other, "alone");
  tear_down(&other, NULL);
}

static void spoilt_piece_is_refused_and_nothing_stays(Fixture *f, gconstpointer data)
{
  gint64 allocated;
  Fixture other = {0};
  set_up(&other, NULL);
  must_create(f, "raw", 16 * MIB, RAW, THIN, NULL);
  write_pattern(f, "raw", 0, 9000000);
  g_autoptr(GError) error = NULL;
  g_assert_false(carry(f, "raw", 2, &other, "there", 2, 1, 16 * MIB, 1, &allocated, &error));
  assert_code(error, WS_ERROR_CHECKSUM_MISMATCH);
  assert_files(&other, "");
  g_autofree char *path = pool_path(&other, NULL);
  g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));)
    g_assert_cmpstr(name, ==, ".winsphere-pool");
  tear_down(&other, NULL);
}

static void leaving_volume_cannot_be_written(Fixture *f, gconstpointer data)
{
  g_autoptr(GError) error = NULL;
  must_create(f, "raw", MIB, RAW, THIN, NULL);
  VolumeLeave *leave = storage_leave(f->storage, 1, "raw", 2, &error);
  g_assert_no_error(error);
  g_autofree char *path = pool_path(f, "raw");
  g_autofree char *quoted = g_strdup_printf("write 0 512");
  const char *argv[] = {"qemu-io", "-f", "raw", "-c", quoted, path, NULL};
  int status = 0;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                             NULL, NULL, NULL, &status, NULL));
  g_assert_cmpint(status, !=, 0);
  volume_leave_free(leave);
  run_tool(argv);
  int fd = hold_as_qemu(f, "raw", true);
  g_assert_null(storage_leave(f->storage, 1, "raw", 2, &error));
  assert_code(error, WS_ERROR_IN_USE);
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
  TEST(pool_refuses_folder_that_everybody_writes);
  TEST(pool_refuses_to_lie_in_another);
  TEST(pool_is_known_after_a_restart_and_swept);
  TEST(pool_that_lost_its_mount_is_unreachable);
  TEST(suspended_pool_bars_use);
  TEST(removed_pool_keeps_its_files);
  TEST(pool_of_other_hosts_keeps_its_identity);
  TEST(pools_that_are_not_kept_are_forgotten);
  TEST(removed_empty_pool_leaves_nothing);
  TEST(refresh_lists_what_is_there);
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
  TEST(cancelled_call_leaves_nothing);
  TEST(killed_call_leaves_no_file_under_its_name);
  TEST(full_pool_is_refused_early);
  TEST(pool_that_fills_up_in_the_middle_is_undone);
  TEST(broken_upload_goes_on_where_it_was);
  TEST(upload_is_converted_to_the_wanted_format);
  TEST(conversion_is_far_from_its_limit_of_memory);
  TEST(upload_that_is_not_what_it_says_is_refused);
  TEST(linked_child_is_not_downloaded);
  TEST(volume_goes_to_another_host_with_every_byte);
  TEST(linked_child_arrives_whole_and_alone);
  TEST(spoilt_piece_is_refused_and_nothing_stays);
  TEST(leaving_volume_cannot_be_written);
  WATCHED_TEST(outside_changes_are_told_own_ones_are_not);
  TEST(calls_on_one_file_wait_for_each_other);
  TEST(path_names_pool_and_file);
  return g_test_run();
}
