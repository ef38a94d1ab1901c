// SPDX-License-Identifier: Apache-2.0
/* Do inventory and host say the same? See center-rig.h. */
#include "center-rig.h"
#include "center/auth/audit.h"
#include "center/compute/compute.h"
#include "center/quota.h"
#include "plan/estate.h"
#include "task/task-private.h"
#include <string.h>

typedef struct {
  CenterRig *rig;
  const InvSnapshot *snap;
  HostDisks *disks;
  GString *found; /* quarrels */
} Look;

static void G_GNUC_PRINTF(2, 3) quarrel(Look *look, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if (look->found->len)
    g_string_append(look->found, "; ");
  g_string_append_vprintf(look->found, format, args);
  va_end(args);
}

static guint as_uint(WsId id)
{
  return (guint)id;
}

/* NULL: the site has no such host, or none any more. */
static HostTruth *truth_of(const Look *look, WsId host)
{
  for (guint i = 0; i < RIG_HOSTS; i++)
    if (look->rig->hosts[i].id == host)
      return &look->rig->world->hosts[i];
  return NULL;
}

/* ---- each object of the inventory ---- */

static bool look_at_volume(const void *object, void *arg)
{
  const WsVolume *v = object;
  Look *look = arg;
  const HostFile *f = v->file ? host_find_file(look->disks, v->pool, v->file) : NULL;
  const WsVm *user = v->used_by ? inv_find(look->snap, &ws_type_vm, v->used_by) : NULL;
  bool whole = f && !f->partial;
  if (look->rig->world->fault == RIG_AWAY && v->state == WS_VOLUME_STATE_MISSING && v->in_bin_since)
    return true; /* it was deleted, and the answer that said so was lost for long */
  if (v->state != WS_VOLUME_STATE_READY && v->state != WS_VOLUME_STATE_AWAITING_UPLOAD)
    quarrel(look, "vol-%u is %s", as_uint(v->id), ws_volume_state_names[v->state - 1]);
  if (whole != (v->state == WS_VOLUME_STATE_READY))
    quarrel(look, "vol-%u is %s, whole file: %d", as_uint(v->id), ws_volume_state_names[v->state - 1], whole);
  if (whole && (f->format != (int)v->format || f->size_bytes != v->size_bytes))
    quarrel(look, "vol-%u and its file differ in format or size", as_uint(v->id));
  if (v->used_by && !user)
    quarrel(look, "vol-%u is used by nobody", as_uint(v->id));
  for (guint i = 0; user && i < user->disks.len; i++)
    if (user->disks.items[i]->volume == v->id)
      return true;
  if (user)
    quarrel(look, "vol-%u is used by vm-%u, which has no such disk", as_uint(v->id), as_uint(user->id));
  return true;
}

static bool look_at_image(const void *object, void *arg)
{
  const WsImage *image = object;
  Look *look = arg;
  const WsVolume *v = inv_find(look->snap, &ws_type_volume, image->volume);
  if (!v)
    quarrel(look, "img-%u has no volume", as_uint(image->id));
  else if ((image->state == WS_IMAGE_STATE_READY) != (v->state == WS_VOLUME_STATE_READY) ||
           image->state == WS_IMAGE_STATE_IMPORTING)
    quarrel(look, "img-%u is %s", as_uint(image->id), ws_image_state_names[image->state - 1]);
  return true;
}

static bool look_at_host_mode(const void *object, void *arg)
{
  const WsHost *host = object;
  if (host->mode == WS_HOST_MODE_ENTERING_MAINTENANCE)
    quarrel(arg, "host-%u is on its way into maintenance", as_uint(host->id));
  if ((host->firewall && host->firewall->enabled) != (truth_of(arg, host->id)->firewall[0] != 0))
    quarrel(arg, "host-%u has another firewall", as_uint(host->id));
  return true;
}

static bool look_at_pool(const void *object, void *arg)
{
  const WsPool *pool = object;
  Look *look = arg;
  int wanted = pool->suspended ? WS_POOL_STATE_SUSPENDED : WS_POOL_STATE_ACTIVE;
  for (guint i = 0; i < RIG_HOSTS; i++) {
    const HostPool *p = host_find_pool(&look->rig->world->hosts[i], pool->id);
    if (!inv_find(look->snap, &ws_type_host, look->rig->hosts[i].id))
      continue; /* removed by force: the host itself knows nothing of it */
    bool member = plan_pool_has_host(pool, look->rig->hosts[i].id);
    if (member != (p != NULL) || (p && (p->suspended != pool->suspended || strcmp(p->uuid, pool->uuid) != 0)))
      quarrel(look, "pool-%u is not as on host %u", as_uint(pool->id), i);
  }
  if ((int)pool->state != wanted)
    quarrel(look, "pool-%u is %s", as_uint(pool->id), ws_pool_state_names[pool->state - 1]);
  return true;
}

