// SPDX-License-Identifier: Apache-2.0
/* Running sums over the tree of business groups. See quota.h. */
#include "center/quota.h"
#include "base/text.h"
#include "plan/estate.h"

#define DEPTH_MAX 17 /* groups in one another (compute/groups.c), and one */

typedef struct Node Node;
struct Node {
  WsId id;
  Node *above;
  QuotaFigures used; /* of the VMs in it and below */
  QuotaFigures sum;  /* the same with what is held */
  QuotaFigures arriving; /* of groups that are on their way into it */
};

/* A VM that is in a group, or for which something is held. */
typedef struct {
  WsId vm;
  Node *at;           /* where it is; NULL: in no group */
  QuotaFigures used;
  guint n_holds;
  Node *goes;         /* while something is held: where it will be */
  QuotaFigures held;  /* ... and what it will be */
} Row;

struct Quotas {
  Inventory *inventory;
  GHashTable *nodes; /* by id. Those of deleted groups stay: ids are not given twice, and a hold may still point there */
  GHashTable *rows;  /* by the VM's id */
};

typedef struct {
  Node *node;
  QuotaFigures figures;
} Arrival;

/* ---- what counts ---- */

static gint64 known(gint64 value)
{
  return value == WS_INT_UNSET ? 0 : value;
}

static gint64 disk_bytes(const InvSnapshot *snap, const WsVm *vm, bool own)
{
  gint64 bytes = 0;
  for (guint i = 0; i < vm->disks.len; i++) {
    const WsVmDisk *disk = vm->disks.items[i];
    const WsVolume *volume = disk->volume ? inv_find(snap, &ws_type_volume, disk->volume) : NULL;
    if (volume && (!own || disk->shared || volume->used_by == vm->id))
      bytes += known(volume->size_bytes);
    else if (!volume && disk->new_volume)
      bytes += known(disk->new_volume->size_bytes);
  }
  return bytes;
}

QuotaFigures quota_of_draft(const InvSnapshot *snap, const WsVm *draft)
{
  return (QuotaFigures){{1, plan_vm_vcpus(draft), known(draft->memory_bytes), disk_bytes(snap, draft, false)}};
}

QuotaFigures quota_of_vm(const InvSnapshot *snap, const WsVm *vm)
{
  QuotaFigures none = {0};
  if (vm->management == WS_VM_MANAGEMENT_MANAGED)
    return quota_of_draft(snap, vm);
  if (vm->management == WS_VM_MANAGEMENT_IN_BIN)
    none.of[QUOTA_DISK] = disk_bytes(snap, vm, true);
  return none;
}

static QuotaFigures plus(QuotaFigures a, const QuotaFigures *b, gint64 sign)
{
  for (guint k = 0; k < N_QUOTAS; k++)
    a.of[k] += sign * b->of[k];
  return a;
}

static QuotaFigures larger(QuotaFigures a, const QuotaFigures *b)
{
  for (guint k = 0; k < N_QUOTAS; k++)
    a.of[k] = MAX(a.of[k], b->of[k]);
  return a;
}

QuotaFigures quota_more(const InvSnapshot *snap, const WsVm *now, const WsVm *draft)
{
  QuotaFigures has = quota_of_vm(snap, now);
  return plus(quota_of_draft(snap, draft), &has, -1);
}

gint64 quota_limit(const WsBusinessGroupQuota *quota, QuotaKind kind)
{
  if (!quota)
    return WS_INT_UNSET;
  const gint64 limits[N_QUOTAS] = {quota->vms, quota->vcpus, quota->memory_bytes, quota->disk_bytes};
  return limits[kind];
}

/* ---- the tree ---- */

static Node *node_of(Quotas *quotas, const InvSnapshot *snap, WsId id)
{
  Node *node = id ? g_hash_table_lookup(quotas->nodes, &id) : NULL;
  const WsBusinessGroup *group = id && !node ? inv_find(snap, &ws_type_business_group, id) : NULL;
  if (!id || node)
    return node;
  node = g_new0(Node, 1);
  node->id = id;
  g_hash_table_insert(quotas->nodes, &node->id, node);
  node->above = group ? node_of(quotas, snap, group->parent) : NULL;
  return node;
}

