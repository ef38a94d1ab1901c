// SPDX-License-Identifier: Apache-2.0
/* The recycle bin. See bin.h. */
#include "center/bin.h"
#include "base/log.h"
#include "center/auth/audit.h"
#include "center/hosts/hosts.h"
#include "center/room.h"

#define ALARM    "bin_stuck"
#define DAY_US   ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define AGAIN_US ((gint64)3600 * G_USEC_PER_SEC)
#define CLOCKS_APART_US ((gint64)3600 * G_USEC_PER_SEC) /* a host's from the manager's: whichever of the two is wrong */
#define AT_ONCE  20  /* begun with each look: hosts have other things to do */
#define MOVED_AT_ONCE 500 /* times written in one transaction */

/* How long things are kept; 0: for ever. */
static gint64 keep_us(const InvSnapshot *snap)
{
  const WsSite *site = room_site(snap);
  return site && site->bin_days > 0 ? site->bin_days * DAY_US : 0;
}

static gint64 expires_us(Center *center, gint64 now_us)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  gint64 keep = keep_us(snap);
  return keep ? now_us + keep : 0;
}

/* ---- in and out ---- */

void bin_put_vm(Center *center, WsVm *vm, bool wipe)
{
  vm->management = WS_VM_MANAGEMENT_IN_BIN;
  vm->in_bin_since = ws_clock_wall_us(center->clock);
  vm->bin_expires = expires_us(center, vm->in_bin_since);
  vm->bin_wipe = wipe;
}

void bin_put_volume(Center *center, WsVolume *volume, bool wipe)
{
  volume->in_bin_since = ws_clock_wall_us(center->clock);
  volume->bin_expires = expires_us(center, volume->in_bin_since);
  volume->bin_wipe = wipe;
  volume->bin_held = false;
}

void bin_hold_volume(WsVolume *volume, gint64 now_us)
{
  volume->in_bin_since = now_us;
  volume->bin_expires = 0;
  volume->bin_wipe = false;
  volume->bin_held = true;
}

void bin_take_vm(WsVm *vm)
{
  vm->management = WS_VM_MANAGEMENT_MANAGED;
  vm->in_bin_since = vm->bin_expires = 0;
  vm->bin_wipe = false;
}

void bin_take_volume(WsVolume *volume)
{
  volume->in_bin_since = volume->bin_expires = 0;
  volume->bin_wipe = volume->bin_held = false;
}

void bin_take_volume_alone(const InvSnapshot *snap, WsVolume *volume)
{
  const WsVm *vm = volume->used_by ? inv_find(snap, &ws_type_vm, volume->used_by) : NULL;
  bin_take_volume(volume);
  if (vm && vm->management == WS_VM_MANAGEMENT_IN_BIN)
    volume->used_by = 0;
}

bool bin_volume_goes(const WsVolume *volume, const WsVm *vm)
{
  return volume && volume->used_by == vm->id && (vm->management != WS_VM_MANAGEMENT_IN_BIN || volume->in_bin_since);
}

/* ---- times that the setting has moved ---- */

typedef struct {
  Center *center;
  InvTxn *txn;
  const InvSnapshot *head;
  gint64 now, keep;
  guint n_moved;
  GArray *due; /* WsAnyRef; VMs first */
  gint64 run_us;    /* monotonic */
  GHashTable *soon; /* due within a day, or due -> since when this manager sees it */
} Look;

/* When it goes, from when it should go by the setting as it is now. */
static gint64 moved_us(const Look *look, gint64 since, gint64 expires)
{
  gint64 wanted = since + look->keep, notice = look->now + DAY_US;
  if (!look->keep)
    return 0;
  if (!expires)
    return look->now + look->keep;
  return wanted >= notice ? wanted : MIN(expires, notice);
}

static bool is_moved(Look *look, gint64 since, gint64 expires, gint64 *to)
{
  *to = moved_us(look, since, expires);
  return *to != expires && look->n_moved++ < MOVED_AT_ONCE;
}

static gint64 seen_since(const Center *center, WsId id, gint64 otherwise)
{
  const gint64 *since = center->bin_soon ? g_hash_table_lookup(center->bin_soon, &id) : NULL;
  return since ? *since : otherwise;
}

/* A day ahead, so that what is watched all the time goes when it was said. */
static void note_due(Look *look, const WsType *type, WsId id, gint64 expires, gint64 to)
{
  WsAnyRef ref = {type, id};
  gint64 since = seen_since(look->center, id, look->run_us);
  if (to && to <= look->now + DAY_US)
    g_hash_table_insert(look->soon, g_memdup2(&id, sizeof id), g_memdup2(&since, sizeof since));
  if (expires && to == expires && expires <= look->now)
    g_array_append_val(look->due, ref);
}

