// SPDX-License-Identifier: Apache-2.0
/* A simulated host's pools, volumes and images: folders and files for the calls of api/rpc/pool.yaml, volume.yaml, image.yaml. See host.h. */
#include "base/hash.h"
#include "rpc/methods.h"
#include "sim/host.h"
#include <string.h>

#define CAPACITY_BYTES (G_GINT64_CONSTANT(200) << 30)
#define THIN_BYTES     (200 * 1024)

SimFile *sim_folder_find(const SimFolder *folder, const char *name)
{
  for (guint i = 0; name && i < folder->files->len; i++)
    if (strcmp(((SimFile *)folder->files->pdata[i])->name, name) == 0)
      return folder->files->pdata[i];
  return NULL;
}

static gint compare_files(gconstpointer a, gconstpointer b)
{
  return strcmp((*(SimFile *const *)a)->name, (*(SimFile *const *)b)->name);
}

static SimFile *add_file(SimHost *host, SimFolder *folder, const char *name, int format, gint64 size_bytes)
{
  SimFile *file = g_new0(SimFile, 1);
  file->name = g_strdup(name);
  file->format = format;
  file->size_bytes = size_bytes;
  file->allocated_bytes = THIN_BYTES;
  g_ptr_array_add(folder->files, file);
  g_ptr_array_sort(folder->files, compare_files);
  sim_host_note(host, "file %s/%s is there", folder->path, name);
  return file;
}

static void remove_file(SimHost *host, SimFolder *folder, SimFile *file)
{
  sim_host_note(host, "file %s/%s is gone", folder->path, file->name);
  g_ptr_array_remove(folder->files, file);
  g_free(file->name);
  g_free(file->parent);
  g_free(file);
}

static gint64 allocated(const SimFolder *folder)
{
  gint64 total = 0;
  for (guint i = 0; i < folder->files->len; i++)
    total += ((SimFile *)folder->files->pdata[i])->allocated_bytes;
  return total;
}

static WsPoolStatus *status_of(const SimPool *pool)
{
  WsPoolStatus *status = ws_pool_status_new();
  status->state = pool->suspended ? WS_POOL_STATUS_STATE_SUSPENDED : WS_POOL_STATUS_STATE_ACTIVE;
  status->uuid = g_strdup(pool->folder->uuid);
  status->filesystem = g_strdup("ext4");
  status->capacity_bytes = pool->folder->capacity_bytes;
  status->allocated_bytes = allocated(pool->folder);
  status->available_bytes = MAX(0, status->capacity_bytes - status->allocated_bytes);
  return status;
}

/* ---- pools ---- */

static SimFolder *take_folder(SimHost *host, const WsRpcPoolPrepare *params, GError **error)
{
  SimFolder *folder = sim_host_find_folder(host, params->path);
  /* What is shared is mounted by every host, at the same path. */
  SimHost *other;
  for (guint i = 0; !folder && params->kind != WS_RPC_POOL_PREPARE_KIND_DIRECTORY && (other = sim_host_nth(i)); i++)
    if ((folder = sim_host_find_folder(other, params->path)))
      g_ptr_array_add(host->folders, folder);
  if (!folder && params->create) {
    folder = g_new0(SimFolder, 1);
    *folder = (SimFolder){g_strdup(params->path), g_strdup(params->uuid), g_ptr_array_new(), CAPACITY_BYTES};
    g_ptr_array_add(host->folders, folder);
  }
  if (!folder)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->path, NULL);
  else if (strcmp(folder->uuid, params->uuid) != 0) {
    ws_fail(error, WS_ERROR_IN_USE, "object", params->path, "user", "another pool", NULL);
    return NULL;
  }
  return folder;
}