static bool look_at_switch(const void *object, void *arg)
{
  const WsSwitch *sw = object;
  Look *look = arg;
  HostTruth *truth = truth_of(look, sw->host);
  const HostNet *net = truth ? host_find_net(truth, false, sw->id) : NULL;
  if (!net || net->mtu != sw->mtu || strcmp(net->bridge, sw->bridge) != 0 || sw->state != WS_SWITCH_STATE_ACTIVE)
    quarrel(look, "sw-%u is not as on its host", as_uint(sw->id));
  return true;
}

static bool look_at_group(const void *object, void *arg)
{
  const WsPortGroup *group = object;
  Look *look = arg;
  const WsSwitch *sw = inv_find(look->snap, &ws_type_switch, group->switch_);
  HostTruth *truth = sw ? truth_of(look, sw->host) : NULL;
  const HostNet *net = truth ? host_find_net(truth, true, group->id) : NULL;
  gint64 tag = group->vlan && group->vlan->tag != WS_INT_UNSET ? group->vlan->tag : 0;
  if (!net || net->of != group->switch_ || net->tag != tag || group->state != WS_PORT_GROUP_STATE_ACTIVE)
    quarrel(look, "pg-%u is not as on its host", as_uint(group->id));
  return true;
}

static void look_at_definition(Look *look, const WsVm *vm, const HostDomain *d)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) spec = compute_spec(look->snap, vm, &error);
  if (!spec) {
    quarrel(look, "vm-%u: %s", as_uint(vm->id), error->message);
    return;
  }
  g_autofree char *wanted = ws_object_to_json(&ws_type_vm_spec, spec, WS_WRITE_PEER, NULL);
  if (strcmp(wanted, d->spec) != 0)
    quarrel(look, "vm-%u is\n  %s\nits domain\n  %s", as_uint(vm->id), wanted, d->spec);
}

static bool look_at_vm(const void *object, void *arg)
{
  const WsVm *vm = object;
  Look *look = arg;
  HostTruth *truth = truth_of(look, vm->host);
  const HostDomain *d = truth ? host_find_domain(truth, vm->uuid) : NULL;
  bool managed = vm->management == WS_VM_MANAGEMENT_MANAGED;
  if (vm->management == WS_VM_MANAGEMENT_IN_BIN) {
    if (d)
      quarrel(look, "vm-%u is in the bin and on its host", as_uint(vm->id));
    return true;
  }
  if (!d) {
    quarrel(look, "vm-%u has no domain", as_uint(vm->id));
    return true;
  }
  if (compute_power_state(vm) != d->power)
    quarrel(look, "vm-%u is %s, its domain %s", as_uint(vm->id), ws_power_state_names[compute_power_state(vm) - 1],
            ws_power_state_names[d->power - 1]);
  if (d->vm != (managed ? vm->id : 0))
    quarrel(look, "vm-%u's domain carries the mark %u", as_uint(vm->id), as_uint(d->vm));
  if (!managed)
    return true;
  if (strstr(d->spec, "\"vm\":")) /* defined by us: an adopted one keeps its own definition */
    look_at_definition(look, vm, d);
  for (guint i = 0; i < vm->disks.len; i++) {
    const WsVolume *v = inv_find(look->snap, &ws_type_volume, vm->disks.items[i]->volume);
    if (!v || (!vm->disks.items[i]->shared && v->used_by != vm->id))
      quarrel(look, "vm-%u does not own its disk %s", as_uint(vm->id), vm->disks.items[i]->key);
  }
  return true;
}

static bool look_at_task(const void *object, void *arg)
{
  const WsTask *rec = object;
  Look *look = arg;
  char id[WS_ID_TEXT_MAX];
  if (!task_state_is_end(rec->state) || rec->locks.len)
    quarrel(look, "task-%u (%s) is %s with %u locks", as_uint(rec->id), rec->kind, ws_task_state_names[rec->state - 1],
            rec->locks.len);
  if (rec->parent)
    return true;
  g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autoptr(GError) error = NULL;
  guint n = 0;
  ws_id_format(ws_type_task.prefix, rec->id, id);
  g_assert_true(store_query_history(look->rig->center.store, &ws_type_audit_record, NULL, 0, 0, 10000, records, &error));
  for (guint i = 0; i < records->len; i++)
    n += g_strcmp0(((const WsAuditRecord *)records->pdata[i])->task, id) == 0;
  if (n != 1)
    quarrel(look, "%s has %u audit records", id, n);
  return true;
}

/* ---- each thing of the host ---- */

