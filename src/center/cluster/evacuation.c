// SPDX-License-Identifier: Apache-2.0
/* See evacuation.h. */
#include "center/cluster/evacuation.h"
#include "center/cluster/cluster.h"
#include "center/room.h"
#include "plan/estate.h"
#include "plan/fit.h"

#define NAMES_MAX 20 /* of VMs, in a refusal */

/* ---- making ---- */

/* VMs stay in the cluster, whose rules and networks they were made for; those of a single host go to single
 * hosts, never into a cluster. */
static bool add_room(const void *object, void *arg)
{
  Evacuation *evacuation = arg;
  const WsHost *host = object;
  if (host->cluster != evacuation->cluster || (!host->cluster && host->host_pool != evacuation->host_pool))
    return true;
  PlanHost room = room_of_host(evacuation->snap, host, evacuation->coming);
  room.reaches = true; /* disks that it does not reach move along */
  g_array_append_val(evacuation->rooms, room);
  return true;
}

static Evacuation *new_evacuation(const InvSnapshot *snap, WsId cluster, WsId host_pool,
                                  const GPtrArray *promises)
{
  Evacuation *evacuation = g_new0(Evacuation, 1);
  evacuation->snap = snap;
  evacuation->cluster = cluster;
  evacuation->host_pool = host_pool;
  evacuation->rooms = g_array_new(FALSE, FALSE, sizeof(PlanHost));
  evacuation->moved = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  evacuation->coming = room_coming(snap, promises);
  evacuation->arrivals = room_arrivals(snap);
  evacuation->texts = g_ptr_array_new_with_free_func(g_free);
  inv_each(snap, &ws_type_host, add_room, evacuation);
  evacuation->rules = room_rules_new(snap, cluster, NULL, NULL);
  evacuation->rules->moved = evacuation->moved;
  return evacuation;
}

Evacuation *evacuation_new(const InvSnapshot *snap, WsId cluster, const GPtrArray *promises)
{
  return new_evacuation(snap, cluster, 0, promises);
}

Evacuation *evacuation_new_of(const InvSnapshot *snap, const WsHost *host, const GPtrArray *promises)
{
  return new_evacuation(snap, host->cluster, host->host_pool, promises);
}

void evacuation_free(Evacuation *evacuation)
{
  if (!evacuation)
    return;
  room_rules_free(evacuation->rules);
  g_array_unref(evacuation->rooms);
  g_hash_table_unref(evacuation->moved);
  g_hash_table_unref(evacuation->coming);
  g_hash_table_unref(evacuation->arrivals);
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

/* It is on its way there already: its share is. */
static bool arrives(const Evacuation *evacuation, const WsVm *vm, WsId host)
{
  const WsId *to = g_hash_table_lookup(evacuation->arrivals, &vm->id);
  return to && *to == host && vm->host != host;
}

static void add_share(Evacuation *evacuation, const WsVm *vm, WsId host, int times)
{
  PlanDemand share = room_demand(vm, true);
  if (!arrives(evacuation, vm, host))
    plan_host_add(room_of(evacuation, host), &share, times);
}

static void put(Evacuation *evacuation, const WsVm *vm, WsId host)
{
  WsId *pair = g_new(WsId, 2);
  pair[0] = vm->id;
  pair[1] = host;
  g_hash_table_replace(evacuation->moved, pair, pair + 1); /* the key owns both */
  add_share(evacuation, vm, host, 1);
}

/* Its old place was never given away. */
static void put_back(Evacuation *evacuation, const WsVm *vm, WsId host)
{
  WsId *at = g_hash_table_lookup(evacuation->moved, &vm->id);
  add_share(evacuation, vm, *at, -1);
  *at = host;
}

/* The others, without marks; the host itself is not asked: that it is in maintenance is no reason to be told.
 * Caller unrefs. */
static GArray *others_of(const Evacuation *evacuation, WsId host)
{
  GArray *others = g_array_new(FALSE, FALSE, sizeof(PlanHost));
  for (guint i = 0; i < evacuation->rooms->len; i++) {
    PlanHost room = g_array_index(evacuation->rooms, PlanHost, i);
    room.barred = NULL;
    room.dislikes = 0;
    if (room.id != host)
      g_array_append_val(others, room);
  }
  return others;
}

/* *why (caller frees): why none takes it, then the host is 0. `running`: it needs its room now. */
static WsId place(Evacuation *evacuation, const WsVm *vm, const WsHost *from, bool running, char **why)
{
  g_autoptr(GArray) others = others_of(evacuation, from->id);
  PlanHost *rooms = (PlanHost *)others->data;
  PlanDemand demand = room_demand(vm, running), share = room_demand(vm, true);
  for (guint i = 0; i < others->len; i++)
    if (arrives(evacuation, vm, rooms[i].id))
      plan_host_add(&rooms[i], &share, -1);
  room_cpus_weigh(evacuation->snap, vm, running ? from : NULL, rooms, others->len, evacuation->texts);
  room_rules_weigh(evacuation->rules, vm->id, rooms, others->len, evacuation->texts);
  WsId to = plan_place(rooms, others->len, &demand, why);
  if (!to && !others->len) {
    g_free(*why);
    *why = g_strdup(evacuation->cluster ? "there is no other host in its cluster"
                                        : "there is no other host without a cluster in its host pool");
  }
  return to;
}

/* VMs that found no place, and why the first of them did not. */
typedef struct {
  GString *names;
  const char *first;
  char *why;
  guint n;
} Homeless;

static void add_homeless(Homeless *homeless, const WsVm *vm, char *why)
{
  if (homeless->n < NAMES_MAX)
    g_string_append_printf(homeless->names, "%s%s", homeless->n ? ", " : "", vm->name);
  if (!homeless->n++) {
    homeless->first = vm->name;
    homeless->why = why;
  } else {
    g_free(why);
  }
}

static bool refuse_homeless(const Homeless *homeless, GError **error)
{
  if (homeless->n == 1)
    return ws_fail(error, WS_ERROR_NO_HOST, "reasons", homeless->why, "object", homeless->first, NULL);
  g_autofree char *reasons =
      g_strdup_printf("%u virtual machines find no other host: %s%s; %s", homeless->n, homeless->names->str,
                      homeless->n > NAMES_MAX ? ", ..." : "", homeless->why);
  return ws_fail(error, WS_ERROR_NO_HOST, "reasons", reasons, NULL);
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
    PlanFitHost row = {room->memory_bytes, room->vcpus, room->memory_real_bytes, room->cpu_percent};
    g_autoptr(GPtrArray) there = evacuation_vms_on(evacuation, room->id);
    for (guint j = 0; j < there->len; j++) {
      const WsVm *vm = there->pdata[j];
      PlanFitVm one = {hosts->len, vm->memory_bytes, plan_vm_vcpus(vm), plan_vm_memory_reserved_bytes(vm),
                       plan_vm_cpu_reserved_percent(vm)};
      g_array_append_val(vms, one);
    }
    g_array_append_val(hosts, row);
  }
  return !spare || (hosts->len > spare && (!plan_fit((PlanFitHost *)hosts->data, hosts->len, (PlanFitVm *)vms->data, vms->len, 1, 1, MIN(spare, 2), &fit) ||
                                           fit.survives));
}