static bool do_pool_prepare(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcPoolPrepare *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimFolder *folder = sim_host_work(host, call, sim_host_key("pool", params->pool), error) ? take_folder(host, params, error) : NULL;
  if (!folder)
    return false;
  SimPool *pool = sim_host_find_pool(host, params->pool);
  if (!pool) {
    pool = g_new0(SimPool, 1);
    pool->id = params->pool;
    g_ptr_array_add(host->pools, pool);
  }
  pool->folder = folder;
  pool->suspended = params->suspended;
  pool->prepared_at = ++host->n_prepared;
  sim_host_note(host, "pool-%" G_GUINT64_FORMAT " prepared%s", pool->id, pool->suspended ? ", suspended" : "");
  WsRpcPoolPrepareResult *answer = ws_rpc_pool_prepare_result_new();
  answer->status = status_of(pool);
  *result = answer;
  return true;
}

static SimPool *find_pool(SimHost *host, WsId id, bool in_use, GError **error)
{
  SimPool *pool = sim_host_find_pool(host, id);
  char text[WS_ID_TEXT_MAX];
  ws_id_format("pool", id, text);
  if (!pool)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", text, NULL);
  if (!pool || !in_use || !pool->suspended)
    return pool;
  ws_fail(error, WS_ERROR_WRONG_STATE, "object", text, "verb", "be used", "state", "suspended", NULL);
  return NULL;
}

static bool do_pool_refresh(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  SimPool *pool =
      sim_host_work(host, call, NULL, error) ? find_pool(host, ((const WsRpcPoolRefresh *)arg)->pool, false, error) : NULL;
  if (!pool)
    return false;
  WsRpcPoolRefreshResult *answer = ws_rpc_pool_refresh_result_new();
  answer->status = status_of(pool);
  for (guint i = 0; i < pool->folder->files->len; i++) {
    const SimFile *file = pool->folder->files->pdata[i];
    WsPoolFile *told = ws_pool_file_new();
    told->file = g_strdup(file->name);
    told->format = file->format;
    told->size_bytes = file->size_bytes;
    told->allocated_bytes = file->allocated_bytes;
    told->parent_file = g_strdup(file->parent);
    ws_array_add(&answer->files, told);
  }
  *result = answer;
  return true;
}

/* What is there, as an ordinary folder; of a host whose disk is good. */
static bool do_pool_check(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcPoolCheck *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error))
    return false;
  const SimFolder *folder = sim_host_find_folder(host, params->path);
  SimHost *other;
  for (guint i = 0; !folder && params->kind != WS_RPC_POOL_CHECK_KIND_DIRECTORY && (other = sim_host_nth(i));
       i++)
    folder = sim_host_find_folder(other, params->path);
  WsPoolSign *sign = ws_pool_sign_new();
  if (folder && g_strcmp0(folder->uuid, params->uuid) != 0)
    sign->sign = WS_POOL_SIGN_WORD_PATH_OTHER_POOL;
  else if (folder)
    sign->sign = WS_POOL_SIGN_WORD_PATH_THERE;
  else
    sign->sign = params->uuid     ? WS_POOL_SIGN_WORD_PATH_ABSENT
                 : params->create ? WS_POOL_SIGN_WORD_PATH_TO_MAKE
                                  : WS_POOL_SIGN_WORD_PATH_TO_SHARE;
  WsRpcPoolCheckResult *answer = ws_rpc_pool_check_result_new();
  ws_array_add(&answer->signs, sign);
  *result = answer;
  return true;
}

static bool do_pool_remove(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  guint n_hosts = 0;
  if (!sim_host_work(host, call, sim_host_key("pool", ((const WsRpcPoolRemove *)arg)->pool), error))
    return false;
  SimPool *pool = sim_host_find_pool(host, ((const WsRpcPoolRemove *)arg)->pool);
  if (!pool)
    return true;
  sim_host_note(host, "pool-%" G_GUINT64_FORMAT " forgotten", pool->id);
  if (pool->folder->files->len == 0 && !((const WsRpcPoolRemove *)arg)->keep)
    for (SimHost *at; (at = sim_host_nth(n_hosts)); n_hosts++)
      g_ptr_array_remove(at->folders, pool->folder); /* leaked: other pools may have seen it */
  g_ptr_array_remove(host->pools, pool);
  g_free(pool);
  return true;
}