static bool has_file(const void *object, void *arg)
{
  const WsVolume *v = object;
  void **want = arg;
  const HostFile *f = want[0];
  if (v->pool == f->pool && g_strcmp0(v->file, f->file) == 0)
    want[1] = (void *)v;
  return !want[1];
}

static void look_at_files(Look *look)
{
  for (guint i = 0; i < HOST_FILES; i++) {
    void *want[2] = {&look->disks->files[i], NULL};
    if (look->disks->files[i].there)
      inv_each(look->snap, &ws_type_volume, has_file, want);
    if (look->disks->files[i].there && !want[1])
      quarrel(look, "file %s belongs to nobody", look->disks->files[i].file);
  }
}

static void look_at_host(Look *look, WsId id, const HostTruth *host)
{
  for (guint i = 0; i < HOST_DOMAINS; i++) {
    const HostDomain *d = &host->domains[i];
    const WsVm *vm = d->there && d->vm ? inv_find_by(look->snap, &ws_type_vm, "uuid", 0, d->uuid) : NULL;
    if (d->there && d->vm && (!vm || vm->host != id))
      quarrel(look, "domain %s is not in the inventory", d->name);
  }
  /* One that the manager cannot close is closed by the agent, an hour later at most. */
  bool told = look->rig->world->fault != RIG_AWAY && look->rig->world->fault != RIG_FAIL;
  for (guint i = 0; i < HOST_MOVES; i++)
    if (host->moves[i].there && (told || host->moves[i].job == WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING))
      quarrel(look, "the session of a move of %s is open", host->moves[i].uuid);
  for (guint i = 0; i < HOST_POOLS; i++)
    if (host->pools[i].there && !inv_find(look->snap, &ws_type_pool, host->pools[i].pool))
      quarrel(look, "the host has a pool %s that nobody knows", host->pools[i].path);
  for (guint i = 0; i < HOST_NETS; i++) {
    const HostNet *net = &host->nets[i];
    if (net->there && !inv_find(look->snap, net->is_group ? &ws_type_port_group : &ws_type_switch, net->id))
      quarrel(look, "the host has a network %u that nobody knows", as_uint(net->id));
  }
}

/* ---- all ---- */

static bool look_at_activity(const void *object, void *arg)
{
  Look *look = arg;
  const WsType *type = ((const WsResource *)object)->type;
  const WsField *field = ws_type_field(type, "activity", 8);
  if (field && *(void **)ws_field_at(field, object))
    quarrel(look, "%s-%u is held", type->prefix, as_uint(((const WsResource *)object)->id));
  return true;
}

/* ---- quotas ---- */

typedef struct {
  const InvSnapshot *snap;
  WsId group;
  QuotaFigures sum;
} QuotaWalk;

/* The long way, against the running sums. */
static bool add_if_below(const void *object, void *arg)
{
  QuotaWalk *walk = arg;
  const WsVm *vm = object;
  const WsBusinessGroup *at = inv_find(walk->snap, &ws_type_business_group, vm->group);
  while (at && at->id != walk->group)
    at = inv_find(walk->snap, &ws_type_business_group, at->parent);
  QuotaFigures figures = at ? quota_of_vm(walk->snap, vm) : (QuotaFigures){0};
  for (guint k = 0; k < N_QUOTAS; k++)
    walk->sum.of[k] += figures.of[k];
  return true;
}

static bool look_at_quota(const void *object, void *arg)
{
  Look *look = arg;
  const WsBusinessGroup *group = object;
  QuotaWalk walk = {look->snap, group->id, {{0}}};
  QuotaFigures used = quota_used(look->rig->center.quotas, group->id);
  inv_each(look->snap, &ws_type_vm, add_if_below, &walk);
  for (guint k = 0; k < N_QUOTAS; k++)
    if (used.of[k] != walk.sum.of[k])
      quarrel(look, "quota %u of %s counts %" G_GINT64_FORMAT ", there is %" G_GINT64_FORMAT, k, group->name, used.of[k], walk.sum.of[k]);
  return true;
}