static bool look_at_vm(const void *object, void *arg)
{
  const WsVm *vm = object;
  Look *look = arg;
  gint64 to;
  if (vm->management != WS_VM_MANAGEMENT_IN_BIN || !vm->in_bin_since)
    return true;
  if (is_moved(look, vm->in_bin_since, vm->bin_expires, &to) && !vm->activity)
    ((WsVm *)inv_edit(look->txn, vm))->bin_expires = to;
  note_due(look, &ws_type_vm, vm->id, vm->bin_expires, to);
  return true;
}

/* One that a VM has goes with that. */
static bool look_at_volume(const void *object, void *arg)
{
  const WsVolume *volume = object;
  Look *look = arg;
  gint64 to;
  if (!volume->in_bin_since || volume->bin_held)
    return true;
  if (is_moved(look, volume->in_bin_since, volume->bin_expires, &to) && !volume->activity)
    ((WsVolume *)inv_edit(look->txn, volume))->bin_expires = to;
  if (!volume->used_by || !inv_find(look->head, &ws_type_vm, volume->used_by))
    note_due(look, &ws_type_volume, volume->id, volume->bin_expires, to);
  return true;
}

/* ---- what is due ---- */

static bool begin(Center *center, const WsAnyRef *ref, const char *name, GError **error)
{
  AuditBegun record = {.log = center->audit, .user = "system", .operation = ref->type == &ws_type_vm ? "vm_delete" : "volume_delete",
                       .object = *ref, .name = name, .risk = WS_AUDIT_RECORD_RISK_HIGH, .request_id = "recycle-bin"};
  const TaskCause cause = {.user_name = record.user, .cause = "retention", .request_id = record.request_id, .enrich = audit_begun, .enrich_arg = &record};
  TaskStarted started = {0};
  WsVmDelete *args = NULL;
  if (ref->type == &ws_type_vm) {
    args = ws_vm_delete_new();
    args->how = WS_VM_DELETE_HOW_DESTROY;
  }
  return task_start(center->tasks, task_kind_find(center->tasks, record.operation), ref->id, args, &cause, false, 0, &started, error);
}

/* It is there, and told lately a time like ours: when the manager's clock is wrong by weeks, all that lies in the bin is not due. Its time is compared
 * with now: how far the two were apart when it was told says nothing of a clock that jumped since. */
static bool would_agree(Center *center, const InvSnapshot *head, WsId id)
{
  const WsHost *host = inv_find(head, &ws_type_host, id);
  return host && hosts_is_connected(center, id) && host->load && ABS(host->load->sampled - ws_clock_wall_us(center->clock)) <= CLOCKS_APART_US;
}

static bool is_reached(Center *center, const InvSnapshot *head, const WsPool *pool)
{
  for (guint i = 0; pool && i < pool->hosts.len; i++)
    if (would_agree(center, head, pool->hosts.items[i]))
      return true;
  return false;
}

/* Nobody works on it, and somebody is there to delete it. */
static bool can_begin(Center *center, const InvSnapshot *head, const WsAnyRef *ref, const char **name)
{
  if (ref->type == &ws_type_vm) {
    const WsVm *vm = inv_find(head, ref->type, ref->id);
    *name = vm ? vm->name : NULL;
    return vm && vm->management == WS_VM_MANAGEMENT_IN_BIN && !vm->activity &&
           (!vm->host || (would_agree(center, head, vm->host) && bin_seen_is_listed(center, vm->host)));
  }
  const WsVolume *volume = inv_find(head, ref->type, ref->id);
  *name = volume ? volume->name : NULL;
  return volume && volume->in_bin_since && !volume->activity && is_reached(center, head, inv_find(head, &ws_type_pool, volume->pool));
}

static gint64 tried_until(Center *center, WsId id)
{
  const gint64 *until = g_hash_table_lookup(center->bin_tries, &id);
  return until ? *until : 0;
}

static void remember_try(Center *center, WsId id, gint64 until)
{
  g_hash_table_replace(center->bin_tries, g_memdup2(&id, sizeof id), g_memdup2(&until, sizeof until));
}

/* The inventory says that it is in the bin, and a host that it is not: then the inventory may be the older one, and nobody but people deletes it. */
static bool is_defined(Center *center, const InvSnapshot *head, const WsAnyRef *ref)
{
  const WsVm *vm = ref->type == &ws_type_vm ? inv_find(head, ref->type, ref->id) : NULL;
  WsId id = vm ? bin_seen_where(center, vm->uuid) : 0;
  const WsHost *host = id ? inv_find(head, &ws_type_host, id) : NULL;
  char text[WS_ID_TEXT_MAX];
  if (!id || vm->activity) /* it is being restored, say */
    return id != 0;
  if (!center_alarm_is_open(center, ref->type, ref->id, ALARM))
    center_event(center, CENTER_MINOR, ref->type, ref->id, "host report", "vm_defined_in_bin", "name", vm->name, "host",
                 host ? host->name : ws_id_format("host", id, text), NULL);
  center_alarm_open(center, CENTER_MINOR, ref->type, ref->id, ALARM);
  return true;
}

