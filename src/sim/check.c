// SPDX-License-Identifier: Apache-2.0
/* Steps and starts: revisions, ids, durability, double starts. See check.h; what holds after quiet is in check-quiet.c. */
#include "sim/check-private.h"
#include <string.h>

/* ---- each change, as it is published ---- */

static void on_change(const InvChange *change, void *arg)
{
  SimCheck *check = arg;
  const WsResource *new_object = change->new_object;
  SimWorld *world = check->manager->world;
  gpointer id = GSIZE_TO_POINTER(change->id);
  if (change->revision < check->last_revision || (change->revision == check->last_revision && check->last_was_end))
    sim_fail(world, "revisions", "%" G_GUINT64_FORMAT " is published after %" G_GUINT64_FORMAT, change->revision,
             check->last_revision);
  check->last_revision = change->revision;
  check->last_was_end = change->last;
  if (new_object && new_object->revision != change->revision)
    sim_fail(world, "revisions", "an object of revision %" G_GUINT64_FORMAT " is published at %" G_GUINT64_FORMAT,
             new_object->revision, change->revision);
  if (!change->old_object && g_hash_table_contains(check->ids, id))
    sim_fail(world, "ids", "%s %" G_GUINT64_FORMAT " has an id that was used before", change->type->name, change->id);
  if (!change->old_object)
    g_hash_table_add(check->ids, id);
}

/* ---- what must be there after a crash ---- */

static void forget_heads(SimCheck *check, guint keep_from)
{
  for (guint i = 0; i < keep_from; i++)
    inv_snapshot_unref(check->heads->pdata[i]);
  if (keep_from)
    g_ptr_array_remove_range(check->heads, 0, keep_from);
}

/* A write that fails leaves in the file what was there, and that may be, byte for byte, what was to be written: a page of an older WAL that
 * is again as it was. With its frame's header before it the group then stands there whole, and a crash finds it (seed 483). */
static void keep_failed(SimCheck *check, const InvSnapshot *published)
{
  InvSnapshot *last = check->heads->len ? check->heads->pdata[check->heads->len - 1] : NULL;
  g_clear_pointer(&check->failed, inv_snapshot_unref);
  if (last && inv_snapshot_revision(last) > inv_snapshot_revision(published))
    check->failed = inv_snapshot_ref(last);
  check->failed_after = inv_snapshot_revision(published);
}

/* heads: from the published state on, each state that may be on its way to the disk, as far as it was seen between two turns. */
static void follow_head(SimCheck *check)
{
  Inventory *inv = check->manager->center->inventory;
  g_autoptr(InvSnapshot) published = inv_snapshot(inv), head = inv_head(inv);
  guint n = check->heads->len;
  /* A group failed: what was built on it is no more. The same revisions may have come again meanwhile, with
   * something else in them. */
  if (check->rollbacks != inv_n_rollbacks(inv)) {
    check->rollbacks = inv_n_rollbacks(inv);
    keep_failed(check, published);
    forget_heads(check, n);
    g_ptr_array_add(check->heads, inv_snapshot_ref(published));
    n = 1;
  }
  if (n == 0 || inv_snapshot_revision(check->heads->pdata[n - 1]) != inv_snapshot_revision(head))
    g_ptr_array_add(check->heads, inv_snapshot_ref(head));
  Revision at = inv_snapshot_revision(published);
  guint drop = 0;
  while (drop + 1 < check->heads->len && inv_snapshot_revision(check->heads->pdata[drop + 1]) <= at)
    drop++;
  forget_heads(check, drop);
  if (check->failed && check->failed_after != at)
    g_clear_pointer(&check->failed, inv_snapshot_unref);
  if (inv_snapshot_revision(check->heads->pdata[0]) > at) { /* not seen as head: it went all the way within a turn */
    g_ptr_array_insert(check->heads, 0, inv_snapshot_ref(published));
  } else if (inv_snapshot_revision(check->heads->pdata[0]) < at) {
    inv_snapshot_unref(check->heads->pdata[0]);
    check->heads->pdata[0] = inv_snapshot_ref(published);
  }
}

typedef struct {
  const InvSnapshot *recovered, *a, *b; /* b may be NULL */
  const WsResource *odd;                /* what is neither as in a nor as in b */
} Compare;