static bool do_pool_keep(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcPoolKeep *params = arg;
  SimHost *host = sim_host_of_call(call);
  guint64 came_at = host->n_prepared;
  if (!sim_host_work(host, call, NULL, error))
    return false;
  for (guint i = host->pools->len; i-- > 0;) {
    SimPool *pool = host->pools->pdata[i];
    bool kept = pool->prepared_at > came_at;
    for (guint k = 0; k < params->pools.len; k++)
      kept = kept || params->pools.items[k] == pool->id;
    if (kept)
      continue;
    sim_host_note(host, "pool-%" G_GUINT64_FORMAT " not kept", pool->id);
    g_ptr_array_remove(host->pools, pool);
    g_free(pool);
  }
  return true;
}

/* ---- volumes ---- */

static bool has_room(const SimFolder *folder, gint64 bytes, GError **error)
{
  return allocated(folder) + bytes <= folder->capacity_bytes ||
         ws_fail(error, WS_ERROR_NO_CAPACITY, "object", folder->path, "need", "more", "free", "less", NULL);
}

static gint64 bytes_of(int provisioning, gint64 size_bytes)
{
  return provisioning == WS_RPC_VOLUME_CREATE_PROVISIONING_THIN ? THIN_BYTES : size_bytes;
}

static int format_of(int format)
{
  return format == WS_RPC_VOLUME_CREATE_FORMAT_RAW ? WS_POOL_FILE_FORMAT_RAW : WS_POOL_FILE_FORMAT_QCOW2;
}

static SimFile *find_file(SimHost *host, const SimPool *pool, const char *name, GError **error)
{
  SimFile *file = sim_folder_find(pool->folder, name);
  if (!file)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", name, NULL);
  return file;
}

static bool check_unused(SimHost *host, const SimPool *pool, const char *file, GError **error)
{
  return !sim_host_writer(host, pool->id, file) ||
         ws_fail(error, WS_ERROR_IN_USE, "object", file, "user", "QEMU", NULL);
}

static bool do_create(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeCreate *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work_long(host, call, params->file, params->size_bytes, error))
    return false;
  SimPool *pool = find_pool(host, params->pool, true, error);
  if (!pool || (params->parent_file && !find_file(host, pool, params->parent_file, error)))
    return false;
  SimFile *file = sim_folder_find(pool->folder, params->file);
  if (file && file->size_bytes != params->size_bytes)
    return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", params->file, NULL);
  gint64 bytes = bytes_of((int)params->provisioning, params->size_bytes);
  if (!file && !has_room(pool->folder, bytes, error))
    return false;
  if (!file) {
    file = add_file(host, pool->folder, params->file, format_of((int)params->format), params->size_bytes);
    file->allocated_bytes = bytes;
    file->parent = g_strdup(params->parent_file);
  }
  WsRpcVolumeCreateResult *answer = ws_rpc_volume_create_result_new();
  answer->allocated_bytes = file->allocated_bytes;
  *result = answer;
  return true;
}

static bool do_resize(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeResize *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->file, error))
    return false;
  SimPool *pool = find_pool(host, params->pool, true, error);
  SimFile *file = pool ? find_file(host, pool, params->file, error) : NULL;
  if (!file || !check_unused(host, pool, params->file, error))
    return false;
  file->size_bytes = MAX(file->size_bytes, params->size_bytes);
  WsRpcVolumeResizeResult *answer = ws_rpc_volume_resize_result_new();
  answer->size_bytes = file->size_bytes;
  answer->allocated_bytes = file->allocated_bytes;
  *result = answer;
  return true;
}

static bool do_clone(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeClone *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work_long(host, call, params->target_file, 1 << 30, error))
    return false;
  SimPool *from = find_pool(host, params->pool, true, error);
  SimPool *to = from ? find_pool(host, params->target_pool, true, error) : NULL;
  SimFile *source = to ? find_file(host, from, params->file, error) : NULL;
  if (!source)
    return false;
  gint64 size_bytes = params->size_bytes != WS_INT_UNSET ? MAX(params->size_bytes, source->size_bytes) : source->size_bytes;
  SimFile *file = sim_folder_find(to->folder, params->target_file);
  if (!file) {
    if (!has_room(to->folder, THIN_BYTES, error))
      return false;
    guint64 content = source->content;
    file = add_file(host, to->folder, params->target_file, format_of((int)params->format), size_bytes);
    file->content = content;
  }
  WsRpcVolumeCloneResult *answer = ws_rpc_volume_clone_result_new();
  answer->size_bytes = file->size_bytes;
  answer->allocated_bytes = file->allocated_bytes;
  *result = answer;
  return true;
}

