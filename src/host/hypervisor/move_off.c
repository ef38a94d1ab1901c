// SPDX-License-Identifier: Apache-2.0
/* Moving a VM that is off: its disks go file by file, then its first-boot CD, then what else lies here of it, with which the target
 * defines it. See move-private.h; storage/volume_leave.c and volume_arrive.c for what is done to a disk.
 *
 * **There is one whole copy at any time.** What the source has is not touched; no QEMU can start on its disks while the session lasts.
 * What arrives counts only when the manager has seen it defined there and entered it; until then it is thrown away. The mark to start it with the
 * host is taken off first, so that a source that comes up later does not start what has gone. */
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "host/hypervisor/lease.h"
#include "host/hypervisor/move-private.h"
#include <string.h>

#define SEED_MAX  (8 << 20)
#define STATE_MAX (TUNNEL_PAYLOAD_MAX - 1)
#define PAUSE_US  50000

/* ---- a part on the wire: length of its head (4 bytes, big endian), head (JSON), bytes ---- */

static GByteArray *write_part(const WsVmMovePart *part, const void *bytes, gsize n)
{
  gsize length;
  g_autofree char *head = ws_object_to_json(&ws_type_vm_move_part, part, WS_WRITE_PEER, &length);
  guint32 size = GUINT32_TO_BE((guint32)length);
  GByteArray *out = g_byte_array_sized_new((guint)(sizeof size + length + n));
  g_byte_array_append(out, (const guint8 *)&size, sizeof size);
  g_byte_array_append(out, (const guint8 *)head, (guint)length);
  if (n)
    g_byte_array_append(out, bytes, (guint)n);
  return out;
}

static WsVmMovePart *read_part(GBytes *payload, const void **bytes, gsize *n, GError **error)
{
  gsize size;
  const char *at = g_bytes_get_data(payload, &size);
  guint32 length;
  if (size < sizeof length)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "part", "expected", "a head", NULL), NULL;
  memcpy(&length, at, sizeof length);
  length = GUINT32_FROM_BE(length);
  if (length > size - sizeof length)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "part", "expected", "a head", NULL), NULL;
  *bytes = at + sizeof length + length;
  *n = size - sizeof length - length;
  return ws_vm_move_part_parse(at + sizeof length, length, WS_PARSE_RPC, error);
}

/* ---- the source ---- */

typedef struct {
  VirtMove *move;
  const WsRpcVmMigrateStart *params;
  VirtConn *conn;
  virDomainPtr domain;
  int autostart; /* libvirt's mark */
  bool marked;   /* our own */
  TunnelCaller *files;
  guint64 total, sent;
  gint64 began_us;
} Off;

static bool is_cancelled(const Off *off, GError **error)
{
  return g_atomic_int_get(&off->move->cancel) && !ws_fail(error, WS_ERROR_CANCELLED, NULL);
}

static bool begin(Off *off, GError **error)
{
  const WsRpcVmMigrateStart *p = off->params;
  off->conn = virt_conn_acquire(off->move->hv, error);
  off->domain = off->conn ? virt_find(off->conn, p->vm, p->uuid, error) : NULL;
  if (!off->domain)
    return false;
  WsPowerState state = virt_state(off->domain);
  if (state != WS_POWER_STATE_OFF)
    return virt_wrong_state(error, p->vm, p->uuid, "move as one that is off", state);
  virDomainGetAutostart(off->domain, &off->autostart);
  if (off->autostart && virDomainSetAutostart(off->domain, 0) < 0)
    return virt_fail(error, p->vm, p->uuid, "take the autostart mark off");
  off->marked = virt_lease_autostart(off->move->hv, p->uuid);
  return virt_lease_set_autostart(off->move->hv, p->uuid, false, error);
}

static void tell(Off *off)
{
  VirtMove *move = off->move;
  g_mutex_lock(&move->hv->lock);
  move->progress->disk_total_bytes = (gint64)off->total;
  move->progress->disk_done_bytes = (gint64)off->sent;
  move->progress->disk_remaining_bytes = (gint64)(off->total - MIN(off->sent, off->total));
  g_mutex_unlock(&move->hv->lock);
}

