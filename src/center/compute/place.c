// SPDX-License-Identifier: Apache-2.0
/* From inventory to the planner's questions and back. See place.h. */
#include "center/compute/place.h"
#include "base/text.h"
#include "center/pools.h"
#include "center/room.h"
#include "center/room_rules.h"
#include "plan/estate.h"
#include <string.h>

/* ---- what was promised ---- */

/* Several VMs that are asked for at once are placed one after the other, and each is in the inventory some syncs of the disk later. */

static void promise_free(void *arg)
{
  RoomPromise *promise = arg;
  ws_vm_unref(promise->draft);
  g_free(promise);
}

void place_start(Center *center)
{
  center->promises = g_ptr_array_new_with_free_func(promise_free);
}

static void promise(Task *task, const WsVm *draft, WsId host, bool starts)
{
  if (task_is_dry_run(task))
    return;
  RoomPromise *promise = g_new(RoomPromise, 1);
  *promise = (RoomPromise){task_new_id(task, "vm"), host, ws_vm_copy(draft), starts, NULL};
  Center *center = task_center(task);
  g_ptr_array_add(center->promises, promise);
}

void place_end(Task *task)
{
  const Center *center = task_center(task);
  GPtrArray *promises = center->promises;
  WsId vm = task_is_dry_run(task) || !task_chosen(task, "host") ? 0 : task_new_id(task, "vm");
  for (guint i = 0; vm && i < promises->len; i++)
    if (((const RoomPromise *)promises->pdata[i])->vm == vm) {
      g_ptr_array_remove_index_fast(promises, i);
      return;
    }
}

void place_hold(Task *task, const WsVm *draft, bool starts)
{
  RoomPromise *promise = g_new(RoomPromise, 1);
  *promise = (RoomPromise){0, draft->host, ws_vm_copy(draft), starts, task};
  g_ptr_array_add(((Center *)task_center(task))->promises, promise);
}

void place_release(Task *task)
{
  GPtrArray *promises = ((Center *)task_center(task))->promises;
  for (guint i = promises->len; i-- > 0;)
    if (((const RoomPromise *)promises->pdata[i])->batch == task)
      g_ptr_array_remove_index_fast(promises, i);
}

/* A member of a batch comes: of two that are alike it does not matter whose place it is. */
static void take_own_place(Task *task, const WsVm *draft)
{
  GPtrArray *promises = ((Center *)task_center(task))->promises;
  for (guint i = 0; draft->host && !task_is_dry_run(task) && i < promises->len; i++) {
    const RoomPromise *promise = promises->pdata[i];
    if (promise->batch && promise->host == draft->host && g_strcmp0(promise->draft->name, draft->name) == 0) {
      g_ptr_array_remove_index_fast(promises, i);
      return;
    }
  }
}

/* Those that the snapshot does not have. */
static GPtrArray *open_promises(const Center *center, const InvSnapshot *snap)
{
  GPtrArray *open = g_ptr_array_new();
  for (guint i = 0; i < center->promises->len; i++)
    if (!inv_find(snap, &ws_type_vm, ((const RoomPromise *)center->promises->pdata[i])->vm))
      g_ptr_array_add(open, center->promises->pdata[i]);
  return open;
}

/* ---- hosts ---- */

typedef struct {
  Center *center;
  const InvSnapshot *snap;
  InvSnapshot *head;  /* starts that are not durable yet count too */
  GHashTable *coming; /* room_coming() */
  const WsVm *draft;
  GArray *hosts;   /* PlanHost */
  GPtrArray *pools; /* WsPool that it must see; borrowed from snap */
  GPtrArray *promises;
  GPtrArray *texts; /* owns reasons */
} Gather;

/* Those that nobody asked for are not looked at, nor named among those that cannot. */
static bool is_asked_for(const WsVm *draft, const WsHost *host)
{
  return draft->host ? host->id == draft->host : !draft->cluster || host->cluster == draft->cluster;
}

static bool add_host(const void *object, void *arg)
{
  Gather *gather = arg;
  if (!is_asked_for(gather->draft, object))
    return true;
  PlanHost row = room_of_host(gather->head, object, gather->coming);
  row.reaches = true;
  for (guint i = 0; i < gather->pools->len; i++)
    row.reaches = row.reaches && plan_pool_reaches(gather->pools->pdata[i], row.id);
  g_array_append_val(gather->hosts, row);
  return true;
}