static bool do_export(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeExport *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work_long(host, call, params->file, 1 << 30, error))
    return false;
  SimPool *to = find_pool(host, params->pool, true, error);
  for (guint i = 0; to && i < params->disks.len; i++) {
    const WsVmExportDisk *disk = params->disks.items[i];
    SimPool *from = find_pool(host, disk->pool, true, error);
    if (!from || !find_file(host, from, disk->file, error) || !check_unused(host, from, disk->file, error))
      return false;
  }
  if (!to)
    return false;
  SimFile *file = sim_folder_find(to->folder, params->file);
  if (!file) {
    if (!has_room(to->folder, THIN_BYTES, error))
      return false;
    file = add_file(host, to->folder, params->file, WS_POOL_FILE_FORMAT_RAW, THIN_BYTES);
  }
  WsRpcVolumeExportResult *answer = ws_rpc_volume_export_result_new();
  answer->size_bytes = file->size_bytes;
  answer->allocated_bytes = file->allocated_bytes;
  answer->sha256 = ws_sha256_hex(&file->content, sizeof file->content);
  *result = answer;
  return true;
}

/* A file came or went by a call that nobody waits for any more: the agent's watch of the folder sees it. */
static void tell_late(SimHost *host, RpcCall *call, const SimPool *pool, const char *file, bool there)
{
  if (!*rpc_call_cancelled(call) || !host->link || !rpc_link_is_up(host->link))
    return;
  g_autoptr(WsRpcPoolChanged) params = ws_rpc_pool_changed_new();
  params->pool = pool->id;
  params->status = status_of(pool);
  if (there)
    ws_array_add(&params->appeared, g_strdup(file));
  else
    ws_array_add(&params->vanished, g_strdup(file));
  rpc_notify(host->link, &rpc_method_pool_changed, params);
}

static bool do_delete(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeDelete *params = arg;
  SimHost *host = sim_host_of_call(call);
  bool worked = params->wipe ? sim_host_work_long(host, call, params->file, 1 << 30, error) : sim_host_work(host, call, params->file, error);
  SimPool *pool = worked ? find_pool(host, params->pool, true, error) : NULL;
  if (!pool || !check_unused(host, pool, params->file, error))
    return false;
  SimFile *file = sim_folder_find(pool->folder, params->file);
  if (file)
    remove_file(host, pool->folder, file);
  tell_late(host, call, pool, params->file, false);
  return true;
}

static bool do_wipe(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeWipe *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimPool *pool = sim_host_work_long(host, call, params->file, 1 << 30, error) ? find_pool(host, params->pool, true, error) : NULL;
  SimFile *file = pool ? find_file(host, pool, params->file, error) : NULL;
  if (!file || !check_unused(host, pool, params->file, error))
    return false;
  file->content = 0;
  return true;
}

static bool do_info(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeInfo *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimPool *pool = sim_host_work(host, call, NULL, error) ? find_pool(host, params->pool, false, error) : NULL;
  if (!pool)
    return false;
  const SimFile *file = sim_folder_find(pool->folder, params->file);
  WsRpcVolumeInfoResult *answer = ws_rpc_volume_info_result_new();
  answer->exists = file != NULL;
  if (file) {
    answer->format = file->format == WS_POOL_FILE_FORMAT_RAW ? WS_RPC_VOLUME_INFO_RESULT_FORMAT_RAW
                                                             : WS_RPC_VOLUME_INFO_RESULT_FORMAT_QCOW2;
    answer->size_bytes = file->size_bytes;
    answer->file_bytes = answer->allocated_bytes = file->allocated_bytes;
    answer->parent_file = g_strdup(file->parent);
  }
  *result = answer;
  return true;
}