static bool durably_same(const WsType *type, const void *x, const void *y)
{
  if (!x || !y)
    return x == y;
  return ws_object_equal(type, x, y) || ws_object_differs_only_volatile(type, x, y);
}

static bool fits(Compare *compare, const WsType *type, WsId id, const WsResource *any)
{
  const void *is = inv_find(compare->recovered, type, id);
  if (durably_same(type, is, inv_find(compare->a, type, id)) ||
      (compare->b && durably_same(type, is, inv_find(compare->b, type, id))))
    return true;
  compare->odd = any;
  return false;
}

static bool compare_object(const void *object, void *arg)
{
  const WsResource *resource = object;
  return fits(arg, resource->type, resource->id, resource);
}

/* Everything is as in a or as in b: so it is a, b, or a state between the two. */
static bool is_between(Compare *compare)
{
  compare->odd = NULL;
  for (guint i = 0; !compare->odd && i < ws_n_resource_types; i++) {
    const WsType *type = ws_resource_types[i];
    if ((type->flags & WS_TYPE_HISTORY) || type == &ws_type_alarm) /* an alarm of a full disk is not stored */
      continue;
    inv_each(compare->recovered, type, compare_object, compare);
    if (!compare->odd)
      inv_each(compare->a, type, compare_object, compare);
    if (!compare->odd && compare->b)
      inv_each(compare->b, type, compare_object, compare);
  }
  return !compare->odd;
}

static void compare_recovered(SimCheck *check, const InvSnapshot *recovered)
{
  Compare first = {0};
  for (guint i = 0; i < check->heads->len; i++) {
    Compare compare = {recovered, check->heads->pdata[i], i + 1 < check->heads->len ? check->heads->pdata[i + 1] : NULL, NULL};
    if (is_between(&compare))
      return;
    if (i == 0)
      first = compare;
  }
  Compare failed = {recovered, check->heads->pdata[0], check->failed, NULL};
  if (check->failed && is_between(&failed))
    return;
  char id[WS_ID_TEXT_MAX];
  gsize n;
  const WsResource *odd = first.odd;
  ws_id_format(odd->type->prefix, odd->id, id);
  const void *is = inv_find(recovered, odd->type, odd->id), *was = inv_find(first.a, odd->type, odd->id);
  g_autofree char *now = is ? ws_object_to_json(odd->type, is, WS_WRITE_STORED, &n) : g_strdup("absent");
  g_autofree char *before = was ? ws_object_to_json(odd->type, was, WS_WRITE_STORED, &n) : g_strdup("absent");
  sim_fail(check->manager->world, "durability", "after a crash %s is %s, was %s", id, now, before);
}

typedef struct {
  SimCheck *check;
  WsLoop *loop;
  bool opened;
} Look;

/* A second reader before the manager itself starts: what it does at start would blur the picture. */
static void look_at_disk(void *arg)
{
  Look *look = arg;
  SimManager *manager = look->check->manager;
  g_autofree char *path = g_build_filename(manager->data_dir, "winsphere.db", NULL);
  g_autoptr(GError) error = NULL;
  Store *store = store_open_on(path, look->loop, &manager->stand, &error);
  Inventory *inv = store ? inv_open(look->loop, store, &error) : NULL;
  look->opened = inv != NULL;
  if (inv) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(inv);
    compare_recovered(look->check, snap);
  } else {
    sim_fail(manager->world, "durability", "after a crash the database cannot be opened: %s", error->message);
  }
  inv_close(inv);
  store_close(store);
}

static void before_start(SimManager *manager, void *arg)
{
  SimCheck *check = arg;
  SimDiskFaults none = {.delay_us = 1};
  check->rollbacks = 0;
  Look look = {check, NULL, false};
  if (check->heads->len == 0)
    return;
  sim_disk_swap_faults(manager->disk, &none);
  look.loop = ws_loop_new(&manager->machine->clock);
  ws_loop_step(look.loop, 0);
  look_at_disk(&look);
  ws_loop_free(look.loop);
  sim_disk_swap_faults(manager->disk, &none);
  forget_heads(check, check->heads->len);
  g_clear_pointer(&check->failed, inv_snapshot_unref);
}

