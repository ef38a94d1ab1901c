// SPDX-License-Identifier: Apache-2.0
/* What all tasks on a VM share: find, check, lock, wait; keys and addresses of its devices. See compute.h. */
#include "center/compute/compute.h"
#include "center/api/allowed.h"
#include "center/pools.h"
#include "plan/estate.h"

#define POLL_US 100000

const WsVm *compute_find(const InvSnapshot *snap, WsId id, GError **error)
{
  const WsVm *vm = inv_find(snap, &ws_type_vm, id);
  char text[WS_ID_TEXT_MAX];
  if (!vm)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(ws_type_vm.prefix, id, text), NULL);
  return vm;
}

bool compute_begin(Task *task, VmJob *job, GError **error)
{
  const WsVm *vm = task_find_target(task, error);
  if (!vm)
    return false;
  *job = (VmJob){task_center(task), vm->id, vm->host, vm->uuid};
  TaskLockRef lock = {&ws_type_vm, vm->id, false};
  return (task_is_resumed(task) || allowed_check(task_kind(task)->name, vm, error)) && task_lock(task, &lock, 1, error);
}

RpcLink *compute_link(const VmJob *job, GError **error)
{
  return hosts_link(job->center, job->host, error);
}

guint compute_add_lock(TaskLockRef *locks, guint n, const WsType *type, WsId id)
{
  for (guint i = 0; i < n; i++)
    if (locks[i].type == type && locks[i].id == id)
      return n;
  locks[n] = (TaskLockRef){type, id, true};
  return n + 1;
}

void compute_read_pool_again(Center *center, const InvSnapshot *snap, WsId id)
{
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  for (guint i = 0; pool && i < pool->hosts.len; i++)
    hosts_catch_up(center, pool->hosts.items[i]);
}

bool compute_pool_takes_deletes(Task *task, WsId id, GError **error)
{
  const WsPool *pool = inv_find(task_snapshot(task), &ws_type_pool, id);
  return task_is_resumed(task) || !pool || !pool->suspended ||
         ws_fail(error, WS_ERROR_WRONG_STATE, "object", pool->name, "verb", "delete", "state",
                 ws_pool_state_names[WS_POOL_STATE_SUSPENDED - 1], NULL);
}

bool compute_wait_power(Task *task, WsId id, guint states, gint64 timeout_us, const char *what,
                        GError **error)
{
  Center *center = task_center(task);
  gint64 end = ws_clock_monotonic_us(center->clock) + timeout_us;
  for (;;) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
    const WsVm *vm = compute_find(snap, id, error);
    if (!vm)
      return false;
    if (states & (1u << compute_power_state(vm)))
      return true;
    if (task_cancelled(task))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    if (ws_clock_monotonic_us(center->clock) >= end) {
      g_autofree char *timeout = g_strdup_printf("%" G_GINT64_FORMAT " s", timeout_us / G_USEC_PER_SEC);
      return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", what, "timeout", timeout, NULL);
    }
    ws_co_sleep(POLL_US);
  }
}

/* ---- keys ---- */

char *compute_free_key(const char *stem, bool (*taken)(const char *key, const void *arg), const void *arg)
{
  for (guint i = 0;; i++) {
    g_autofree char *key = g_strdup_printf("%s-%u", stem, i);
    if (!taken(key, arg))
      return g_steal_pointer(&key);
  }
}

#define HAS_KEY(list)                                                                                                  \
  const WsVm *it = vm;                                                                                                 \
  for (guint i = 0; i < it->list.len; i++)                                                                             \
    if (g_strcmp0(it->list.items[i]->key, key) == 0)                                                                   \
      return true;                                                                                                     \
  return false

bool compute_has_disk(const char *key, const void *vm)
{
  HAS_KEY(disks);
}

bool compute_has_cdrom(const char *key, const void *vm)
{
  HAS_KEY(cdroms);
}

bool compute_has_nic(const char *key, const void *vm)
{
  HAS_KEY(nics);
}

typedef struct {
  const char *mac;
  bool taken;
} MacLook;

static bool look_for_mac(const void *object, void *arg)
{
  const WsVm *vm = object;
  MacLook *look = arg;
  for (guint i = 0; i < vm->nics.len; i++)
    look->taken |= vm->nics.items[i]->mac && g_ascii_strcasecmp(vm->nics.items[i]->mac, look->mac) == 0;
  return !look->taken;
}

