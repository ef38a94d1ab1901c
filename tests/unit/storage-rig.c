// SPDX-License-Identifier: Apache-2.0
/* See storage-rig.h. */
#include "folders.h"
#include "storage-rig.h"
#include "host/hypervisor/ovf.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>


static void on_changed(WsId pool, const WsPoolStatus *status, const char *const *appeared,
                       const char *const *vanished, void *arg)
{
  StorageRig *f = arg;
  g_mutex_lock(&f->lock);
  g_ptr_array_add(f->events, g_strdup_printf("state %s", ws_pool_status_state_names[status->state - 1]));
  for (; appeared && *appeared; appeared++)
    g_ptr_array_add(f->events, g_strconcat("appeared ", *appeared, NULL));
  for (; vanished && *vanished; vanished++)
    g_ptr_array_add(f->events, g_strconcat("vanished ", *vanished, NULL));
  g_cond_broadcast(&f->changed);
  g_mutex_unlock(&f->lock);
}

bool storage_rig_wait_for_event(StorageRig *f, const char *event, guint timeout_ms)
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

void storage_rig_start(StorageRig *f, bool watch)
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

void storage_rig_restart(StorageRig *f, bool watch)
{
  storage_free(f->storage);
  storage_rig_start(f, watch);
}

bool storage_rig_prepare(StorageRig *f, WsId id, const char *path, const char *uuid, bool create, GError **error)
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

char *storage_rig_path(StorageRig *f, const char *name)
{
  return g_build_filename(f->root, "p", name, NULL);
}

void storage_rig_set_up(StorageRig *f, gconstpointer data)
{
  f->top = g_dir_make_tmp("ws-storage-XXXXXX", NULL);
  f->root = g_build_filename(f->top, "pools", NULL);
  f->state = g_build_filename(f->top, "state", NULL);
  g_assert_cmpint(g_mkdir(f->state, 0700), ==, 0);
  g_mutex_init(&f->lock);
  g_cond_init(&f->changed);
  f->events = g_ptr_array_new_with_free_func(g_free);
  storage_rig_start(f, data != NULL);
  g_autofree char *path = storage_rig_path(f, NULL);
  g_autoptr(GError) error = NULL;
  storage_rig_prepare(f, 1, path, STORAGE_RIG_UUID_A, true, &error);
  g_assert_no_error(error);
}

void storage_rig_tear_down(StorageRig *f, gconstpointer data)
{
  storage_free(f->storage);
  folder_remove(f->top);
  g_ptr_array_unref(f->events);
  g_mutex_clear(&f->lock);
  g_cond_clear(&f->changed);
  g_free(f->top);
  g_free(f->root);
  g_free(f->state);
}

