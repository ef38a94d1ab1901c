// SPDX-License-Identifier: Apache-2.0
/* Plans of disks become recommendations. See drs.h. Core loop. */
#include "center/cluster/drs.h"

typedef struct {
  const StorageDrsPicture *picture;
  const PlanStorageDrsResult *result;
  InvTxn *txn;
  bool *stands; /* by move: advised already */
  gint64 now, batch;
} Enter;

/* The VM's own word counts where it has one. */
static bool is_automatic(const StorageDrsPicture *picture, const PlanStorageDrsMove *move)
{
  const WsVm *vm = inv_find(picture->snap, &ws_type_vm, g_array_index(picture->vms, WsId, move->disk));
  if (vm && (int)vm->drs_level)
    return vm->drs_level == WS_VM_DRS_LEVEL_AUTOMATIC;
  return picture->settings->level == WS_CLUSTER_STORAGE_DRS_LEVEL_AUTOMATIC;
}

static guint priority_of(const PlanStorageDrsMove *move, double threshold)
{
  double above = move->from_before - threshold, room = 100 - threshold;
  return room <= 0 || above >= room * 0.75 ? 1 : above >= room * 0.5 ? 2 : above >= room * 0.25 ? 3 : 4;
}

static WsDrsEffect *effect_of(const StorageDrsPicture *picture, const PlanStorageDrsMove *move)
{
  WsDrsEffect *e = ws_drs_effect_new();
  e->disk_bytes = picture->plan.disks[move->disk].takes_bytes;
  e->from_space_before = drs_rounded(move->from_before);
  e->from_space_after = drs_rounded(move->from_after);
  e->to_space_before = drs_rounded(move->to_before);
  e->to_space_after = drs_rounded(move->to_after);
  return e;
}

static void add_alternatives(const StorageDrsPicture *picture, const PlanStorageDrsMove *move,
                             WsDrsRecommendation *advice)
{
  for (guint i = 0; i < move->n_alternatives; i++) {
    const PlanStorageDrsAlternative *from = &move->alternatives[i];
    WsDrsAlternative *one = ws_drs_alternative_new();
    one->pool = g_strdup(picture->plan.pools[from->pool].name);
    one->refused = g_strdup(from->refused);
    if (!from->refused)
      one->space_after = drs_rounded(from->space_after);
    ws_array_add(&advice->alternatives, one);
  }
}

static WsId pool_of(const StorageDrsPicture *picture, guint32 pool)
{
  return g_array_index(picture->pools, WsId, pool);
}

static void fill(const StorageDrsPicture *picture, const PlanStorageDrsMove *move,
                 WsDrsRecommendation *advice)
{
  const WsVm *vm = inv_find(picture->snap, &ws_type_vm, g_array_index(picture->vms, WsId, move->disk));
  advice->cluster = picture->cluster;
  advice->kind = WS_DRS_RECOMMENDATION_KIND_STORAGE;
  advice->vm = vm->id;
  advice->vm_name = g_strdup(vm->name);
  advice->from = advice->to = vm->host;
  advice->disk = g_strdup(picture->keys->pdata[move->disk]);
  advice->volume = g_array_index(picture->volumes, WsId, move->disk);
  advice->from_pool = pool_of(picture, move->from);
  advice->to_pool = pool_of(picture, move->to);
  advice->reason = WS_DRS_RECOMMENDATION_REASON_SPACE;
  advice->priority = priority_of(move, picture->options.space_percent);
  advice->effect = effect_of(picture, move);
  add_alternatives(picture, move, advice);
}

static bool is_of(const StorageDrsPicture *picture, const PlanStorageDrsMove *move,
                  const WsDrsRecommendation *advice)
{
  return advice->volume == g_array_index(picture->volumes, WsId, move->disk) &&
         advice->from_pool == pool_of(picture, move->from) && advice->to_pool == pool_of(picture, move->to);
}

static bool look_at_old(const void *object, void *arg)
{
  const WsDrsRecommendation *old = object;
  Enter *enter = arg;
  if (old->state != WS_DRS_RECOMMENDATION_STATE_PENDING || drs_kind_of(old) != DRS_OF_STORAGE)
    return true;
  WsDrsRecommendation *edit = inv_edit(enter->txn, old);
  for (guint i = 0; i < enter->result->moves->len; i++) {
    const PlanStorageDrsMove *move = &g_array_index(enter->result->moves, PlanStorageDrsMove, i);
    if (!enter->stands[i] && is_of(enter->picture, move, old) && !is_automatic(enter->picture, move)) {
      enter->stands[i] = true;
      edit->batch = enter->batch;
      edit->step = i + 1;
      edit->wave = move->wave;
      return true;
    }
  }
  edit->state = WS_DRS_RECOMMENDATION_STATE_EXPIRED;
  edit->ended = enter->now;
  return true;
}

static void add_new(Center *center, const Enter *enter, guint i)
{
  const PlanStorageDrsMove *move = &g_array_index(enter->result->moves, PlanStorageDrsMove, i);
  bool automatic = is_automatic(enter->picture, move);
  WsDrsRecommendation *advice = inv_create(enter->txn, &ws_type_drs_recommendation);
  fill(enter->picture, move, advice);
  advice->batch = enter->batch;
  advice->step = i + 1;
  advice->wave = move->wave;
  advice->created = enter->now;
  advice->state = automatic ? WS_DRS_RECOMMENDATION_STATE_ACCEPTED : WS_DRS_RECOMMENDATION_STATE_PENDING;
  advice->by = g_strdup(automatic ? "system" : NULL);
  if (automatic)
    return;
  g_autofree char *mib = g_strdup_printf("%" G_GINT64_FORMAT, advice->effect->disk_bytes >> 20);
  center_event(center, CENTER_INFO, &ws_type_cluster, enter->picture->cluster, "DRS", "storage_drs_advises",
               "disk", advice->disk, "vm", advice->vm_name, "from",
               enter->picture->plan.pools[move->from].name, "to", enter->picture->plan.pools[move->to].name,
               "mib", mib, NULL);
}

bool storage_drs_enter_plan(Center *center, const StorageDrsPicture *picture,
                            const PlanStorageDrsResult *result, gint64 batch, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autofree bool *stands = g_new0(bool, result->moves->len + 1);
  Enter enter = {picture, result, txn, stands, ws_clock_wall_us(center->clock), batch};
  drs_each_advice(head, picture->cluster, look_at_old, &enter);
  for (guint i = 0; i < result->moves->len; i++)
    if (!stands[i])
      add_new(center, &enter, i);
  return inv_commit(txn, NULL, error);
}
