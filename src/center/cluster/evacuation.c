// SPDX-License-Identifier: Apache-2.0
/* See evacuation.h. */
#include "center/cluster/evacuation.h"
#include "center/cluster/cluster.h"
#include "center/room.h"
#include "plan/fit.h"

/* ---- making ---- */

static bool add_room(const void *object, void *arg)
{
  Evacuation *evacuation = arg;
  PlanHost room = room_of_host(evacuation->snap, object);
  room.reaches = true; /* disks that it does not reach move along */
  g_array_append_val(evacuation->rooms, room);
  return true;
}

Evacuation *evacuation_new(const InvSnapshot *snap, WsId cluster)
{
  Evacuation *evacuation = g_new0(Evacuation, 1);
  evacuation->snap = snap;
  evacuation->cluster = cluster;
  evacuation->rooms = g_array_new(FALSE, FALSE, sizeof(PlanHost));
  evacuation->moved = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  evacuation->texts = g_ptr_array_new_with_free_func(g_free);
  inv_each(snap, &ws_type_host, add_room, evacuation);
  evacuation->rules = room_rules_new(snap, cluster, NULL, NULL);
  evacuation->rules->moved = evacuation->moved;
  return evacuation;
}

void evacuation_free(Evacuation *evacuation)
{
  if (!evacuation)
    return;
  room_rules_free(evacuation->rules);
  g_array_unref(evacuation->rooms);
  g_hash_table_unref(evacuation->moved);
  g_ptr_array_unref(evacuation->texts);
  g_free(evacuation);
}

/* ---- who is where ---- */

static PlanHost *room_of(const Evacuation *evacuation, WsId host)
{
  for (guint i = 0; i < evacuation->rooms->len; i++)
    if (g_array_index(evacuation->rooms, PlanHost, i).id == host)
      return &g_array_index(evacuation->rooms, PlanHost, i);
  return NULL;
}

static int larger_first(gconstpointer a, gconstpointer b)
{
  const WsVm *x = *(const WsVm *const *)a, *y = *(const WsVm *const *)b;
  return x->memory_bytes != y->memory_bytes ? (x->memory_bytes < y->memory_bytes ? 1 : -1) : x->id < y->id ? -1 : x->id > y->id;
}

GPtrArray *evacuation_vms_on(const Evacuation *evacuation, WsId host)
{
  GPtrArray *vms = cluster_placed_on(evacuation->snap, host);
  GHashTableIter iter;
  gpointer vm, at;
  for (guint i = vms->len; i-- > 0;)
    if (g_hash_table_contains(evacuation->moved, &((const WsVm *)vms->pdata[i])->id))
      g_ptr_array_remove_index_fast(vms, i);
  g_hash_table_iter_init(&iter, evacuation->moved);
  while (g_hash_table_iter_next(&iter, &vm, &at))
    if (*(WsId *)at == host)
      g_ptr_array_add(vms, (gpointer)inv_find(evacuation->snap, &ws_type_vm, *(WsId *)vm));
  g_ptr_array_sort(vms, larger_first);
  return vms;
}

static void put(Evacuation *evacuation, const WsVm *vm, WsId host)
{
  PlanHost *room = room_of(evacuation, host);
  WsId *pair = g_new(WsId, 2);
  pair[0] = vm->id;
  pair[1] = host;
  g_hash_table_replace(evacuation->moved, pair, pair + 1); /* the key owns both */
  room->memory_used_bytes += vm->memory_bytes;
  room->vcpus_used += plan_vm_vcpus(vm);
}

/* Its old place was never given away. */
static void put_back(Evacuation *evacuation, const WsVm *vm, WsId host)
{
  WsId *at = g_hash_table_lookup(evacuation->moved, &vm->id);
  PlanHost *room = room_of(evacuation, *at);
  room->memory_used_bytes -= vm->memory_bytes;
  room->vcpus_used -= plan_vm_vcpus(vm);
  *at = host;
}

static void clear_marks(GArray *rooms)
{
  for (guint i = 0; i < rooms->len; i++) {
    g_array_index(rooms, PlanHost, i).barred = NULL;
    g_array_index(rooms, PlanHost, i).dislikes = 0;
  }
}

static bool place(Evacuation *evacuation, const WsVm *vm, GArray *moves, GError **error)
{
  GArray *rooms = evacuation->rooms;
  PlanDemand demand = room_demand(vm, true);
  g_autofree char *why = NULL;
  clear_marks(rooms);
  room_rules_weigh(evacuation->rules, vm->id, (PlanHost *)rooms->data, rooms->len, evacuation->texts);
  demand.only_cluster = evacuation->cluster;
  EvacuationMove move = {vm->id, plan_place((PlanHost *)rooms->data, rooms->len, &demand, &why)};
  if (!move.to)
    return ws_fail(error, WS_ERROR_NO_HOST, "reasons", why, "object", vm->name, NULL);
  put(evacuation, vm, move.to);
  if (moves)
    g_array_append_val(moves, move);
  return true;
}

/* ---- what is left when more hosts fail ---- */

static bool bears_loss(const Evacuation *evacuation, guint spare)
{
  g_autoptr(GArray) hosts = g_array_new(FALSE, TRUE, sizeof(PlanFitHost)), vms = g_array_new(FALSE, TRUE, sizeof(PlanFitVm));
  PlanFit fit;
  for (guint i = 0; spare && i < evacuation->rooms->len; i++) {
    const PlanHost *room = &g_array_index(evacuation->rooms, PlanHost, i);
    if (!room->connected || !room->in_service || room->cluster != evacuation->cluster)
      continue;
    PlanFitHost row = {room->memory_bytes, room->vcpus};
    g_autoptr(GPtrArray) there = evacuation_vms_on(evacuation, room->id);
    for (guint j = 0; j < there->len; j++) {
      const WsVm *vm = there->pdata[j];
      PlanFitVm one = {hosts->len, vm->memory_bytes, plan_vm_vcpus(vm)};
      g_array_append_val(vms, one);
    }
    g_array_append_val(hosts, row);
  }
  return !spare || (hosts->len > spare && (!plan_fit((PlanFitHost *)hosts->data, hosts->len, (PlanFitVm *)vms->data, vms->len, 1, 1, MIN(spare, 2), &fit) ||
                                           fit.survives));
}

/* ---- emptying ---- */

bool evacuation_empty(Evacuation *evacuation, const WsHost *host, guint spare, GArray *moves, GError **error)
{
  PlanHost *room = room_of(evacuation, host->id);
  bool in_service = room->in_service;
  g_autoptr(GPtrArray) vms = evacuation_vms_on(evacuation, host->id);
  g_autofree char *number = g_strdup_printf("%u", spare);
  guint n_moves = moves ? moves->len : 0;
  room->in_service = false;
  evacuation->rules->emptied = host->id;
  guint n_placed = 0;
  while (n_placed < vms->len && place(evacuation, vms->pdata[n_placed], moves, error))
    n_placed++;
  bool ok = n_placed == vms->len;
  evacuation->rules->emptied = 0;
  ok = ok && (bears_loss(evacuation, spare) || ws_fail(error, WS_ERROR_NO_HEADROOM, "object", host->name, "spare", number, NULL));
  if (ok) {
    room->memory_used_bytes = room->vcpus_used = 0;
    return true;
  }
  for (guint i = 0; i < n_placed; i++)
    put_back(evacuation, vms->pdata[i], host->id);
  room->in_service = in_service;
  if (moves)
    g_array_set_size(moves, n_moves);
  return false;
}

void evacuation_return(Evacuation *evacuation, WsId host)
{
  room_of(evacuation, host)->in_service = true;
}
