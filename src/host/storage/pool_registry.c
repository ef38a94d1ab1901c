// SPDX-License-Identifier: Apache-2.0
/* What a host remembers of its pools over its own restart: pools.json in the agent's state directory, small and written whole; and the tag
 * that tells its unfinished files from those of other hosts. */
#include "base/error.h"
#include "base/files.h"
#include "host/storage/storage-private.h"
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define REGISTRY_FILE "pools.json"
#define TAG_FILE "tag"
#define MAX_REGISTRY_BYTES (4 << 20)

/* ---- a pool in memory ---- */

void storage_pool_free(void *data)
{
  StoragePool *p = data;
  g_free(p->path);
  g_free(p->uuid);
  g_free(p->filesystem);
  ws_pool_nfs_free(p->nfs);
  reach_gate_unref(p->gate);
  if (p->names)
    g_hash_table_unref(p->names);
  g_free(p);
}

StoragePool *storage_find_pool(Storage *storage, WsId id)
{
  return g_hash_table_lookup(storage->pools, &id);
}

/* In the words of the contract. */
static json_t *nfs_to_json(const WsPoolNfs *nfs)
{
  gsize n;
  g_autofree char *text = ws_object_to_json(&ws_type_pool_nfs, nfs, WS_WRITE_PEER, &n);
  return json_loadb(text, n, 0, NULL);
}

/* NULL: there is none, or it says nothing. */
static WsPoolNfs *nfs_of_json(const json_t *item)
{
  const json_t *nfs = json_object_get(item, "nfs");
  char *text = nfs ? json_dumps(nfs, JSON_COMPACT) : NULL;
  WsPoolNfs *parsed = text ? ws_pool_nfs_parse(text, strlen(text), WS_PARSE_RPC, NULL) : NULL;
  free(text); /* jansson's */
  return parsed;
}

/* Under lock: the registry as text. */
static char *registry_to_json(Storage *storage)
{
  json_t *root = json_array();
  GHashTableIter iter;
  StoragePool *p;
  g_hash_table_iter_init(&iter, storage->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&p)) {
    json_t *item = json_pack("{s:I s:s s:s s:b}", "pool", (json_int_t)p->id, "path", p->path, "uuid", p->uuid, "suspended", p->suspended);
    if (p->nfs)
      json_object_set_new(item, "nfs", nfs_to_json(p->nfs));
    json_array_append_new(root, item);
  }
  char *text = json_dumps(root, JSON_INDENT(1));
  json_decref(root);
  return text;
}

bool registry_save(Storage *storage, GError **error)
{
  g_mutex_lock(&storage->lock);
  char *text = registry_to_json(storage);
  g_mutex_unlock(&storage->lock);
  g_autofree char *path = g_build_filename(storage->state_dir, REGISTRY_FILE, NULL);
  bool ok = ws_file_write(path, text, strlen(text), 0600, error);
  free(text); /* jansson's */
  return ok;
}

StoragePool *storage_pool_new(WsId id, const char *path, const char *uuid, WsPoolNfs *nfs, bool suspended)
{
  StoragePool *p = g_new0(StoragePool, 1);
  *p = (StoragePool){.id = id, .path = g_strdup(path), .uuid = g_strdup(uuid), .nfs = nfs, .gate = reach_gate_new(), .suspended = suspended};
  return p;
}

bool registry_load(Storage *storage, GError **error)
{
  g_autofree char *path = g_build_filename(storage->state_dir, REGISTRY_FILE, NULL);
  if (access(path, F_OK) != 0)
    return true; /* the first start */
  gsize n;
  g_autofree char *text = ws_file_read(path, MAX_REGISTRY_BYTES, &n, error);
  if (!text)
    return false;
  json_error_t why;
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why), *item;
  size_t i;
  if (!json_is_array(root)) {
    json_decref(root);
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", "it is damaged", NULL);
  }
  json_array_foreach (root, i, item) {
    json_int_t id = 0;
    const char *pool_path = NULL, *uuid = NULL;
    int suspended = 0;
    if (json_unpack(item, "{s:I s:s s:s s:b}", "pool", &id, "path", &pool_path, "uuid", &uuid, "suspended",
                    &suspended) == 0) {
      StoragePool *p = storage_pool_new((WsId)id, pool_path, uuid, nfs_of_json(item), suspended);
      g_hash_table_insert(storage->pools, &p->id, p);
    }
  }
  json_decref(root);
  return true;
}

/* What tells this host's unfinished files from those of others in a shared pool; drawn once. */
bool registry_load_tag(Storage *storage, GError **error)
{
  g_autofree char *path = g_build_filename(storage->state_dir, TAG_FILE, NULL);
  guint32 drawn;
  char tag[16];
  gsize n = 0;
  if (access(path, F_OK) == 0) {
    g_autofree char *text = ws_file_read(path, sizeof tag - 1, &n, error);
    if (!text)
      return false;
    if (n != 8 || strspn(text, "0123456789abcdef") != 8)
      return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", "it is damaged", NULL);
    storage->new_prefix = g_strdup_printf(NEW_PREFIX "%s-", text);
    return true;
  }
  storage->clock->random_bytes(storage->clock, &drawn, sizeof drawn);
  g_snprintf(tag, sizeof tag, "%08x", drawn);
  storage->new_prefix = g_strdup_printf(NEW_PREFIX "%s-", tag);
  return ws_file_write(path, tag, strlen(tag), 0600, error);
}