/* Pools of the draft's existing volumes, those asked for new ones, and one more (0: none). */
static GPtrArray *pools_of(const InvSnapshot *snap, const WsVm *draft, WsId one_more)
{
  GPtrArray *pools = g_ptr_array_new();
  for (guint i = 0; i <= draft->disks.len; i++) {
    const WsVmDisk *disk = i < draft->disks.len ? draft->disks.items[i] : NULL;
    const WsVolume *volume = disk && disk->volume ? inv_find(snap, &ws_type_volume, disk->volume) : NULL;
    WsId id = !disk ? one_more : volume ? volume->pool : disk->new_volume ? disk->new_volume->pool : 0;
    const WsPool *pool = id ? inv_find(snap, &ws_type_pool, id) : NULL;
    if (pool)
      g_ptr_array_add(pools, (gpointer)pool);
  }
  return pools;
}

/* Hosts of each cluster by that cluster's rules. Texts of refusals go to `texts`. */
static void weigh_rules(const InvSnapshot *snap, const WsVm *draft, const GPtrArray *promises, GArray *hosts, GPtrArray *texts)
{
  g_autoptr(GHashTable) done = g_hash_table_new(g_int64_hash, g_int64_equal);
  WsId self = draft->id ? draft->id : ROOM_DRAFT;
  for (guint i = 0; i < hosts->len; i++) {
    WsId *cluster = &g_array_index(hosts, PlanHost, i).cluster;
    if (!*cluster || !g_hash_table_add(done, cluster))
      continue;
    g_autoptr(RoomRules) rules = room_rules_new_with(snap, *cluster, draft->id ? NULL : draft, promises);
    for (guint j = i; j < hosts->len; j++)
      if (g_array_index(hosts, PlanHost, j).cluster == *cluster)
        room_rules_weigh(rules, self, &g_array_index(hosts, PlanHost, j), 1, texts);
  }
}

/* The hosts that come into question, with what stands against each; `reach`: pools that it must see. */
static void gather_hosts(Task *task, Gather *gather, const WsVm *draft, WsId image_pool)
{
  *gather = (Gather){.center = task_center(task), .snap = task_snapshot(task), .draft = draft};
  gather->head = inv_head(gather->center->inventory);
  gather->coming = room_coming(gather->head, gather->center->promises);
  gather->hosts = g_array_new(FALSE, FALSE, sizeof(PlanHost));
  gather->pools = pools_of(gather->snap, draft, image_pool);
  gather->promises = open_promises(gather->center, gather->snap);
  gather->texts = g_ptr_array_new_with_free_func(g_free);
  inv_each(gather->snap, &ws_type_host, add_host, gather);
  room_cpus_weigh(gather->snap, draft, NULL, (PlanHost *)gather->hosts->data, gather->hosts->len,
                  gather->texts);
}