/* ---- emptying ---- */

/* VMs that were to arrive here and have left again. */
static void forget_arrivals(Evacuation *evacuation, const GPtrArray *vms, PlanHost *room)
{
  for (guint i = 0; i < vms->len; i++) {
    const WsVm *vm = vms->pdata[i];
    PlanDemand share = room_demand(vm, true);
    if (!arrives(evacuation, vm, room->id))
      continue;
    plan_host_add(room, &share, -1);
    g_hash_table_remove(evacuation->arrivals, &vm->id);
  }
}

bool evacuation_empty(Evacuation *evacuation, const WsHost *host, guint spare, GArray *moves, GError **error)
{
  PlanHost *room = room_of(evacuation, host->id);
  bool in_service = room->in_service;
  g_autoptr(GPtrArray) vms = evacuation_vms_on(evacuation, host->id);
  g_autofree char *number = g_strdup_printf("%u", spare);
  guint n_moves = moves ? moves->len : 0;
  room->in_service = false;
  evacuation->rules->emptied = host->id;
  g_autoptr(GPtrArray) placed = g_ptr_array_new();
  g_autoptr(GString) names = g_string_new(NULL);
  Homeless homeless = {.names = names};
  for (guint i = 0; i < vms->len; i++) {
    const WsVm *vm = vms->pdata[i];
    char *why = NULL;
    EvacuationMove move = {vm->id, place(evacuation, vm, host, true, &why)};
    if (!move.to) {
      add_homeless(&homeless, vm, why);
      continue;
    }
    put(evacuation, vm, move.to);
    g_ptr_array_add(placed, (gpointer)vm);
    if (moves)
      g_array_append_val(moves, move);
  }
  bool ok = !homeless.n || refuse_homeless(&homeless, error);
  g_free(homeless.why);
  evacuation->rules->emptied = 0;
  room = room_of(evacuation, host->id);
  ok = ok && (bears_loss(evacuation, spare) || ws_fail(error, WS_ERROR_NO_HEADROOM, "object", host->name, "spare", number, NULL));
  if (ok) {
    room->memory_used_bytes = room->vcpus_used = room->memory_reserved_bytes = room->cpu_reserved_percent = 0;
    room_add_coming(room, evacuation->coming);
    forget_arrivals(evacuation, vms, room);
    return true;
  }
  for (guint i = 0; i < placed->len; i++)
    put_back(evacuation, placed->pdata[i], host->id);
  room->in_service = in_service;
  if (moves)
    g_array_set_size(moves, n_moves);
  return false;
}

void evacuation_return(Evacuation *evacuation, WsId host)
{
  room_of(evacuation, host)->in_service = true;
}