static bool is_within(const Node *node, const Node *above)
{
  while (node && node != above)
    node = node->above;
  return node != NULL;
}

/* What the VM counts for in this group. */
static QuotaFigures share(const Row *row, const Node *node)
{
  QuotaFigures figures = {0};
  if (is_within(row->at, node))
    figures = row->used;
  return row->n_holds && is_within(row->goes, node) ? larger(figures, &row->held) : figures;
}

static void count_at(const Row *row, Node *node, gint64 sign)
{
  QuotaFigures figures = share(row, node);
  node->sum = plus(node->sum, &figures, sign);
}

static void count(const Row *row, gint64 sign)
{
  for (Node *node = row->at; node; node = node->above) {
    count_at(row, node, sign);
    node->used = plus(node->used, &row->used, sign);
  }
  for (Node *node = row->n_holds ? row->goes : NULL; node; node = node->above)
    if (!is_within(row->at, node))
      count_at(row, node, sign);
}

/* ---- rows ---- */

static Row *row_of(Quotas *quotas, const InvSnapshot *snap, WsId id)
{
  Row *row = g_hash_table_lookup(quotas->rows, &id);
  const WsVm *vm = row ? NULL : inv_find(snap, &ws_type_vm, id);
  if (row)
    return row;
  row = g_new0(Row, 1);
  row->vm = id;
  g_hash_table_insert(quotas->rows, &row->vm, row);
  if (vm) {
    row->used = quota_of_vm(snap, vm);
    row->at = node_of(quotas, snap, vm->group);
    count(row, 1);
  }
  return row;
}

static void drop_if_idle(Quotas *quotas, const Row *row)
{
  if (!row->at && !row->n_holds)
    g_hash_table_remove(quotas->rows, &row->vm);
}

static bool same_disks(const WsVm *a, const WsVm *b)
{
  if (a->disks.len != b->disks.len)
    return false;
  for (guint i = 0; i < a->disks.len; i++)
    if (a->disks.items[i]->volume != b->disks.items[i]->volume || a->disks.items[i]->shared != b->disks.items[i]->shared)
      return false;
  return true;
}

/* Most changes of a VM are of its load. */
static bool counts_the_same(const WsVm *a, const WsVm *b)
{
  return a && b && a->group == b->group && a->management == b->management && a->memory_bytes == b->memory_bytes &&
         plan_vm_vcpus(a) == plan_vm_vcpus(b) && same_disks(a, b);
}

static void follow_vm(Quotas *quotas, const InvSnapshot *snap, WsId id)
{
  const WsVm *vm = inv_find(snap, &ws_type_vm, id);
  Row *row = g_hash_table_lookup(quotas->rows, &id);
  if (!row && !(vm && vm->group))
    return;
  if (!row)
    row = row_of(quotas, snap, id);
  count(row, -1);
  row->used = vm ? quota_of_vm(snap, vm) : (QuotaFigures){0};
  row->at = vm ? node_of(quotas, snap, vm->group) : NULL;
  count(row, 1);
  drop_if_idle(quotas, row);
}

/* ---- following the inventory ---- */

typedef struct {
  Quotas *quotas;
  const InvSnapshot *snap;
  WsId volume;
} Sharers;

static bool follow_sharer(const void *object, void *arg)
{
  const WsVm *vm = object;
  const Sharers *sharers = arg;
  for (guint i = 0; i < vm->disks.len; i++)
    if (vm->disks.items[i]->volume == sharers->volume)
      follow_vm(sharers->quotas, sharers->snap, vm->id);
  return true;
}

static void follow_volume(Quotas *quotas, const InvSnapshot *snap, const WsVolume *before, const WsVolume *now)
{
  WsId user = now ? now->used_by : 0, user_before = before ? before->used_by : 0;
  bool grew = before && now && before->size_bytes != now->size_bytes;
  if (user == user_before && !grew && before && now)
    return;
  if (user)
    follow_vm(quotas, snap, user);
  if (user_before && user_before != user)
    follow_vm(quotas, snap, user_before);
  Sharers sharers = {quotas, snap, grew ? now->id : 0};
  if (grew && !user) /* several VMs may share it: seldom, so they are looked for */
    inv_each(snap, &ws_type_vm, follow_sharer, &sharers);
}