static bool note_id(const void *object, void *arg)
{
  g_hash_table_add(((SimCheck *)arg)->ids, GSIZE_TO_POINTER(((const WsResource *)object)->id));
  return true;
}

static void started(SimManager *manager, void *arg)
{
  SimCheck *check = arg;
  Inventory *inv = manager->center->inventory;
  g_autoptr(InvSnapshot) snap = inv_snapshot(inv);
  Revision now = inv_snapshot_revision(snap);
  if (now < check->last_revision)
    sim_fail(manager->world, "revisions", "after a start at %" G_GUINT64_FORMAT ", was at %" G_GUINT64_FORMAT, now,
             check->last_revision);
  check->last_revision = now;
  check->last_was_end = true;
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!(ws_resource_types[i]->flags & WS_TYPE_HISTORY))
      inv_each(snap, ws_resource_types[i], note_id, check);
  inv_add_listener(inv, on_change, check);
}

static void gone(SimManager *manager, void *arg)
{
  follow_head(arg); /* the last look */
}

/* ---- steps ---- */

/* No VM runs twice. */
static void check_double_starts(SimCheck *check)
{
  for (guint i = 0; i < check->n_hosts; i++)
    for (guint d = 0; d < check->hosts[i]->domains->len; d++) {
      const SimDomain *domain = check->hosts[i]->domains->pdata[d];
      for (guint j = i + 1; domain->live && j < check->n_hosts; j++) {
        const SimDomain *other = sim_host_find_domain(check->hosts[j], domain->uuid);
        /* In a move both have a QEMU, and at most one of them runs. */
        bool moves = (domain->arrival || domain->outgoing) || (other && (other->arrival || other->outgoing));
        bool both_run = other && domain->state == WS_POWER_STATE_RUNNING && other->state == WS_POWER_STATE_RUNNING;
        if (other && other->live && (!moves || both_run))
          sim_fail(check->manager->world, "double start", "%s runs on %s and %s", domain->uuid, check->hosts[i]->name,
                   check->hosts[j]->name);
      }
    }
}

/* By its folder, which is one for all hosts that share a pool. What is to be shared, or only read, counts for
 * nobody. */
static void note_writer(SimCheck *check, GHashTable *writers, const SimHost *host, const SimDomain *domain,
                        const WsVmSpecDisk *disk)
{
  const SimPool *pool = disk->pool && disk->file && !disk->shared && !disk->read_only
                            ? sim_host_find_pool(host, disk->pool)
                            : NULL;
  if (!pool)
    return;
  char *key = g_strdup_printf("%s %s %s", pool->folder->uuid, pool->folder->path, disk->file);
  const SimDomain *other = g_hash_table_lookup(writers, key);
  if (other && strcmp(other->uuid, domain->uuid) != 0)
    sim_fail(check->manager->world, "two writers", "%s of %s is written by %s and %s", disk->file,
             pool->folder->path, other->uuid, domain->uuid);
  g_hash_table_replace(writers, key, (gpointer)domain);
}

/* No disk is written by two guests, whatever locks there are on a host. */
static void check_two_writers(SimCheck *check)
{
  g_autoptr(GHashTable) writers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < check->n_hosts; i++)
    for (guint d = 0; d < check->hosts[i]->domains->len; d++) {
      const SimDomain *domain = check->hosts[i]->domains->pdata[d];
      for (guint k = 0;
           domain->live && domain->state == WS_POWER_STATE_RUNNING && k < domain->live->disks.len; k++)
        note_writer(check, writers, check->hosts[i], domain, domain->live->disks.items[k]);
    }
}

void sim_check_step(SimCheck *check)
{
  if (check->manager->center)
    follow_head(check);
  if (sim_world_steps(check->manager->world) % 64 == 0)
    check_double_starts(check), check_two_writers(check);
}

SimCheck *sim_check_new(SimManager *manager, SimHost **hosts, guint n_hosts, SimClients *clients)
{
  SimCheck *check = g_new0(SimCheck, 1);
  *check = (SimCheck){.manager = manager,
                      .hosts = hosts,
                      .n_hosts = n_hosts,
                      .clients = clients,
                      .ids = g_hash_table_new(NULL, NULL),
                      .heads = g_ptr_array_new()};
  manager->events = (SimManagerEvents){before_start, started, gone, check};
  return check;
}