static void gather_clear(Gather *gather)
{
  inv_snapshot_unref(gather->head);
  g_hash_table_unref(gather->coming);
  g_array_unref(gather->hosts);
  g_ptr_array_unref(gather->pools);
  g_ptr_array_unref(gather->promises);
  g_ptr_array_unref(gather->texts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Gather, gather_clear)

static PlanDemand demand_of(const WsVm *draft, bool start)
{
  PlanDemand demand = room_demand(draft, start);
  demand.only_host = draft->host;
  demand.only_cluster = draft->cluster;
  return demand;
}

/* In words; caller frees. */
static char *chosen_by(const PlanHost *host, const PlanDemand *demand)
{
  PlanStrategy wanted = (int)demand->strategy ? demand->strategy : host->strategy;
  guint percent = host->fill_percent ? host->fill_percent : PLAN_FILL_PERCENT;
  if (demand->only_host)
    return g_strdup("it was named");
  if (wanted != PLAN_CONCENTRATED)
    return g_strdup("spread");
  if (plan_chosen_by(host, demand) == PLAN_CONCENTRATED)
    return g_strdup_printf("concentrated, filled up to %u %%", percent);
  return g_strdup_printf("spread, for no host would stay below %u %%", percent);
}

static char *by_what(const PlanHost *host)
{
  return host->measured
             ? g_strdup_printf(
                   "what is promised, and was measured: %.0f %% of its processors, %.0f %% of its memory",
                   host->measured_cpu_percent, host->measured_memory_percent)
             : g_strdup("what is promised alone, for nothing was measured there");
}

/* For whoever asks later why not elsewhere. */
void place_log(Task *task, const PlanHost *hosts, guint n, const PlanDemand *demand)
{
  g_auto(PlanChoice) choice = {0};
  plan_weigh(hosts, n, demand, &choice);
  g_autoptr(GString) others = g_string_new(choice.n_others ? NULL : "there is no other");
  char score[12], n_out[12];
  if (choice.chosen == n)
    return;
  for (guint i = 0; i < choice.n_others; i++)
    g_string_append_printf(others, "%s%s (%d)", i ? ", " : "", hosts[choice.others[i]].name,
                           plan_score(&hosts[choice.others[i]], demand));
  const PlanHost *chosen = &hosts[choice.chosen];
  g_autofree char *strategy = chosen_by(chosen, demand), *reason = by_what(chosen);
  g_snprintf(score, sizeof score, "%d", plan_score(chosen, demand));
  g_snprintf(n_out, sizeof n_out, "%u", choice.n_out);
  task_log(task, "placed_as", "host", chosen->name, "strategy", strategy, "score", score, "reason", reason,
           "what", others->str, NULL);
  if (choice.out)
    task_log(task, "placed_left_out", "count", n_out, "reason", choice.out, NULL);
}

bool place_host(Task *task, const WsVm *draft, WsId image_pool, bool start, PlanStrategy strategy, WsId *host,
                GError **error)
{
  char text[WS_ID_TEXT_MAX];
  const char *chosen = task_chosen(task, "host");
  if (chosen) {
    if (!ws_id_parse(ws_type_host.prefix, chosen, host))
      return false;
    promise(task, draft, *host, start);
    return true;
  }
  take_own_place(task, draft);
  g_auto(Gather) gather = {0};
  gather_hosts(task, &gather, draft, image_pool);
  weigh_rules(gather.snap, draft, gather.promises, gather.hosts, gather.texts);
  const PlanHost *hosts = (PlanHost *)gather.hosts->data;
  PlanDemand demand = demand_of(draft, start);
  demand.strategy = strategy;
  g_autofree char *why = NULL;
  WsId picked = plan_place(hosts, gather.hosts->len, &demand, &why);
  if (!picked)
    return ws_fail(error, WS_ERROR_NO_HOST, "reasons", why, "field", "host", NULL);
  place_log(task, hosts, gather.hosts->len, &demand);
  *host = picked;
  task_choose(task, "host", ws_id_format(ws_type_host.prefix, picked, text));
  promise(task, draft, picked, start);
  return true;
}

/* ---- many alike ---- */

/* Rules that the members are under, with the members among those that are promised: each stands where it was
 * put so far. */
typedef struct {
  GPtrArray *rules; /* RoomRules of clusters that have such a rule */
  GArray *clusters; /* WsId of each */
  RoomPromise *members;
  guint count;
  char const **barred; /* of each host, whatever the rules say */
  GPtrArray *texts;
} Members;

static bool concerns(const RoomRules *rules, WsId vm)
{
  for (guint i = 0; i < rules->rules->len; i++)
    if (plan_rule_has_vm(&g_array_index(rules->rules, PlanRule, i), vm))
      return true;
  return false;
}

static void free_rules(gpointer rules)
{
  room_rules_free(rules);
}

static void gather_rules(Members *members, const Gather *gather, const WsVm *draft)
{
  const PlanHost *hosts = (PlanHost *)gather->hosts->data;
  g_autoptr(GHashTable) done = g_hash_table_new(g_int64_hash, g_int64_equal);
  for (guint i = 0; i < gather->hosts->len; i++) {
    if (!hosts[i].cluster || !g_hash_table_add(done, (gpointer)&hosts[i].cluster))
      continue;
    RoomRules *rules = room_rules_new_with(gather->snap, hosts[i].cluster, draft, gather->promises);
    if (concerns(rules, ROOM_DRAFT)) {
      g_ptr_array_add(members->rules, rules);
      g_array_append_val(members->clusters, hosts[i].cluster);
    } else {
      room_rules_free(rules);
    }
  }
}

static RoomRules *rules_of(const Members *members, WsId cluster)
{
  for (guint i = 0; cluster && i < members->clusters->len; i++)
    if (g_array_index(members->clusters, WsId, i) == cluster)
      return members->rules->pdata[i];
  return NULL;
}

static void mark(PlanHost *hosts, guint n, const guint *at, guint placed, void *arg)
{
  Members *members = arg;
  for (guint i = 0; i < members->count; i++) {
    WsId host = i < placed ? hosts[at[i]].id : 0;
    if (members->members[i].host == host)
      continue;
    members->members[i].host = host;
    for (guint j = 0; j < members->rules->len; j++)
      room_rules_promised(members->rules->pdata[j], &members->members[i]);
  }
  for (guint i = 0; i < n; i++) {
    RoomRules *rules = rules_of(members, hosts[i].cluster);
    hosts[i].barred = members->barred[i];
    hosts[i].dislikes = 0;
    if (rules && !hosts[i].barred)
      room_rules_weigh(rules, ROOM_DRAFT, &hosts[i], 1, members->texts);
  }
}

/* How many were chosen by which, in the order in which they were: `hosts` as they were before the first. */
static void log_strategies(Task *task, PlanHost *hosts, const guint *at, guint count,
                           const PlanDemand *demand)
{
  char n[12];
  for (guint from = 0, i; from < count; from = i) {
    g_autofree char *strategy = chosen_by(&hosts[at[from]], demand);
    for (i = from; i < count; i++) {
      g_autofree char *same = chosen_by(&hosts[at[i]], demand);
      if (strcmp(strategy, same) != 0)
        break;
      plan_host_add(&hosts[at[i]], demand, 1);
    }
    g_snprintf(n, sizeof n, "%u", i - from);
    task_log(task, "placed_by", "strategy", strategy, "count", n, NULL);
  }
}

static bool refuse_many(guint count, guint fit, const char *why, GError **error)
{
  char all[12], some[12];
  g_snprintf(all, sizeof all, "%u", count);
  g_snprintf(some, sizeof some, "%u", fit);
  if (!fit)
    return ws_fail(error, WS_ERROR_NO_HOST, "reasons", why, "field", "host", NULL);
  return ws_fail(error, WS_ERROR_NO_ROOM_FOR_ALL, "count", all, "fit", some, "reasons", why, "field", "count",
                 NULL);
}

bool place_many(Task *task, const WsVm *draft, WsId image_pool, bool start, PlanStrategy strategy,
                guint count, WsId *found, GError **error)
{
  g_auto(Gather) gather = {0};
  gather_hosts(task, &gather, draft, image_pool);
  PlanHost *hosts = (PlanHost *)gather.hosts->data;
  guint n = gather.hosts->len, fit;
  PlanDemand demand = demand_of(draft, start);
  demand.strategy = strategy;
  g_autofree guint *at = g_new0(guint, count);
  g_autofree RoomPromise *members = g_new0(RoomPromise, count);
  g_autofree char const **barred = g_new0(const char *, n + 1);
  g_autofree char *why = NULL;
  g_autofree PlanHost *before = g_memdup2(hosts, n * sizeof *hosts);
  g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func(free_rules);
  g_autoptr(GArray) clusters = g_array_new(FALSE, FALSE, sizeof(WsId));
  Members all = {rules, clusters, members, count, barred, gather.texts};
  for (guint i = 0; i < count; i++) {
    members[i] = (RoomPromise){.draft = (WsVm *)draft, .starts = start};
    g_ptr_array_add(gather.promises, &members[i]);
  }
  for (guint i = 0; i < n; i++)
    barred[i] = hosts[i].barred;
  gather_rules(&all, &gather, draft);
  if (!plan_place_many(hosts, n, &demand, count, rules->len ? mark : NULL, &all, at, &fit, &why))
    return refuse_many(count, fit, why, error);
  for (guint i = 0; i < count; i++)
    found[i] = hosts[at[i]].id;
  log_strategies(task, before, at, count, &demand);
  return true;
}

/* ---- one that is there ---- */

static bool refuse_on(const WsHost *host, const char *reason, GError **error)
{
  g_autofree char *reasons = g_strdup_printf("%s: %s", host->name, reason);
  return ws_fail(error, WS_ERROR_NO_HOST, "reasons", reasons, NULL);
}

/* As things stand, with all that was promised so far: from here to the first step's record nothing may wait.
 */
static PlanHost room_now(Center *center, const InvSnapshot *head, const WsHost *host)
{
  g_autoptr(GHashTable) coming = room_coming(head, center->promises);
  return room_of_host(head, host, coming);
}

bool place_admit(Center *center, const WsVm *vm, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_head(center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, vm->host);
  if (!host)
    return true; /* its own error comes with the call */
  PlanHost row = room_now(center, snap, host);
  PlanDemand demand = room_demand(vm, true);
  row.reaches = true; /* its own error tells which volume is not there */
  if (room_holds(snap, vm->id, host->id)) /* paused on start, say: it holds its share already */
    plan_host_add(&row, &demand, -1);
  g_autoptr(RoomRules) rules = room_rules_new(snap, host->cluster, NULL, NULL);
  g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
  room_cpus_weigh(snap, vm, NULL, &row, 1, texts);
  room_rules_weigh(rules, vm->id, &row, 1, texts);
  const char *reason = row.connected ? plan_refusal(&row, &demand) : NULL;
  return !reason || refuse_on(host, reason, error);
}

bool place_admit_change(Center *center, const WsVm *before, const WsVm *after, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_head(center->inventory);
  const WsHost *host = plan_vm_is_placed(before) ? inv_find(snap, &ws_type_host, before->host) : NULL;
  PlanDemand was = room_demand(before, true), will = room_demand(after, true);
  if (!host || (will.memory_reserved_bytes <= was.memory_reserved_bytes &&
                will.cpu_reserved_percent <= was.cpu_reserved_percent))
    return true;
  PlanHost row = room_now(center, snap, host);
  if (room_holds(snap, before->id, host->id))
    plan_host_add(&row, &was, -1);
  const char *reason = plan_reservation_refusal(&row, &will);
  return !reason || refuse_on(host, reason, error);
}

/* ---- pools ---- */

typedef struct {
  const WsPool *pool;
  bool known; /* the room below is: walking a pool's volumes is not done for pools that nobody asks about */
  PoolRoom room; /* what was given to those before taken off */
} PoolRow;

struct PlacePools {
  const Center *center;
  const InvSnapshot *snap;
  GArray *rows; /* PoolRow of those that are in use */
};

static bool is_usable(const WsPool *pool)
{
  return pool->state == WS_POOL_STATE_ACTIVE || pool->state == WS_POOL_STATE_DEGRADED;
}

static bool add_pool(const void *object, void *arg)
{
  const PlacePools *pools = arg;
  PoolRow row = {.pool = object};
  if (is_usable(object))
    g_array_append_val(pools->rows, row);
  return true;
}

PlacePools *place_pools_new(const Center *center, const InvSnapshot *snap)
{
  PlacePools *pools = g_new(PlacePools, 1);
  *pools = (PlacePools){center, snap, g_array_new(FALSE, FALSE, sizeof(PoolRow))};
  inv_each(snap, &ws_type_pool, add_pool, pools);
  return pools;
}

void place_pools_free(PlacePools *pools)
{
  g_array_unref(pools->rows);
  g_free(pools);
}

static bool lacks_promise(const PoolRoom *room, const PlacePoolNeed *need)
{
  return need->promised_bytes > room->promised_bytes;
}

static bool lacks_blocks(const PoolRoom *room, const PlacePoolNeed *need)
{
  return need->real_bytes > 0 && need->real_bytes > room->real_bytes;
}

/* The most is the best: what holds it, then what may, for nothing is known of it yet. */
static int rank(const PoolRoom *room, const PlacePoolNeed *need)
{
  if (lacks_promise(room, need) || lacks_blocks(room, need))
    return 0;
  return MIN(room->promised_bytes, room->real_bytes) == G_MAXINT64 ? 1 : 2;
}

static bool is_better_pool(const PoolRow *row, const PoolRow *best, const PlacePoolNeed *need)
{
  int a = rank(&row->room, need), b = rank(&best->room, need);
  return a != b ? a > b
                : MIN(row->room.promised_bytes, row->room.real_bytes) >
                      MIN(best->room.promised_bytes, best->room.real_bytes);
}

/* Of those that the host reaches, or the one that is named; NULL: there is none. */
static PoolRow *best_pool(PlacePools *pools, WsId host, const PlacePoolNeed *need)
{
  PoolRow *best = NULL;
  for (guint i = 0; i < pools->rows->len; i++) {
    PoolRow *row = &g_array_index(pools->rows, PoolRow, i);
    if ((need->pool && row->pool->id != need->pool) || !plan_pool_reaches(row->pool, host))
      continue;
    if (!row->known)
      row->room = pools_room(pools->center, pools->snap, row->pool);
    row->known = true;
    if (!best || is_better_pool(row, best, need))
      best = row;
  }
  return best;
}

static void take_off(PoolRoom *room, const PlacePoolNeed *need)
{
  room->promised_bytes -= room->promised_bytes == G_MAXINT64 ? 0 : need->promised_bytes;
  room->real_bytes -= room->real_bytes == G_MAXINT64 ? 0 : need->real_bytes;
}

static bool check_named(const InvSnapshot *snap, WsId host, WsId id, const char *field, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  if (!pool)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", field, "object",
                   ws_id_format(ws_type_pool.prefix, id, text), NULL);
  if (!is_usable(pool))
    return ws_fail(error, WS_ERROR_WRONG_STATE, "field", field, "object", pool->name, "verb", "hold a new disk", "state",
                   pool->state ? ws_pool_state_names[pool->state - 1] : "unknown", NULL);
  return plan_pool_reaches(pool, host) ||
         ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "a pool that the VM's host reaches", NULL);
}