char *center_rig_quarrel(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  Look look = {rig, snap, &rig->world->disks, g_string_new(NULL)};
  char file[208] = "";
  g_auto(AuditVerdict) verdict = {0};
  g_autoptr(GError) broken = NULL;
  if (g_hash_table_size(rig->center.tasks->locks) || g_hash_table_size(rig->center.tasks->tasks))
    quarrel(&look, "locks or tasks are left in memory");
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!(ws_resource_types[i]->flags & WS_TYPE_HISTORY))
      inv_each(snap, ws_resource_types[i], look_at_activity, &look);
  inv_each(snap, &ws_type_task, look_at_task, &look);
  inv_each(snap, &ws_type_host, look_at_host_mode, &look);
  inv_each(snap, &ws_type_volume, look_at_volume, &look);
  inv_each(snap, &ws_type_image, look_at_image, &look);
  inv_each(snap, &ws_type_pool, look_at_pool, &look);
  inv_each(snap, &ws_type_switch, look_at_switch, &look);
  inv_each(snap, &ws_type_port_group, look_at_group, &look);
  inv_each(snap, &ws_type_vm, look_at_vm, &look);
  inv_each(snap, &ws_type_business_group, look_at_quota, &look);
  if (quota_n_held(rig->center.quotas))
    quarrel(&look, "quotas are held though nothing happens");
  bool all = true;
  for (guint i = 0; i < RIG_HOSTS; i++)
    if (inv_find(snap, &ws_type_host, rig->hosts[i].id))
      look_at_host(&look, rig->hosts[i].id, &rig->world->hosts[i]);
    else if (i < RIG_MEMBERS)
      all = false;
  if (all) /* a host removed by force keeps its files */
    look_at_files(&look);
  if (host_shared_file(rig->world->hosts, RIG_HOSTS, file))
    quarrel(&look, "two running VMs write %s", file);
  if (!audit_verify(rig->center.store, &(AuditExpected){0}, &verdict, &broken))
    quarrel(&look, "the audit chain is broken: %s", broken->message);
  char *text = g_string_free(look.found, FALSE);
  if (*text)
    return text;
  g_free(text);
  return NULL;
}

void center_rig_assert_no_quarrel(CenterRig *rig)
{
  g_autofree char *text = center_rig_quarrel(rig);
  if (text)
    g_error("%s", text);
}

/* ---- portrait ---- */

static bool paint(const void *object, void *arg)
{
  GString *text = arg;
  const WsType *type = ((const WsResource *)object)->type;
  WsResource *copy = ws_object_copy(type, object);
  copy->revision = 0;
  if (type == &ws_type_vm) {
    WsVm *vm = (WsVm *)copy;
    if (vm->power) {
      vm->power->since = 0;
      g_clear_pointer(&vm->power->reason, g_free);
    }
    g_clear_pointer(&vm->guest, ws_vm_guest_free);
    vm->run_generation = 0; /* what was given is not taken back */
  } else if (type == &ws_type_pool) {
    WsPool *pool = (WsPool *)copy;
    pool->state_since = pool->read = 0;
    pool->provisioned_bytes = 0;
    for (guint i = 0; i < pool->host_states.len; i++)
      pool->host_states.items[i]->since = 0;
  }
  g_autofree char *json = ws_object_to_json(type, copy, WS_WRITE_STORED, NULL);
  g_string_append_printf(text, "%s\n", json);
  ws_resource_unref(copy);
  return true;
}

static void paint_host(GString *text, const HostTruth *host)
{
  for (guint i = 0; i < HOST_DOMAINS; i++)
    if (host->domains[i].there)
      g_string_append_printf(text, "domain %s %u %d %s\n", host->domains[i].uuid, as_uint(host->domains[i].vm),
                             host->domains[i].power, host->domains[i].spec);
  for (guint i = 0; i < HOST_POOLS; i++)
    if (host->pools[i].there)
      g_string_append_printf(text, "pool %s %d\n", host->pools[i].path, host->pools[i].suspended);
  g_string_append_printf(text, "firewall %s\n", host->firewall);
  for (guint i = 0; i < HOST_NETS; i++)
    if (host->nets[i].there)
      g_string_append_printf(text, "net %d %u %u %d %d\n", host->nets[i].is_group, as_uint(host->nets[i].id),
                             as_uint(host->nets[i].of), (int)host->nets[i].mtu, (int)host->nets[i].tag);
}

static void paint_disks(GString *text, const HostDisks *disks)
{
  for (guint i = 0; i < HOST_FILES; i++)
    if (disks->files[i].there)
      g_string_append_printf(text, "file %s %d %" G_GINT64_FORMAT " %u %s\n", disks->files[i].file, disks->files[i].partial,
                             disks->files[i].size_bytes, disks->files[i].content, disks->files[i].parent);
}

char *center_rig_portrait(CenterRig *rig)
{
  static const WsType *const types[] = {&ws_type_pool,   &ws_type_volume,     &ws_type_image,
                                        &ws_type_switch, &ws_type_port_group, &ws_type_vm};
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(types); i++)
    inv_each(snap, types[i], paint, text);
  for (guint i = 0; i < RIG_HOSTS; i++)
    paint_host(text, &rig->world->hosts[i]);
  paint_disks(text, &rig->world->disks);
  return g_string_free(text, FALSE);
}