/* All that lies in the group is counted anew above it: seldom, and only as many steps as VMs are in groups. */
static void follow_group(Quotas *quotas, const InvSnapshot *snap, const WsBusinessGroup *group)
{
  Node *node = node_of(quotas, snap, group->id), *above = node_of(quotas, snap, group->parent);
  g_autoptr(GPtrArray) inside = g_ptr_array_new();
  GHashTableIter iter;
  Row *row;
  if (node->above == above)
    return;
  g_hash_table_iter_init(&iter, quotas->rows);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&row))
    if (is_within(row->at, node) || is_within(row->goes, node))
      g_ptr_array_add(inside, row);
  for (guint i = 0; i < inside->len; i++)
    count(inside->pdata[i], -1);
  node->above = above;
  for (guint i = 0; i < inside->len; i++)
    count(inside->pdata[i], 1);
}

static void on_change(const InvChange *change, void *arg)
{
  Quotas *quotas = arg;
  bool vm = change->type == &ws_type_vm && !counts_the_same(change->old_object, change->new_object);
  bool volume = change->type == &ws_type_volume;
  bool group = change->type == &ws_type_business_group && change->new_object;
  if (!vm && !volume && !group)
    return;
  g_autoptr(InvSnapshot) snap = inv_snapshot(quotas->inventory);
  if (vm)
    follow_vm(quotas, snap, change->id);
  else if (volume)
    follow_volume(quotas, snap, change->old_object, change->new_object);
  else
    follow_group(quotas, snap, change->new_object);
}

typedef struct {
  Quotas *quotas;
  const InvSnapshot *snap;
} Load;

static bool load_group(const void *object, void *arg)
{
  const Load *load = arg;
  node_of(load->quotas, load->snap, ((const WsBusinessGroup *)object)->id);
  return true;
}

static bool load_vm(const void *object, void *arg)
{
  const Load *load = arg;
  follow_vm(load->quotas, load->snap, ((const WsVm *)object)->id);
  return true;
}

Quotas *quotas_new(Inventory *inventory)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(inventory);
  Quotas *quotas = g_new0(Quotas, 1);
  Load load = {quotas, snap};
  quotas->inventory = inventory;
  quotas->nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  quotas->rows = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  inv_each(snap, &ws_type_business_group, load_group, &load);
  inv_each(snap, &ws_type_vm, load_vm, &load);
  inv_add_listener(inventory, on_change, quotas);
  return quotas;
}

void quotas_free(Quotas *quotas)
{
  if (!quotas)
    return;
  g_hash_table_unref(quotas->rows);
  g_hash_table_unref(quotas->nodes);
  g_free(quotas);
}

QuotaFigures quota_used(const Quotas *quotas, WsId group)
{
  const Node *node = g_hash_table_lookup(quotas->nodes, &group);
  return node ? node->used : (QuotaFigures){0};
}

guint quota_n_held(const Quotas *quotas)
{
  GHashTableIter iter;
  Row *row;
  guint n = 0;
  g_hash_table_iter_init(&iter, quotas->rows);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&row))
    n += row->n_holds > 0;
  return n;
}

/* ---- asking ---- */

static void write_figure(QuotaKind kind, gint64 value, char text[32])
{
  char size[WS_SIZE_TEXT_MAX];
  if (kind != QUOTA_MEMORY && kind != QUOTA_DISK)
    g_snprintf(text, 32, "%" G_GINT64_FORMAT, value);
  else if (value % (1 << 20) == 0)
    g_strlcpy(text, ws_size_format((guint64)value, size), 32);
  else /* two that differ must not look alike */
    g_snprintf(text, 32, "%" G_GINT64_FORMAT " B", value);
}

static bool refuse(const WsBusinessGroup *group, QuotaKind kind, gint64 limit, gint64 used, gint64 asked, GError **error)
{
  static const char *const what[N_QUOTAS] = {"virtual machines", "vCPUs", "of memory", "of disks"};
  char limit_text[32], used_text[32], asked_text[32];
  write_figure(kind, limit, limit_text);
  write_figure(kind, used, used_text);
  write_figure(kind, asked, asked_text);
  return ws_fail(error, WS_ERROR_QUOTA_EXCEEDED, "object", group->name, "what", what[kind], "limit", limit_text, "used", used_text, "asked",
                 asked_text, NULL);
}

