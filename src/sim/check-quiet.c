// SPDX-License-Identifier: Apache-2.0
/* What holds when machines are healed and everything has come to rest: nothing is busy, and inventory, hosts and disks agree. See check.h. */
#include "center/auth/audit.h"
#include "center/hosts/hosts.h"
#include "plan/estate.h"
#include "sim/check-private.h"
#include <stdio.h>
#include <string.h>

typedef struct {
  SimCheck *check;
  const InvSnapshot *snap;
  char *wrong; /* the first thing */
} Look;

static bool wrong(Look *look, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool wrong(Look *look, const char *format, ...)
{
  va_list list;
  va_start(list, format);
  look->wrong = g_strdup_vprintf(format, list);
  va_end(list);
  return false;
}

static SimHost *host_of(const Look *look, WsId id)
{
  for (guint i = 0; i < look->check->n_hosts; i++)
    if (look->check->hosts[i]->id == id && look->check->hosts[i]->serial)
      return look->check->hosts[i];
  return NULL;
}

/* ---- nothing is busy ---- */

/* An empty host in maintenance, until somebody says that the work on it is done. */
static bool awaits_word(const WsTask *task)
{
  return task && task->state == WS_TASK_STATE_RUNNING && task->waiting && g_strcmp0(task->waiting->code, "awaits_word") == 0;
}

static bool count_waiting(const void *object, void *arg)
{
  *(guint *)arg += awaits_word(object);
  return true;
}

static bool check_task(const void *object, void *arg)
{
  const WsTask *task = object;
  return task->state >= WS_TASK_STATE_DONE || awaits_word(task) ||
         wrong(arg, "task-%" G_GUINT64_FORMAT " (%s) is %s%s%s", task->id, task->kind, ws_task_state_names[task->state - 1],
               task->waiting ? ", waits for " : "", task->waiting ? task->waiting->code : "");
}

static bool check_idle(const void *object, void *arg)
{
  const WsResource *resource = object;
  const WsField *activity = ws_type_field(resource->type, "activity", 8);
  const WsActivity *now = activity ? *(WsActivity **)ws_field_at(activity, object) : NULL;
  const Look *look = arg;
  return !now || awaits_word(inv_find(look->snap, &ws_type_task, now->task)) || wrong(arg, "%s-%" G_GUINT64_FORMAT " is %s", resource->type->prefix, resource->id, now->verb);
}

static bool check_host(const void *object, void *arg)
{
  Look *look = arg;
  const WsHost *host = object;
  if (!host_of(look, host->id))
    return true;
  if (!hosts_is_connected(look->check->manager->center, host->id))
    return wrong(look, "%s is not connected", host->name);
  return host->state == WS_HOST_STATE_CONNECTED || wrong(look, "%s is %s", host->name, ws_host_state_names[host->state - 1]);
}

/* Users give each name once ("disk-3-17"): two objects that have it were made by one call, executed twice. */
typedef struct {
  Look *look;
  GHashTable *names;
} Names;

static bool check_name(const void *object, void *arg)
{
  const WsResource *resource = object;
  const WsField *field = ws_type_field(resource->type, "name", 4);
  Names *names = arg;
  const char *name = *(char **)ws_field_at(field, object);
  guint user, number;
  int n = 0;
  /* What a move has left behind, in the bin, has the name of what went over. */
  if (resource->type == &ws_type_volume && ((const WsVolume *)object)->in_bin_since)
    return true;
  if (!name || sscanf(name, "%*[a-z]-%u-%u%n", &user, &number, &n) != 2 || name[n] != '\0')
    return true;
  return g_hash_table_add(names->names, (void *)name) || wrong(names->look, "there are two called %s", name);
}

static void check_names(Look *look)
{
  const WsType *const types[] = {&ws_type_role, &ws_type_api_token, &ws_type_switch, &ws_type_port_group,
                                 &ws_type_pool, &ws_type_volume,    &ws_type_image};
  for (guint i = 0; i < G_N_ELEMENTS(types) && !look->wrong; i++) {
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    Names names = {look, seen};
    inv_each(look->snap, types[i], check_name, &names);
  }
}

/* ---- VMs ---- */

/* libvirt forgot it, and the manager knows. */
static bool is_known_gone(const WsVm *vm)
{
  return vm->power && vm->power->state == WS_POWER_STATE_OFF && g_strcmp0(vm->power->reason, "undefined") == 0;
}

static bool check_vm(const void *object, void *arg)
{
  Look *look = arg;
  const WsVm *vm = object;
  SimHost *host = host_of(look, vm->host);
  const SimDomain *domain = host ? sim_host_find_domain(host, vm->uuid) : NULL;
  if (!host)
    return true;
  if (vm->management == WS_VM_MANAGEMENT_IN_BIN)
    return !domain || wrong(look, "vm-%" G_GUINT64_FORMAT " is in the bin and defined on %s", vm->id, host->name);
  if (!domain)
    return is_known_gone(vm) || wrong(look, "vm-%" G_GUINT64_FORMAT " is not defined on %s", vm->id, host->name);
  if (!vm->power || vm->power->state != domain->state)
    return wrong(look, "vm-%" G_GUINT64_FORMAT " is %s, on %s it is %s", vm->id,
                 vm->power ? ws_power_state_names[vm->power->state - 1] : "unknown", host->name,
                 ws_power_state_names[domain->state - 1]);
  if (vm->management != WS_VM_MANAGEMENT_MANAGED)
    return true;
  if (domain->vm != vm->id)
    return wrong(look, "vm-%" G_GUINT64_FORMAT " is marked as vm-%" G_GUINT64_FORMAT " on %s", vm->id, domain->vm, host->name);
  if (vm->memory_bytes != domain->spec->memory_bytes)
    return wrong(look, "vm-%" G_GUINT64_FORMAT " has %" G_GINT64_FORMAT " bytes of memory, on %s %" G_GINT64_FORMAT, vm->id,
                 vm->memory_bytes, host->name, domain->spec->memory_bytes);
  if (vm->disks.len != domain->spec->disks.len)
    return wrong(look, "vm-%" G_GUINT64_FORMAT " has %u disks, on %s %u", vm->id, vm->disks.len, host->name, domain->spec->disks.len);
  for (guint i = 0; i < vm->disks.len; i++)
    /* An adopted VM's disk is known by its file alone. */
    if (vm->disks.items[i]->volume && vm->disks.items[i]->volume != domain->spec->disks.items[i]->volume)
      return wrong(look, "disk %u of vm-%" G_GUINT64_FORMAT " is vol-%" G_GUINT64_FORMAT ", on %s vol-%" G_GUINT64_FORMAT, i, vm->id,
                   vm->disks.items[i]->volume, host->name, domain->spec->disks.items[i]->volume);
  return vm->nics.len == domain->spec->nics.len ||
         wrong(look, "vm-%" G_GUINT64_FORMAT " has %u NICs, on %s %u", vm->id, vm->nics.len, host->name, domain->spec->nics.len);
}

/* ---- storage ---- */

static bool refers_to(const WsVm *vm, WsId volume)
{
  for (guint i = 0; vm && i < vm->disks.len; i++)
    if (vm->disks.items[i]->volume == volume)
      return true;
  return false;
}

static bool check_volume(const void *object, void *arg)
{
  Look *look = arg;
  const WsVolume *volume = object;
  const WsPool *pool = inv_find(look->snap, &ws_type_pool, volume->pool);
  SimHost *host = pool ? host_of(look, pool->hosts.items[0]) : NULL;
  const SimFolder *folder = host ? sim_host_find_folder(host, pool->path) : NULL;
  const SimFile *file = folder ? sim_folder_find(folder, volume->file) : NULL;
  if (volume->state == WS_VOLUME_STATE_CREATING || volume->state == WS_VOLUME_STATE_DELETING)
    return wrong(look, "vol-%" G_GUINT64_FORMAT " is %s without a task", volume->id, ws_volume_state_names[volume->state - 1]);
  if (volume->used_by && !refers_to(inv_find(look->snap, &ws_type_vm, volume->used_by), volume->id))
    return wrong(look, "vol-%" G_GUINT64_FORMAT " is used by vm-%" G_GUINT64_FORMAT ", which does not know it", volume->id,
                 volume->used_by);
  if (!host || volume->state != WS_VOLUME_STATE_READY)
    return true;
  if (!file)
    return wrong(look, "vol-%" G_GUINT64_FORMAT " is ready, and %s is not on %s", volume->id, volume->file, host->name);
  return file->size_bytes == volume->size_bytes ||
         wrong(look, "vol-%" G_GUINT64_FORMAT " has %" G_GINT64_FORMAT " bytes, its file %" G_GINT64_FORMAT, volume->id,
               volume->size_bytes, file->size_bytes);
}

static bool check_image(const void *object, void *arg)
{
  const WsImage *image = object;
  return image->state != WS_IMAGE_STATE_IMPORTING || wrong(arg, "img-%" G_GUINT64_FORMAT " is importing without a task", image->id);
}

static bool check_pool(const void *object, void *arg)
{
  Look *look = arg;
  const WsPool *pool = object;
  if (pool->state == WS_POOL_STATE_CREATING)
    return wrong(look, "pool-%" G_GUINT64_FORMAT " is creating without a task", pool->id);
  for (guint i = 0; i < pool->hosts.len; i++) {
    SimHost *host = host_of(look, pool->hosts.items[i]);
    const SimPool *there = host ? sim_host_find_pool(host, pool->id) : NULL;
    if (host && !there)
      return wrong(look, "pool-%" G_GUINT64_FORMAT " is not prepared on %s", pool->id, host->name);
    if (host && there->suspended != pool->suspended)
      return wrong(look, "pool-%" G_GUINT64_FORMAT " is %s, on %s %s", pool->id, pool->suspended ? "suspended" : "in use", host->name,
                   there->suspended ? "suspended" : "in use");
  }
  return true;
}

/* ---- networks ---- */

static bool check_switch(const void *object, void *arg)
{
  Look *look = arg;
  const WsSwitch *sw = object;
  SimHost *host = host_of(look, sw->host);
  return !host || sw->state != WS_SWITCH_STATE_ACTIVE || sim_applied_find(host->switches, sw->id) ||
         wrong(look, "sw-%" G_GUINT64_FORMAT " is not on %s", sw->id, host->name);
}

static bool check_group(const void *object, void *arg)
{
  Look *look = arg;
  const WsPortGroup *group = object;
  const WsSwitch *sw = inv_find(look->snap, &ws_type_switch, group->switch_);
  SimHost *host = sw ? host_of(look, sw->host) : NULL;
  return !host || group->state != WS_PORT_GROUP_STATE_ACTIVE || sim_applied_find(host->groups, group->id) ||
         wrong(look, "pg-%" G_GUINT64_FORMAT " is not on %s", group->id, host->name);
}

/* ---- from the hosts' side ---- */

typedef struct {
  const SimFolder *folder;
  const SimFile *file;
  bool known;
} Leak;

static bool look_for_owner(const void *object, void *arg)
{
  Leak *leak = arg;
  leak->known = g_strcmp0(((const WsVolume *)object)->file, leak->file->name) == 0;
  return !leak->known;
}

static bool check_files(Look *look, const SimHost *host, const SimPool *pool)
{
  for (guint i = 0; i < pool->folder->files->len; i++) {
    Leak leak = {pool->folder, pool->folder->files->pdata[i], false};
    inv_each_by(look->snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL, look_for_owner, &leak);
    if (!leak.known)
      return wrong(look, "%s in pool-%" G_GUINT64_FORMAT " of %s belongs to no volume", leak.file->name, pool->id, host->name);
  }
  return true;
}

static bool check_machine(Look *look, const SimHost *host)
{
  if (!host->serial || !inv_find(look->snap, &ws_type_host, host->id))
    return true;
  for (guint i = 0; i < host->pools->len; i++) {
    const SimPool *pool = host->pools->pdata[i];
    const WsPool *known = inv_find(look->snap, &ws_type_pool, pool->id);
    if (!known || !plan_pool_has_host(known, host->id))
      return wrong(look, "%s has pool-%" G_GUINT64_FORMAT ", which the manager does not know", host->name, pool->id);
    if (!check_files(look, host, pool))
      return false;
  }
  for (guint i = 0; i < host->switches->len; i++)
    if (!inv_find(look->snap, &ws_type_switch, ((SimApplied *)host->switches->pdata[i])->id))
      return wrong(look, "%s has a switch that the manager does not know", host->name);
  for (guint i = 0; i < host->groups->len; i++)
    if (!inv_find(look->snap, &ws_type_port_group, ((SimApplied *)host->groups->pdata[i])->id))
      return wrong(look, "%s has a port group that the manager does not know", host->name);
  for (guint i = 0; i < host->domains->len; i++) {
    const SimDomain *domain = host->domains->pdata[i];
    const WsVm *vm = inv_find_by(look->snap, &ws_type_vm, "uuid", 0, domain->uuid);
    bool may_lack = domain->released; /* "forget": it is found again with the next full report */
    if (!may_lack && (!vm || vm->host != host->id))
      return wrong(look, "%s has domain %s, which the manager does not know", host->name, domain->uuid);
  }
  return true;
}

char *sim_check_quiet(SimCheck *check)
{
  static const struct {
    const WsType *type;
    InvEach func;
  } checks[] = {{&ws_type_host, check_host},     {&ws_type_vm, check_vm},
                {&ws_type_volume, check_volume}, {&ws_type_image, check_image},   {&ws_type_pool, check_pool},
                {&ws_type_switch, check_switch}, {&ws_type_port_group, check_group}};
  Center *center = check->manager->center;
  if (!center)
    return g_strdup("the manager does not run");
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  Look look = {check, snap, NULL};
  inv_each(snap, &ws_type_task, check_task, &look);
  for (guint i = 0; i < ws_n_resource_types && !look.wrong; i++)
    if (!(ws_resource_types[i]->flags & WS_TYPE_HISTORY))
      inv_each(snap, ws_resource_types[i], check_idle, &look);
  for (guint i = 0; i < G_N_ELEMENTS(checks) && !look.wrong; i++)
    inv_each(snap, checks[i].type, checks[i].func, &look);
  if (!look.wrong && inv_find_by(snap, &ws_type_drs_recommendation, "state", 0, "accepted"))
    wrong(&look, "a move that DRS decided on has not ended");
  if (!look.wrong)
    check_names(&look);
  guint locks = task_engine_n_locks(center->tasks), waiting = 0; /* each of these holds its host */
  inv_each(snap, &ws_type_task, count_waiting, &waiting);
  if (!look.wrong && locks > waiting)
    wrong(&look, "%u objects are locked", locks);
  for (guint i = 0; i < check->n_hosts && !look.wrong; i++)
    check_machine(&look, check->hosts[i]);
  return look.wrong;
}

static bool tell_task(const void *object, void *arg)
{
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_task, object, WS_WRITE_STORED, &n);
  printf("task %s\n", json);
  return true;
}