bool compute_check_reservation(const WsVmCpu *cpu, GError **error)
{
  gint64 most = 100 * MAX(cpu->vcpus, cpu->max_vcpus); /* unset is below all */
  char text[24];
  if (cpu->limit_percent != WS_INT_UNSET)
    most = MIN(most, cpu->limit_percent);
  g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, most);
  return cpu->reservation_percent == WS_INT_UNSET || cpu->reservation_percent <= most ||
         ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", "cpu.reservation_percent", "min", "0", "max", text,
                 NULL);
}

char *compute_new_mac(Center *center, const InvSnapshot *snap)
{
  for (;;) {
    guint8 b[3];
    center->clock->random_bytes(center->clock, b, sizeof b);
    g_autofree char *mac = g_strdup_printf("52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]);
    MacLook look = {mac, false};
    inv_each(snap, &ws_type_vm, look_for_mac, &look);
    if (!look.taken)
      return g_steal_pointer(&mac);
  }
}

void compute_complete_devices(Center *center, const InvSnapshot *snap, WsVm *draft)
{
  for (guint i = 0; i < draft->disks.len; i++)
    if (!draft->disks.items[i]->key)
      draft->disks.items[i]->key = compute_free_key("disk", compute_has_disk, draft);
  for (guint i = 0; i < draft->cdroms.len; i++)
    if (!draft->cdroms.items[i]->key)
      draft->cdroms.items[i]->key = compute_free_key("cd", compute_has_cdrom, draft);
  for (guint i = 0; i < draft->nics.len; i++) {
    WsVmNic *nic = draft->nics.items[i];
    if (!nic->key)
      nic->key = compute_free_key("nic", compute_has_nic, draft);
    if (!nic->mac)
      nic->mac = compute_new_mac(center, snap);
  }
}

/* ---- may these devices be used? ---- */

static bool refuse(GError **error, WsErrorCode code, const char *list, guint i, const char *field, const char *name1,
                   const char *value1, const char *name2, const char *value2)
{
  g_autofree char *path = g_strdup_printf("%s[%u].%s", list, i, field);
  return ws_fail(error, code, "field", path, name1, value1, name2, value2, NULL);
}

static bool check_volume(const InvSnapshot *snap, WsId id, WsId host, const char *list, guint i, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  const WsVolume *volume = inv_find(snap, &ws_type_volume, id);
  const WsPool *pool = volume ? inv_find(snap, &ws_type_pool, volume->pool) : NULL;
  ws_id_format("vol", id, text);
  if (!pool)
    return refuse(error, WS_ERROR_BAD_REFERENCE, list, i, "volume", "object", text, "id", text);
  if (volume->kind == WS_VOLUME_KIND_OVA)
    return refuse(error, WS_ERROR_BAD_VALUE, list, i, "volume", "expected", "a volume that is no exported virtual machine", "id", text);
  if (volume->state != WS_VOLUME_STATE_READY)
    return refuse(error, WS_ERROR_WRONG_STATE, list, i, "volume", "object", volume->name, "state",
                  volume->state ? ws_volume_state_names[volume->state - 1] : "unknown");
  if (volume->in_bin_since)
    return refuse(error, WS_ERROR_WRONG_STATE, list, i, "volume", "object", volume->name, "state", "in the recycle bin");
  if (!plan_pool_has_host(pool, host))
    return refuse(error, WS_ERROR_BAD_VALUE, list, i, "volume", "expected", "a volume that the VM's host reaches", "id", text);
  return true;
}

/* A volume is one VM's disk, or is shared by all that have it: who has it for itself does not share it, and who shares it does not have it for
 * itself. Else two guests that know nothing of each other write one file system. */
static bool check_users(const InvSnapshot *snap, const WsVmDisk *disk, WsId self, guint i, GError **error)
{
  const WsVolume *volume = inv_find(snap, &ws_type_volume, disk->volume);
  bool own = self && volume->used_by == self;
  const WsVm *user = (disk->shared && !volume->used_by) || (own && !disk->shared) ? NULL : pools_other_user(snap, volume, self);
  if (user)
    return refuse(error, WS_ERROR_IN_USE, "disks", i, "volume", "object", volume->name, "user", user->name);
  if (inv_find_by(snap, &ws_type_volume, "parent", volume->id, NULL))
    return refuse(error, WS_ERROR_IN_USE, "disks", i, "volume", "object", volume->name, "user", "its linked clones");
  if (volume->kind == WS_VOLUME_KIND_ISO && !disk->read_only && !own)
    return refuse(error, WS_ERROR_BAD_VALUE, "disks", i, "volume", "expected", "read_only for an ISO, which others may have in a drive", "key", disk->key);
  return true;
}

/* A guest would write into what others are deployed from, and its checksum would no longer be true. */
static bool check_no_image(const InvSnapshot *snap, WsId id, WsId self, guint i, GError **error)
{
  const WsVolume *volume = inv_find(snap, &ws_type_volume, id);
  const WsImage *image = inv_find_by(snap, &ws_type_image, "volume", id, NULL);
  bool has_it = self && volume && volume->used_by == self;
  return !image || has_it || refuse(error, WS_ERROR_IN_USE, "disks", i, "volume", "object", volume->name, "user", image->name);
}

/* As it has it already, which an older version may have allowed: it is taken out again by a change, and nothing else of the VM waits for that. */
static bool has_disk(const WsVm *vm, const WsVmDisk *disk)
{
  for (guint i = 0; vm && i < vm->disks.len; i++)
    if (vm->disks.items[i]->volume == disk->volume && vm->disks.items[i]->shared == disk->shared &&
        vm->disks.items[i]->read_only == disk->read_only)
      return true;
  return false;
}

static bool check_disks(const InvSnapshot *snap, const WsVm *draft, WsId self, WsId host, GError **error)
{
  const WsVm *now = self ? inv_find(snap, &ws_type_vm, self) : NULL;
  for (guint i = 0; i < draft->disks.len; i++) {
    const WsVmDisk *disk = draft->disks.items[i];
    if (disk->new_volume ? disk->volume != 0 : disk->volume == 0)
      return refuse(error, WS_ERROR_BAD_VALUE, "disks", i, "volume", "expected", "either volume or new_volume", "key",
                    disk->key);
    if (disk->volume && (!check_no_image(snap, disk->volume, self, i, error) ||
                         !check_volume(snap, disk->volume, host, "disks", i, error) ||
                         (!has_disk(now, disk) && !check_users(snap, disk, self, i, error))))
      return false;
    for (guint j = 0; j < i; j++)
      if (disk->volume && draft->disks.items[j]->volume == disk->volume)
        return refuse(error, WS_ERROR_BAD_VALUE, "disks", i, "volume", "expected", "each volume once", "key", disk->key);
  }
  return true;
}

static bool has_cd(const WsVm *vm, WsId volume)
{
  for (guint i = 0; vm && i < vm->cdroms.len; i++)
    if (vm->cdroms.items[i]->volume == volume)
      return true;
  return false;
}

/* Another VM's disk in a drive would be read by this guest, and locked against its own. */
static bool check_cds(const InvSnapshot *snap, const WsVm *draft, WsId self, WsId host, GError **error)
{
  const WsVm *now = self ? inv_find(snap, &ws_type_vm, self) : NULL;
  char text[WS_ID_TEXT_MAX];
  for (guint i = 0; i < draft->cdroms.len; i++) {
    WsId id = draft->cdroms.items[i]->volume;
    const WsVolume *volume = id ? inv_find(snap, &ws_type_volume, id) : NULL;
    if (!id)
      continue;
    if (!check_volume(snap, id, host, "cdroms", i, error))
      return false;
    if (volume->kind != WS_VOLUME_KIND_ISO && !has_cd(now, id)) /* what was adopted with one keeps it */
      return refuse(error, WS_ERROR_BAD_VALUE, "cdroms", i, "volume", "expected", "a volume that is an ISO", "id", ws_id_format("vol", id, text));
  }
  return true;
}

bool compute_check_devices(const InvSnapshot *snap, const WsVm *draft, WsId self, WsId host, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  if (!check_disks(snap, draft, self, host, error) || !check_cds(snap, draft, self, host, error))
    return false;
  for (guint i = 0; i < draft->nics.len; i++) {
    WsId id = draft->nics.items[i]->port_group;
    const WsPortGroup *group = inv_find(snap, &ws_type_port_group, id);
    const WsSwitch *sw = group ? inv_find(snap, &ws_type_switch, group->switch_) : NULL;
    ws_id_format("pg", id, text);
    if (!sw)
      return refuse(error, WS_ERROR_BAD_REFERENCE, "nics", i, "port_group", "object", text, "id", text);
    if (sw->host != host)
      return refuse(error, WS_ERROR_BAD_VALUE, "nics", i, "port_group", "expected", "a port group of the VM's host", "id", text);
  }
  return true;
}

bool compute_may_delete(Task *task, const WsVm *vm, GError **error)
{
  return allowed_check(task_kind(task)->name, vm, error);
}