/* Does the group's quota let it in? `asked` may be negative where something shrinks. */
static bool lets_in(const Quotas *quotas, const WsBusinessGroup *group, const QuotaFigures *asked, GError **error)
{
  const Node *node = g_hash_table_lookup(quotas->nodes, &group->id);
  QuotaFigures used = node ? plus(node->sum, &node->arriving, 1) : (QuotaFigures){0};
  for (guint k = 0; k < N_QUOTAS; k++) {
    gint64 limit = quota_limit(group->quota, k);
    if (limit != WS_INT_UNSET && asked->of[k] > 0 && used.of[k] + asked->of[k] > limit)
      return refuse(group, k, limit, used.of[k], asked->of[k], error);
  }
  return true;
}

/* What the VM has, or is on the way to. */
static QuotaFigures figures_of(const Quotas *quotas, const InvSnapshot *snap, WsId id)
{
  const Row *row = g_hash_table_lookup(quotas->rows, &id);
  const WsVm *vm = row || !id ? NULL : inv_find(snap, &ws_type_vm, id);
  if (row)
    return row->n_holds ? larger(row->used, &row->held) : row->used;
  return vm ? quota_of_vm(snap, vm) : (QuotaFigures){0};
}

static QuotaFigures asked_of(const Quotas *quotas, const InvSnapshot *snap, const QuotaAsk *asks, guint n, WsId group)
{
  const Node *node = g_hash_table_lookup(quotas->nodes, &group);
  QuotaFigures asked = {0};
  for (guint i = 0; i < n; i++) {
    const Row *row = node ? g_hash_table_lookup(quotas->rows, &asks[i].vm) : NULL;
    QuotaFigures figures = figures_of(quotas, snap, asks[i].vm), there = row ? share(row, node) : (QuotaFigures){0};
    asked = plus(asked, &asks[i].more, 1);
    asked = plus(asked, &figures, 1);
    asked = plus(asked, &there, -1);
  }
  return asked;
}

static void begin(Quotas *quotas, QuotaHold *hold)
{
  if (hold->quotas)
    return;
  *hold = (QuotaHold){quotas, g_array_new(FALSE, FALSE, sizeof(WsId)), g_array_new(FALSE, FALSE, sizeof(Arrival))};
}

static void hold_vm(Quotas *quotas, QuotaHold *hold, const InvSnapshot *snap, const QuotaAsk *ask, WsId group)
{
  begin(quotas, hold);
  Row *row = row_of(quotas, snap, ask->vm);
  QuotaFigures will = figures_of(quotas, snap, ask->vm);
  count(row, -1);
  row->held = plus(will, &ask->more, 1);
  row->goes = node_of(quotas, snap, group);
  row->n_holds++;
  count(row, 1);
  g_array_append_val(hold->vms, ask->vm);
}

bool quota_admit(Quotas *quotas, QuotaHold *hold, const QuotaAsk *asks, guint n, WsId group, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(quotas->inventory), snap = inv_snapshot(quotas->inventory);
  const WsBusinessGroup *above = inv_find(head, &ws_type_business_group, group);
  for (guint depth = 0; above && depth < DEPTH_MAX; depth++) {
    QuotaFigures asked = above->quota ? asked_of(quotas, snap, asks, n, above->id) : (QuotaFigures){0};
    if (!lets_in(quotas, above, &asked, error))
      return false;
    above = above->parent ? inv_find(head, &ws_type_business_group, above->parent) : NULL;
  }
  for (guint i = 0; hold && i < n; i++)
    hold_vm(quotas, hold, snap, &asks[i], group);
  return true;
}

bool quota_admit_task(Task *task, QuotaHold *hold, WsId vm, QuotaFigures more, WsId group, GError **error)
{
  Quotas *quotas = ((Center *)task_center(task))->quotas;
  QuotaAsk ask = {vm, more};
  if (!task_is_resumed(task))
    return quota_admit(quotas, task_is_dry_run(task) ? NULL : hold, &ask, 1, group, error);
  g_autoptr(InvSnapshot) snap = inv_snapshot(quotas->inventory);
  hold_vm(quotas, hold, snap, &ask, group);
  return true;
}