/* True: it was begun. */
static bool delete_one(Center *center, const WsAnyRef *ref, gint64 now)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GError) error = NULL;
  const char *name;
  char id[WS_ID_TEXT_MAX];
  gint64 run_us = ws_clock_monotonic_us(center->clock);
  if (is_defined(center, head, ref) || run_us - seen_since(center, ref->id, run_us) < DAY_US || !can_begin(center, head, ref, &name))
    return false;
  gint64 until = tried_until(center, ref->id);
  if (until) /* what was begun is over, and it is still there */
    center_alarm_open(center, CENTER_MINOR, ref->type, ref->id, ALARM);
  if (until > now)
    return false;
  remember_try(center, ref->id, now + AGAIN_US);
  if (begin(center, ref, name, &error))
    return true;
  ws_log_error(WS_LOG_WARNING, "bin-stuck", error, "object", ws_id_format(ref->type->prefix, ref->id, id), NULL);
  if (ws_error_code(error) == WS_ERROR_BUSY || ws_error_code(error) == WS_ERROR_TOO_MANY_REQUESTS)
    g_hash_table_remove(center->bin_tries, &ref->id);
  else
    center_alarm_open(center, CENTER_MINOR, ref->type, ref->id, ALARM);
  return false;
}

/* ---- alarms that are over ---- */

static bool is_due(const GArray *due, const WsAnyRef *ref)
{
  for (guint i = 0; i < due->len; i++) {
    const WsAnyRef *one = &g_array_index(due, WsAnyRef, i);
    if (one->type == ref->type && one->id == ref->id)
      return true;
  }
  return false;
}

static bool collect_over(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  GArray **lists = arg; /* due, over */
  if (alarm->object.type && !is_due(lists[0], &alarm->object))
    g_array_append_val(lists[1], alarm->object);
  return true;
}

/* It was fetched, or there is time again. */
static void close_alarms(Center *center, const InvSnapshot *head, GArray *due)
{
  g_autoptr(GArray) over = g_array_new(FALSE, FALSE, sizeof(WsAnyRef));
  GArray *lists[2] = {due, over};
  inv_each_by(head, &ws_type_alarm, ws_type_field(&ws_type_alarm, "kind", 4), 0, ALARM, collect_over, lists);
  for (guint i = 0; i < over->len; i++) {
    const WsAnyRef *ref = &g_array_index(over, WsAnyRef, i);
    g_hash_table_remove(center->bin_tries, &ref->id);
    center_alarm_close(center, ref->type, ref->id, ALARM);
  }
}

static gboolean is_long_ago(gpointer id, gpointer until, gpointer now)
{
  return *(const gint64 *)until + AGAIN_US < *(const gint64 *)now; /* it is gone: else it would have been tried again */
}

void bin_watch(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autoptr(GArray) due = g_array_new(FALSE, FALSE, sizeof(WsAnyRef));
  g_autoptr(GError) error = NULL;
  if (store_state(center->store) == STORE_READ_ONLY)
    return; /* nothing can be begun; that has an alarm of its own */
  Look look = {center, txn, head, ws_clock_wall_us(center->clock), keep_us(head), 0, due, ws_clock_monotonic_us(center->clock),
               g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free)};
  if (!center->bin_tries)
    center->bin_tries = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  g_hash_table_foreach_remove(center->bin_tries, is_long_ago, &look.now);
  inv_each(head, &ws_type_vm, look_at_vm, &look);
  inv_each(head, &ws_type_volume, look_at_volume, &look);
  g_clear_pointer(&center->bin_soon, g_hash_table_unref);
  center->bin_soon = look.soon; /* what was fetched or is gone is in it no more */
  if (look.n_moved && !inv_commit(txn, NULL, &error)) {
    ws_log_error(WS_LOG_WARNING, "bin-times-not-moved", error, NULL);
    return;
  }
  close_alarms(center, head, due);
  for (guint i = 0, begun = 0; i < due->len && begun < AT_ONCE; i++)
    begun += delete_one(center, &g_array_index(due, WsAnyRef, i), look.now);
}

void bin_free(Center *center)
{
  g_clear_pointer(&center->bin_tries, g_hash_table_unref);
  g_clear_pointer(&center->bin_soon, g_hash_table_unref);
  g_clear_pointer(&center->bin_defined, g_hash_table_unref);
  g_clear_pointer(&center->bin_listed, g_hash_table_unref);
}