static VolumeLeave *open_leave(Off *off, const WsVmMoveLeaving *leaving, GError **error)
{
  VolumeLeave *leave = storage_leave(off->move->hv->config.storage, leaving->pool, leaving->file, (gint)leaving->format, error);
  if (!leave)
    return NULL;
  g_ptr_array_add(off->move->leaves, leave);
  for (guint i = 0; i < volume_leave_n_files(leave); i++) {
    guint64 bytes, data_bytes;
    volume_leave_file(leave, i, &bytes, &data_bytes);
    off->total += data_bytes;
  }
  return leave;
}

/* All are opened first: then none can be started from, and the sum is known. */
static bool open_all(Off *off, GError **error)
{
  off->move->leaves = g_ptr_array_new_with_free_func((GDestroyNotify)volume_leave_free);
  for (guint i = 0; i < off->params->leaving.len; i++)
    if (!open_leave(off, off->params->leaving.items[i], error))
      return false;
  tell(off);
  return true;
}

/* Keeps to the rate asked for, as seen over all. */
static bool hold_back(Off *off, GError **error)
{
  gint64 rate = off->params->bandwidth_bytes_per_s;
  gint64 due_us = rate == WS_INT_UNSET ? 0 : off->began_us + (gint64)((double)off->sent / (double)rate * G_USEC_PER_SEC);
  while (g_get_monotonic_time() < due_us && !g_atomic_int_get(&off->move->cancel))
    g_usleep((gulong)CLAMP(due_us - g_get_monotonic_time(), 1, PAUSE_US));
  return !is_cancelled(off, error);
}

static bool send_part(Off *off, const WsVmMovePart *part, const void *bytes, gsize n, GError **error)
{
  g_autoptr(GByteArray) out = write_part(part, bytes, n);
  return tunnel_caller_call(off->files, out->data, out->len, error);
}

static bool send_pieces(Off *off, VolumeLeave *leave, const char *key, GError **error)
{
  for (VolumePiece piece; volume_leave_next(leave, &piece, error);) {
    if (piece.n == 0)
      return true;
    g_autofree char *sha256 = ws_sha256_hex(piece.bytes, piece.n);
    WsVmMovePart part = {.kind = WS_VM_MOVE_PART_KIND_PIECE, .key = (char *)key, .file = piece.file, .offset = (gint64)piece.offset,
                         .bytes = WS_INT_UNSET, .data_bytes = WS_INT_UNSET, .sha256 = sha256};
    if (!send_part(off, &part, piece.bytes, piece.n, error))
      return false;
    off->sent += piece.n;
    tell(off);
    if (!hold_back(off, error))
      return false;
  }
  return false;
}

static bool send_disk(Off *off, guint i, GError **error)
{
  const WsVmMoveLeaving *leaving = off->params->leaving.items[i];
  VolumeLeave *leave = off->move->leaves->pdata[i];
  for (guint f = 0; f < volume_leave_n_files(leave); f++) {
    guint64 bytes, data_bytes;
    const char *name = volume_leave_file(leave, f, &bytes, &data_bytes);
    WsVmMovePart part = {.kind = WS_VM_MOVE_PART_KIND_FILE, .key = leaving->key, .file = f, .name = (char *)name,
                         .bytes = (gint64)bytes, .data_bytes = (gint64)data_bytes, .offset = WS_INT_UNSET};
    if (!send_part(off, &part, NULL, 0, error))
      return false;
  }
  WsVmMovePart finish = {.kind = WS_VM_MOVE_PART_KIND_FINISH, .key = leaving->key, .format = (int)leaving->format,
                         .bytes = WS_INT_UNSET, .data_bytes = WS_INT_UNSET, .offset = WS_INT_UNSET};
  return send_pieces(off, leave, leaving->key, error) && send_part(off, &finish, NULL, 0, error);
}

