// SPDX-License-Identifier: Apache-2.0
/* Where a VM may move to when nobody says so, how it moves, and when it is its turn. See move.h.
 *
 * Moves under way are known by their tasks' records, which are durable: each has the hosts that it was given among its choices. So a manager
 * that has just come back counts as the one before did. */
#include "center/compute/move.h"
#include "center/room.h"
#include "center/turns.h"
#include "plan/estate.h"
#include <string.h>

#define PARALLEL 2 /* where the cluster does not say */
#define POLL_US  (G_USEC_PER_SEC / 4)

static const WsCluster *cluster_of(const InvSnapshot *snap, WsId host)
{
  const WsHost *object = inv_find(snap, &ws_type_host, host);
  return object && object->cluster ? inv_find(snap, &ws_type_cluster, object->cluster) : NULL;
}

/* ---- how ---- */

G_STATIC_ASSERT((int)WS_CLUSTER_MIGRATION_STRATEGY_POST_COPY == (int)WS_VM_MIGRATE_STRATEGY_POST_COPY);

void move_settle_ways(const InvSnapshot *snap, Move *move)
{
  const WsCluster *cluster = cluster_of(snap, move->target);
  const WsClusterMigration *like = cluster ? cluster->migration : NULL;
  move->strategy = (int)move->args->strategy ? (int)move->args->strategy
                   : like && (int)like->strategy ? (int)like->strategy
                                                 : WS_VM_MIGRATE_STRATEGY_BUSINESS_FIRST;
  move->bandwidth_bytes_per_s = move->args->bandwidth_bytes_per_s;
  if (move->bandwidth_bytes_per_s == WS_INT_UNSET && like && like->bandwidth_mbps != WS_INT_UNSET)
    move->bandwidth_bytes_per_s = MAX(like->bandwidth_mbps * 125000, 1048576);
  move->network = like && !move->storage_only ? like->network : NULL;
}

/* ---- moves under way ---- */

typedef struct {
  WsId id, vm, from, to;
  bool waits; /* its turn has not come */
} UnderWay;

static WsId chosen_host(const WsTask *task, const char *label)
{
  const char *text = ws_map_get(&task->choices, label);
  return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static bool is_under_way(const WsTask *task)
{
  return !task->ended && task->steps.len > 0;
}

static bool waits_its_turn(const WsTask *task)
{
  const WsTaskStep *first = task->steps.items[0];
  return strcmp(first->name, MOVE_TURN) == 0 && first->state == WS_TASK_STEP_STATE_RUNNING;
}

static bool add_under_way(const void *object, void *arg)
{
  const WsTask *task = object;
  UnderWay row = {task->id, task->target.id, chosen_host(task, "from"), chosen_host(task, "to"), false};
  if (!is_under_way(task))
    return true;
  row.waits = waits_its_turn(task);
  g_array_append_val((GArray *)arg, row);
  return true;
}

static GArray *under_way(const InvSnapshot *snap)
{
  GArray *rows = g_array_new(FALSE, FALSE, sizeof(UnderWay));
  inv_each_by(snap, &ws_type_task, ws_type_field(&ws_type_task, "kind", 4), 0, "vm_migrate", add_under_way, rows);
  return rows;
}

/* ---- rooms ---- */

typedef struct {
  const InvSnapshot *snap;
  GHashTable *coming; /* what is on its way there, or promised, holds its share already */
  WsId own, cluster, host_pool;
  GArray *rooms;
} Gather;

static bool add_room(const void *object, void *arg)
{
  const WsHost *host = object;
  Gather *gather = arg;
  /* Of a single host: the other single hosts of its host pool. */
  if (host->id == gather->own || host->cluster != gather->cluster ||
      (!gather->cluster && host->host_pool != gather->host_pool))
    return true;
  PlanHost room = room_of_host(gather->snap, host, gather->coming);
  room.reaches = true; /* disks that it does not reach move along; what cannot is found when it is weighed */
  g_array_append_val(gather->rooms, room);
  return true;
}

GArray *move_rooms(Center *center, const InvSnapshot *snap, const WsVm *vm, WsId cluster)
{
  const WsHost *own = inv_find(snap, &ws_type_host, vm->host);
  g_autoptr(GHashTable) coming = room_coming(snap, center->promises);
  Gather gather = {
      snap, coming, vm->host, cluster, own ? own->host_pool : 0, g_array_new(FALSE, FALSE, sizeof(PlanHost))};
  inv_each(snap, &ws_type_host, add_room, &gather);
  return gather.rooms;
}

/* ---- its turn ---- */

static guint parallel_of(const InvSnapshot *snap, WsId host)
{
  const WsCluster *cluster = cluster_of(snap, host);
  bool said = cluster && cluster->migration && cluster->migration->parallel != WS_INT_UNSET;
  return said ? (guint)cluster->migration->parallel : PARALLEL;
}

/* A task's record says only with its next commit that its turn has come, and that may have to wait for another one: whoever looks in between
 * must know all the same, or one too many goes. */
static void know_begun(Center *center, GArray *moves)
{
  g_autoptr(GHashTable) begun = g_steal_pointer(&center->moves_begun);
  center->moves_begun = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  for (guint i = 0; begun && i < moves->len; i++) {
    UnderWay *row = &g_array_index(moves, UnderWay, i);
    if (!row->waits || !g_hash_table_contains(begun, &row->id))
      continue;
    row->waits = false;
    g_hash_table_add(center->moves_begun, g_memdup2(&row->id, sizeof row->id));
  }
}

/* Those that move already, and those that have waited longer. */
static guint before_me(const GArray *moves, WsId me, WsId host)
{
  guint n = 0;
  for (guint i = 0; i < moves->len; i++) {
    const UnderWay *row = &g_array_index(moves, UnderWay, i);
    n += row->id != me && (row->from == host || row->to == host) && (!row->waits || row->id < me);
  }
  return n;
}

WsId move_take_turn(Center *center, const InvSnapshot *head, WsId me, WsId from, WsId to, guint *limit)
{
  const WsId hosts[] = {from, to};
  g_autoptr(GArray) moves = under_way(head);
  know_begun(center, moves);
  for (guint i = 0; i < G_N_ELEMENTS(hosts); i++) {
    *limit = parallel_of(head, hosts[i]);
    if (before_me(moves, me, hosts[i]) >= *limit)
      return hosts[i];
  }
  g_hash_table_add(center->moves_begun, g_memdup2(&me, sizeof me));
  return 0;
}

static WsId host_that_is_full(Task *task, const Move *move, guint *limit)
{
  g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
  return move_take_turn(move->vm.center, head, task_id(task), move->vm.host, move->target, limit);
}

bool move_wait_turn(Task *task, void *ctx, GError **error)
{
  const Move *move = ctx;
  WsId full, shown = 0;
  for (guint limit; (full = host_that_is_full(task, move, &limit)); shown = full) {
    if (full != shown)
      turn_show(task, full, limit);
    if (task_cancelled(task))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    ws_co_sleep(POLL_US);
  }
  return true;
}
