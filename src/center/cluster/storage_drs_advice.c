// SPDX-License-Identifier: Apache-2.0
/* Plans of disks become recommendations. See drs.h. Core loop. */
#include "center/cluster/drs.h"

typedef struct {
  const StorageDrsPicture *picture;
  const PlanStorageDrsResult *result;
} Plan;

static const PlanStorageDrsMove *move_of(const Plan *plan, guint i)
{
  return &g_array_index(plan->result->moves, PlanStorageDrsMove, i);
}

/* The VM's own word counts where it has one. */
static bool is_automatic(const void *of, guint i)
{
  const Plan *plan = of;
  const WsVm *vm = inv_find(plan->picture->snap, &ws_type_vm, g_array_index(plan->picture->vms, WsId, move_of(plan, i)->disk));
  if (vm && (int)vm->drs_level)
    return vm->drs_level == WS_VM_DRS_LEVEL_AUTOMATIC;
  return plan->picture->settings->level == WS_CLUSTER_STORAGE_DRS_LEVEL_AUTOMATIC;
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

static void fill(const void *of, guint i, WsDrsRecommendation *advice)
{
  const Plan *plan = of;
  const StorageDrsPicture *picture = plan->picture;
  const PlanStorageDrsMove *move = move_of(plan, i);
  const WsVm *vm = inv_find(picture->snap, &ws_type_vm, g_array_index(picture->vms, WsId, move->disk));
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

static bool is_of(const void *of, guint i, const WsDrsRecommendation *advice)
{
  const Plan *plan = of;
  const PlanStorageDrsMove *move = move_of(plan, i);
  return advice->volume == g_array_index(plan->picture->volumes, WsId, move->disk) && advice->from_pool == pool_of(plan->picture, move->from) &&
         advice->to_pool == pool_of(plan->picture, move->to);
}

static guint wave_of(const void *of, guint i)
{
  return move_of(of, i)->wave;
}

static void tell(Center *center, const void *of, guint i, const WsDrsRecommendation *advice)
{
  const Plan *plan = of;
  const PlanStorageDrsMove *move = move_of(plan, i);
  g_autofree char *mib = g_strdup_printf("%" G_GINT64_FORMAT, advice->effect->disk_bytes >> 20);
  center_event(center, CENTER_INFO, &ws_type_cluster, advice->cluster, "DRS", "storage_drs_advises", "disk", advice->disk, "vm", advice->vm_name,
               "from", plan->picture->plan.pools[move->from].name, "to", plan->picture->plan.pools[move->to].name, "mib", mib, NULL);
}

bool storage_drs_enter_plan(Center *center, const StorageDrsPicture *picture,
                            const PlanStorageDrsResult *result, gint64 batch, GError **error)
{
  const Plan plan = {picture, result};
  const DrsMoves moves = {DRS_OF_STORAGE, picture->cluster, result->moves->len, &plan, is_of, is_automatic, wave_of, fill, tell};
  return drs_enter_moves(center, &moves, batch, error);
}