bool place_pool_of(PlacePools *pools, WsId host, const PlacePoolNeed *need, WsId *id, const char *field,
                   GError **error)
{
  PoolRow *best = *id ? NULL : best_pool(pools, host, need);
  if (*id) {
    PlacePoolNeed named = {*id, need->promised_bytes, need->real_bytes};
    if (!check_named(pools->snap, host, *id, field, error))
      return false;
    best = pools->rows->len ? best_pool(pools, host, &named) : NULL;
  } else if (!best) {
    return ws_fail(error, WS_ERROR_NO_CAPACITY, "field", field, "object", "the host's pools", "need",
                   "an active pool", "free", "none", NULL);
  }
  if (best)
    take_off(&best->room, need);
  *id = best ? best->pool->id : *id;
  return true;
}

bool place_pool(const Center *center, const InvSnapshot *snap, WsId host, const PlacePoolNeed *need, WsId *id,
                const char *field, GError **error)
{
  if (*id)
    return check_named(snap, host, *id, field, error);
  g_autoptr(PlacePools) pools = place_pools_new(center, snap);
  return place_pool_of(pools, host, need, id, field, error);
}

/* NULL: it fits, and is taken off. Caller frees. */
static char *give_to_one(PoolRow *row, const PlacePoolNeed *need)
{
  PoolRoom *room = &row->room;
  bool promise = lacks_promise(room, need);
  char wants[WS_SIZE_TEXT_MAX], left[WS_SIZE_TEXT_MAX];
  if (promise || lacks_blocks(room, need)) {
    ws_size_format(promise ? need->promised_bytes : need->real_bytes, wants);
    ws_size_format(MAX(0, promise ? room->promised_bytes : room->real_bytes), left);
    return g_strdup_printf("%s: %s needed for one more, %s left", row->pool->name, wants, left);
  }
  take_off(room, need);
  return NULL;
}