void sim_check_tell_tasks(SimCheck *check)
{
  if (!check->manager->center)
    return;
  g_autoptr(InvSnapshot) snap = inv_snapshot(check->manager->center->inventory);
  inv_each(snap, &ws_type_task, tell_task, NULL);
}

/* ---- the audit log ---- */

static GHashTable *count_records(SimCheck *check)
{
  g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autoptr(GError) error = NULL;
  GHashTable *count = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  if (!store_query_history(check->manager->center->store, &ws_type_audit_record, NULL, 0, 0, G_MAXINT, records, &error))
    sim_fail(check->manager->world, "audit", "the log cannot be read: %s", error->message);
  for (guint i = 0; i < records->len; i++) {
    const char *id = ((WsAuditRecord *)records->pdata[i])->request_id;
    if (id)
      g_hash_table_replace(count, g_strdup(id), GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(count, id)) + 1));
  }
  return count;
}

/* A call that was answered has one record; one whose answer was lost, at most one; a repetition under a key shares the first one's. A call
 * that the disk had no room to record is only logged: it was refused with 503 and changed nothing. Of callers without a login (401, 429) many share a
 * record, whose count a crash may have taken (center/auth/refusals.h). */
static void check_audit(SimCheck *check)
{
  SimWorld *world = check->manager->world;
  g_autoptr(GHashTable) count = count_records(check);
  g_autoptr(GError) error = NULL;
  g_auto(AuditVerdict) verdict = {0};
  if (!audit_verify(check->manager->center->store, &(AuditExpected){0}, &verdict, &error))
    sim_fail(world, "audit", "the chain is broken: %s", error->message);
  for (guint i = 0; i < check->clients->calls->len; i++) {
    const SimCall *call = check->clients->calls->pdata[i];
    guint records = GPOINTER_TO_UINT(g_hash_table_lookup(count, call->request_id));
    bool may_lack = !call->status || call->dry_run || call->key || call->status == 404 || call->status == 405 ||
                    call->disk_failed || call->status == 401 || call->status == 429;
    if (records > 1 || (records == 0 && !may_lack))
      sim_fail(world, "audit", "%s (%s %s, answered %d) has %u records", call->request_id, call->method, call->target, call->status,
               records);
  }
}