bool quota_admit_group(Quotas *quotas, QuotaHold *hold, WsId group, WsId parent, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(quotas->inventory), snap = inv_snapshot(quotas->inventory);
  Node *node = node_of(quotas, snap, group);
  QuotaFigures all = plus(node->sum, &node->arriving, 1);
  const WsBusinessGroup *above = inv_find(head, &ws_type_business_group, parent);
  g_autoptr(GPtrArray) comes_to = g_ptr_array_new();
  for (guint depth = 0; above && depth < DEPTH_MAX; depth++) {
    Node *to = node_of(quotas, snap, above->id);
    if (is_within(node, to)) /* and all above it: they have it already */
      break;
    if (!lets_in(quotas, above, &all, error))
      return false;
    g_ptr_array_add(comes_to, to);
    above = above->parent ? inv_find(head, &ws_type_business_group, above->parent) : NULL;
  }
  if (!hold)
    return true;
  begin(quotas, hold);
  for (guint i = 0; i < comes_to->len; i++) {
    Arrival arrival = {comes_to->pdata[i], all};
    arrival.node->arriving = plus(arrival.node->arriving, &all, 1);
    g_array_append_val(hold->arrivals, arrival);
  }
  return true;
}

void quota_hold_end(QuotaHold *hold)
{
  Quotas *quotas = hold->quotas;
  if (!quotas)
    return;
  for (guint i = 0; i < hold->vms->len; i++) {
    Row *row = g_hash_table_lookup(quotas->rows, &g_array_index(hold->vms, WsId, i));
    count(row, -1);
    row->n_holds--;
    if (!row->n_holds) {
      row->goes = NULL;
      row->held = (QuotaFigures){0};
    }
    count(row, 1);
    drop_if_idle(quotas, row);
  }
  for (guint i = 0; i < hold->arrivals->len; i++) {
    Arrival *arrival = &g_array_index(hold->arrivals, Arrival, i);
    arrival->node->arriving = plus(arrival->node->arriving, &arrival->figures, -1);
  }
  g_array_unref(hold->vms);
  g_array_unref(hold->arrivals);
  *hold = (QuotaHold){0};
}

/* ---- the alarm ---- */

#define ALARM "quota_nearly_full"

typedef struct {
  const Quotas *quotas;
  GHashTable *open; /* ids of groups whose alarm is open, until it is known that it stays */
  GArray *nearly;   /* of those whose alarm is missing */
} Watch;

static bool note_alarm(const void *object, void *arg)
{
  g_hash_table_add(((Watch *)arg)->open, g_memdup2(&((const WsAlarm *)object)->object.id, sizeof(WsId)));
  return true;
}

static bool is_nearly_full(const Quotas *quotas, const WsBusinessGroup *group)
{
  QuotaFigures used = quota_used(quotas, group->id);
  for (guint k = 0; k < N_QUOTAS; k++) {
    gint64 limit = quota_limit(group->quota, k);
    if (limit != WS_INT_UNSET && used.of[k] > 0 && (double)used.of[k] * 100 >= (double)limit * QUOTA_NEARLY_PERCENT)
      return true;
  }
  return false;
}

static bool watch_group(const void *object, void *arg)
{
  Watch *watch = arg;
  const WsBusinessGroup *group = object;
  if (group->quota && is_nearly_full(watch->quotas, group) && !g_hash_table_remove(watch->open, &group->id))
    g_array_append_val(watch->nearly, group->id);
  return true;
}

void quota_watch(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GHashTable) open = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  g_autoptr(GArray) nearly = g_array_new(FALSE, FALSE, sizeof(WsId));
  Watch watch = {center->quotas, open, nearly};
  GHashTableIter iter;
  const WsId *id;
  inv_each_by(head, &ws_type_alarm, ws_type_field(&ws_type_alarm, "kind", 4), 0, ALARM, note_alarm, &watch);
  inv_each(head, &ws_type_business_group, watch_group, &watch);
  for (guint i = 0; i < nearly->len; i++)
    center_alarm_open(center, CENTER_MINOR, &ws_type_business_group, g_array_index(nearly, WsId, i), ALARM);
  g_hash_table_iter_init(&iter, open);
  while (g_hash_table_iter_next(&iter, (gpointer *)&id, NULL))
    center_alarm_close(center, &ws_type_business_group, *id, ALARM);
}