bool place_pools(Task *task, const PlacePoolNeed *need, const WsId *hosts, guint count, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
  g_autoptr(PlacePools) pools = place_pools_new(task_center(task), head);
  char all[12], some[12];
  for (guint i = 0; i < count; i++) {
    PoolRow *row = best_pool(pools, hosts[i], need);
    g_autofree char *why =
        row ? give_to_one(row, need) : NULL; /* without one the member's own error says why */
    g_snprintf(all, sizeof all, "%u", count);
    g_snprintf(some, sizeof some, "%u", i);
    if (why)
      return ws_fail(error, WS_ERROR_NO_DISK_ROOM_FOR_ALL, "count", all, "fit", some, "reasons", why, "field",
                     need->pool ? "pool" : "count", NULL);
  }
  return true;
}

/* ---- networks ---- */

typedef struct {
  const InvSnapshot *snap;
  WsId host, any, served;
} GroupLook;

static bool look_at_group(const void *object, void *arg)
{
  const WsPortGroup *group = object;
  GroupLook *look = arg;
  const WsSwitch *sw = inv_find(look->snap, &ws_type_switch, group->switch_);
  if (!sw || sw->host != look->host || group->state != WS_PORT_GROUP_STATE_ACTIVE)
    return true;
  if (!look->any)
    look->any = group->id;
  if (!look->served && group->subnet)
    look->served = group->id;
  return true;
}

WsId place_port_group(const InvSnapshot *snap, WsId host)
{
  GroupLook look = {snap, host, 0, 0};
  inv_each(snap, &ws_type_port_group, look_at_group, &look);
  return look.served ? look.served : look.any;
}