void storage_rig_assert_code(GError *error, WsErrorCode code)
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
static char *list(StorageRig *f)
{
  g_autofree char *path = storage_rig_path(f, NULL);
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

void storage_rig_assert_files(StorageRig *f, const char *expected)
{
  g_autofree char *now = list(f);
  g_assert_cmpstr(now, ==, expected);
}

/* ---- short forms of the calls ---- */

bool storage_rig_create(StorageRig *f, const char *file, gint64 size, int format, int provisioning,
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

void storage_rig_must_create(StorageRig *f, const char *file, gint64 size, int format, int provisioning,
                        gint64 *allocated)
{
  g_autoptr(GError) error = NULL;
  storage_rig_create(f, file, size, format, provisioning, NULL, NULL, allocated, &error);
  g_assert_no_error(error);
}

bool storage_rig_clone(StorageRig *f, const char *file, int source_format, const char *target, int format,
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

bool storage_rig_export(StorageRig *f, const char *file, const StorageOp *op, WsRpcVolumeExportResult **result, GError **error, ...)
{
  g_autoptr(WsRpcVolumeExport) params = ws_rpc_volume_export_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->stem = g_strdup("web-server");
  params->name = g_strdup("web server");
  params->architecture = WS_ARCHITECTURE_X86_64;
  params->vcpus = 2;
  params->memory_bytes = 256 * MIB;
  va_list disks;
  va_start(disks, error);
  for (const char *name; (name = va_arg(disks, const char *));) {
    WsVmExportDisk *disk = ws_vm_export_disk_new();
    disk->key = g_strdup(name);
    disk->pool = 1;
    disk->file = g_strdup(name);
    disk->format = (WsVmExportDiskFormat)va_arg(disks, int);
    disk->bus = WS_VM_EXPORT_DISK_BUS_VIRTIO_BLK;
    ws_array_add(&params->disks, disk);
  }
  va_end(disks);
  return storage_volume_export(f->storage, params, virt_ovf, op, result, error);
}

bool storage_rig_delete(StorageRig *f, const char *file, bool wipe, GError **error)
{
  g_autoptr(WsRpcVolumeDelete) params = ws_rpc_volume_delete_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->wipe = wipe;
  return storage_volume_delete(f->storage, params, NULL, error);
}

WsRpcVolumeInfoResult *storage_rig_info(StorageRig *f, const char *file, int format, GError **error)
{
  g_autoptr(WsRpcVolumeInfo) params = ws_rpc_volume_info_new();
  params->pool = 1;
  params->file = g_strdup(file);
  params->format = (WsRpcVolumeInfoFormat)format;
  WsRpcVolumeInfoResult *result = NULL;
  storage_volume_info(f->storage, params, &result, error);
  return result;
}

bool storage_rig_resize(StorageRig *f, const char *file, int format, gint64 size, int provisioning, gint64 *now,
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

void storage_rig_write_pattern(StorageRig *f, const char *file, gint64 offset, gsize n)
{
  g_autofree char *path = storage_rig_path(f, file), *bytes = g_malloc(n);
  for (gsize i = 0; i < n; i++)
    bytes[i] = (char)(i * 7 + i / 256 + 1);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  g_assert_cmpint(pwrite(fd, bytes, n, offset), ==, (gssize)n);
  close(fd);
}

void storage_rig_write_random(StorageRig *f, const char *file, gsize n)
{
  g_autofree char *path = storage_rig_path(f, file);
  g_autofree guint32 *words = g_malloc(n);
  guint32 word = 2463534242; /* xorshift: the same at each run */
  for (gsize i = 0; i < n / sizeof *words; i++) {
    word ^= word << 13;
    word ^= word >> 17;
    word ^= word << 5;
    words[i] = word;
  }
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  g_assert_cmpint(write(fd, words, n), ==, (gssize)n);
  close(fd);
}

void storage_rig_assert_same_bytes(StorageRig *f, const char *a, const char *b)
{
  g_autofree char *path_a = storage_rig_path(f, a), *path_b = storage_rig_path(f, b), *bytes_a = NULL, *bytes_b = NULL;
  gsize na, nb;
  g_assert_true(g_file_get_contents(path_a, &bytes_a, &na, NULL));
  g_assert_true(g_file_get_contents(path_b, &bytes_b, &nb, NULL));
  g_assert_cmpmem(bytes_a, na, bytes_b, nb);
}

/* ---- what else tests need ---- */

/* The name under which this host makes a file. */
char *storage_rig_new_name(StorageRig *f, const char *file)
{
  g_autofree char *path = g_build_filename(f->state, "tag", NULL), *tag = NULL;
  g_assert_true(g_file_get_contents(path, &tag, NULL, NULL));
  return g_strdup_printf(".new-%s-%s", tag, file);
}

/* As a running QEMU holds it: shared locks on the permissions it uses. */
int storage_rig_hold_as_qemu(StorageRig *f, const char *file, bool writing)
{
  g_autofree char *path = storage_rig_path(f, file);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = writing ? 101 : 100, .l_len = 1};
  g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
  return fd;
}

void storage_rig_run_tool(const char *const *argv)
{
  g_autoptr(GError) error = NULL;
  int status;
  g_autofree char *out = NULL, *err = NULL;
  g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
  g_assert_no_error(error);
  if (status != 0)
    g_error("%s: %s", argv[0], err);
}