static char *checksum_of(const SimFile *file)
{
  return ws_sha256_hex(&file->content, sizeof file->content);
}

static bool do_checksum(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeChecksum *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimPool *pool = sim_host_work_long(host, call, NULL, 1 << 30, error) ? find_pool(host, params->pool, true, error) : NULL;
  const SimFile *file = pool ? find_file(host, pool, params->file, error) : NULL;
  if (!file)
    return false;
  WsRpcVolumeChecksumResult *answer = ws_rpc_volume_checksum_result_new();
  answer->sha256 = checksum_of(file);
  answer->file_bytes = file->allocated_bytes;
  *result = answer;
  return true;
}

static bool do_upload_open(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVolumeUploadOpen *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimPool *pool = sim_host_work(host, call, NULL, error) ? find_pool(host, params->pool, true, error) : NULL;
  if (!pool)
    return false;
  WsRpcVolumeUploadOpenResult *answer = ws_rpc_volume_upload_open_result_new();
  answer->done = sim_folder_find(pool->folder, params->file) != NULL;
  answer->received_bytes = answer->done ? params->total_bytes : 0;
  *result = answer;
  return true;
}

static bool do_upload_abort(RpcCall *call, const void *arg, void **result, GError **error)
{
  return sim_host_work(sim_host_of_call(call), call, NULL, error);
}

static bool do_inspect(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcImageInspect *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimPool *pool = sim_host_work(host, call, NULL, error) ? find_pool(host, params->pool, true, error) : NULL;
  const SimFile *file = pool ? find_file(host, pool, params->file, error) : NULL;
  if (!file)
    return false;
  WsRpcImageInspectResult *answer = ws_rpc_image_inspect_result_new();
  answer->format = WS_RPC_IMAGE_INSPECT_RESULT_FORMAT_QCOW2;
  answer->size_bytes = file->size_bytes;
  answer->file_bytes = file->allocated_bytes;
  *result = answer;
  return true;
}

static bool do_import(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcImageImport *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimPool *from = sim_host_work_long(host, call, params->file, 1 << 30, error) ? find_pool(host, params->pool, true, error) : NULL;
  SimPool *to = from && params->target_pool ? find_pool(host, params->target_pool, true, error) : from;
  SimFile *source = to ? find_file(host, from, params->source_file, error) : NULL;
  if (!source)
    return false;
  gint64 size_bytes = source->size_bytes;
  SimFile *file = sim_folder_find(to->folder, params->file);
  if (!file) {
    guint64 content = source->content;
    file = add_file(host, to->folder, params->file, format_of((int)params->format), size_bytes);
    file->content = content;
  }
  WsRpcImageImportResult *answer = ws_rpc_image_import_result_new();
  answer->sha256 = checksum_of(file);
  answer->size_bytes = file->size_bytes;
  answer->allocated_bytes = file->allocated_bytes;
  *result = answer;
  return true;
}

SimServices sim_host_storage_services(void)
{
  static const RpcService services[] = {
      {&rpc_method_pool_prepare, do_pool_prepare},
      {&rpc_method_pool_refresh, do_pool_refresh},
      {&rpc_method_pool_remove, do_pool_remove},
      {&rpc_method_pool_keep, do_pool_keep},
      {&rpc_method_pool_check, do_pool_check},
      {&rpc_method_volume_create, do_create},
      {&rpc_method_volume_resize, do_resize},
      {&rpc_method_volume_clone, do_clone},
      {&rpc_method_volume_delete, do_delete},
      {&rpc_method_volume_wipe, do_wipe},
      {&rpc_method_volume_info, do_info},
      {&rpc_method_volume_checksum, do_checksum},
      {&rpc_method_volume_upload_open, do_upload_open},
      {&rpc_method_volume_upload_abort, do_upload_abort},
      {&rpc_method_volume_export, do_export},
      {&rpc_method_image_inspect, do_inspect},
      {&rpc_method_image_import, do_import},
  };
  return (SimServices){services, G_N_ELEMENTS(services)};
}