/* ---- secrets ---- */

static void check_history_secrets(SimCheck *check, const WsType *type)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  store_query_history(check->manager->center->store, type, NULL, 0, 0, G_MAXINT, rows, NULL);
  for (guint i = 0; i < rows->len; i++) {
    gsize n;
    g_autofree char *json = ws_object_to_json(type, rows->pdata[i], WS_WRITE_STORED, &n);
    if (strstr(json, "SECRET-"))
      sim_fail(check->manager->world, "secret", "in a record of type %s: %s", type->name, json);
  }
}

static bool check_task_secret(const void *object, void *arg)
{
  SimCheck *check = arg;
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_task, object, WS_WRITE_STORED, &n);
  if (strstr(json, "SECRET-"))
    sim_fail(check->manager->world, "secret", "in an ended task: %s", json);
  return true;
}

void sim_check_end(SimCheck *check, const char *log_path)
{
  g_autofree char *log = NULL;
  g_autoptr(InvSnapshot) snap = inv_snapshot(check->manager->center->inventory);
  check_audit(check);
  check_history_secrets(check, &ws_type_event);
  check_history_secrets(check, &ws_type_audit_record);
  check_history_secrets(check, &ws_type_ended_task);
  inv_each(snap, &ws_type_task, check_task_secret, check);
  if (log_path && g_file_get_contents(log_path, &log, NULL, NULL) && strstr(log, "SECRET-"))
    sim_fail(check->manager->world, "secret", "in the log");
}