static bool send_seed(Off *off, GError **error)
{
  VirtHost host = virt_host(off->move->hv);
  g_autofree char *path = virt_seed_path(&host, off->params->uuid);
  gsize n;
  if (!off->params->spec->seed || !g_file_test(path, G_FILE_TEST_EXISTS))
    return true;
  g_autofree char *bytes = ws_file_read(path, SEED_MAX, &n, error);
  return bytes && tunnel_request(off->move->tunnel, MOVE_SEED, bytes, n, error);
}

static bool send_state(Off *off, GError **error)
{
  char *xml = virDomainGetXMLDesc(off->domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
  g_autoptr(WsVmMoveState) state = xml ? virt_move_state(xml, off->params->uuid, error) : NULL;
  gsize n = 0;
  g_autofree char *text = state ? ws_object_to_json(&ws_type_vm_move_state, state, WS_WRITE_PEER, &n) : NULL;
  if (!xml)
    return virt_fail(error, off->params->vm, off->params->uuid, "read the definition of");
  free(xml);
  bool fits = text && (n <= STATE_MAX || ws_fail(error, WS_ERROR_TOO_LARGE, "what", "the VM's state", "limit", "8 MiB", NULL));
  bool ok = fits && tunnel_request(off->move->tunnel, MOVE_STATE, text, n, error);
  if (text)
    memset(text, 0, n); /* a TPM's secrets */
  return ok;
}

static bool work(Off *off, GError **error)
{
  if (!begin(off, error) || !open_all(off, error))
    return false;
  off->began_us = g_get_monotonic_time();
  for (guint i = 0; i < off->params->leaving.len; i++)
    if (!send_disk(off, i, error))
      return false;
  return send_seed(off, error) && !is_cancelled(off, error) && send_state(off, error);
}

gpointer virt_move_off_run(gpointer arg)
{
  g_autoptr(VirtMove) move = arg;
  g_autoptr(GError) error = NULL;
  Off off = {.move = move, .params = move->params};
  off.files = tunnel_caller_new(move->tunnel, MOVE_FILES);
  bool done = work(&off, &error);
  tunnel_caller_free(off.files);
  if (!done && g_atomic_int_get(&move->cancel)) { /* the broken session is what came of it */
    g_clear_error(&error);
    ws_fail(&error, WS_ERROR_CANCELLED, NULL);
  }
  if (!done)
    g_clear_pointer(&move->leaves, g_ptr_array_unref); /* it may be started again */
  if (!done && off.autostart && off.domain)
    virDomainSetAutostart(off.domain, 1);
  if (!done && off.marked)
    virt_lease_set_autostart(move->hv, move->uuid, true, NULL);
  virt_move_conclude(move, done, g_steal_pointer(&error));
  g_clear_pointer(&off.domain, virDomainFree);
  virt_conn_release(off.conn);
  return NULL;
}

/* ---- the target: disks ---- */

static const WsVmMoveArrival *announced(const VirtMove *move, const char *key)
{
  for (guint i = 0; i < move->prepared->arrivals.len; i++)
    if (strcmp(move->prepared->arrivals.items[i]->key, key) == 0)
      return move->prepared->arrivals.items[i];
  return NULL;
}

static StorageOp op_of(VirtMove *move)
{
  return (StorageOp){.cancel = &move->cancel};
}

static bool take_file(VirtMove *move, const WsVmMovePart *part, const WsVmMoveArrival *disk, GError **error)
{
  VolumeArrival *arrival = g_hash_table_lookup(move->arrivals, part->key);
  if (part->file == 0) {
    StorageOp op = op_of(move);
    g_hash_table_remove(move->arrivals, part->key);
    arrival = storage_arrive(move->hv->config.storage, disk->pool, disk->file, (gint)disk->format, (gint)disk->provisioning,
                             (guint64)disk->size_bytes, &op, error);
    if (!arrival)
      return false;
    g_hash_table_insert(move->arrivals, g_strdup(part->key), arrival);
  }
  if (!arrival || !part->name || part->bytes == WS_INT_UNSET || part->data_bytes == WS_INT_UNSET)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "part", "expected", "a file of a disk", NULL);
  return volume_arrival_file(arrival, part->name, (guint64)part->bytes, (guint64)part->data_bytes, error);
}

static bool finish_disk(VirtMove *move, const WsVmMovePart *part, VolumeArrival *arrival, GError **error)
{
  StorageOp op = op_of(move);
  gint64 allocated = 0;
  if (!volume_arrival_finish(arrival, (gint)part->format, &op, &allocated, error))
    return false;
  g_hash_table_insert(move->arrivals, g_strdup(part->key), NULL);
  return true;
}

bool virt_move_take_part(GBytes *payload, void *arg, GError **error)
{
  VirtMove *move = arg;
  const void *bytes;
  gsize n;
  g_autoptr(WsVmMovePart) part = read_part(payload, &bytes, &n, error);
  const WsVmMoveArrival *disk = part ? announced(move, part->key) : NULL;
  VolumeArrival *arrival = part ? g_hash_table_lookup(move->arrivals, part->key) : NULL;
  if (!part)
    return false;
  if (!disk || (part->kind != WS_VM_MOVE_PART_KIND_FILE && !arrival))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "key", "expected", "a disk that was announced", NULL);
  VolumePiece piece = {.file = (guint)part->file, .offset = (guint64)MAX(part->offset, 0), .bytes = bytes, .n = n};
  switch (part->kind) {
  case WS_VM_MOVE_PART_KIND_FILE:
    return take_file(move, part, disk, error);
  case WS_VM_MOVE_PART_KIND_PIECE:
    return volume_arrival_piece(arrival, &piece, part->sha256, error);
  default:
    return finish_disk(move, part, arrival, error);
  }
}

/* ---- the target: its definition, when all else is there ---- */

static bool all_arrived(const VirtMove *move, GError **error)
{
  for (guint i = 0; i < move->prepared->arrivals.len; i++) {
    const char *key = move->prepared->arrivals.items[i]->key;
    void *left = NULL;
    if (!g_hash_table_lookup_extended(move->arrivals, key, NULL, &left) || left)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", key, NULL);
  }
  return true;
}

static char *definition_here(VirtMove *move, const WsVmMoveState *state, GError **error)
{
  g_autoptr(WsVmSpec) spec = virt_prepare_spec(move->hv, move->prepared->spec, error);
  g_autoptr(WsRpcVmMigratePrepareResult) files = ws_rpc_vm_migrate_prepare_result_new();
  if (!spec || !virt_move_name_files(move, spec, files, error))
    return NULL;
  VirtMoveThere there = {spec, files->disks.items, files->disks.len, files->seed_path, files->serial_log};
  g_autofree char *xml = virt_move_xml_off(state->definition, &there, error);
  bool ours = xml && (move->spec || virt_move_expect(move, move->prepared->spec, files, error)) &&
              virt_move_may_be(move, xml, error);
  return ours ? g_steal_pointer(&xml) : NULL;
}

static bool define(VirtMove *move, const WsVmMoveState *state, GError **error)
{
  g_autofree char *xml = definition_here(move, state, error);
  g_autoptr(VirtConn) conn = xml ? virt_conn_acquire(move->hv, error) : NULL;
  if (!conn)
    return false;
  VIRT_AUTO_DOMAIN domain = virDomainDefineXMLFlags(conn->c, xml, 0);
  char *defined = domain ? virt_xml(domain, false) : NULL;
  if (!defined)
    return virt_fail(error, move->vm, move->uuid, "define");
  bool ok = virt_move_state_put(state, defined, move->uuid, error);
  free(defined);
  if (ok)
    virt_facts_set_vm(move->hv, move->uuid, move->vm);
  else
    virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_TPM);
  return ok;
}

bool virt_move_take_state(GBytes *payload, void *arg, GError **error)
{
  VirtMove *move = arg;
  gsize n;
  const char *text = g_bytes_get_data(payload, &n);
  if (!all_arrived(move, error))
    return false;
  g_autoptr(WsVmMoveState) state = ws_vm_move_state_parse(text, n, WS_PARSE_RPC, error);
  return state && define(move, state, error);
}
