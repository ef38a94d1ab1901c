// SPDX-License-Identifier: Apache-2.0
/* Plans become recommendations. See drs.h. Core loop. */
#include "center/cluster/drs.h"
#include "base/log.h"

#define KEEP_US  ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define KEEP_MAX 200 /* ended ones of a cluster */

/* ---- counting ---- */

typedef struct {
  DrsKind kind;
  guint pending, accepted;
} Count;

DrsKind drs_kind_of(const WsDrsRecommendation *advice)
{
  return advice->kind == WS_DRS_RECOMMENDATION_KIND_STORAGE ? DRS_OF_STORAGE : DRS_OF_HOSTS;
}

static bool count_one(const void *object, void *arg)
{
  const WsDrsRecommendation *advice = object;
  Count *count = arg;
  if (drs_kind_of(advice) != count->kind)
    return true;
  count->pending += advice->state == WS_DRS_RECOMMENDATION_STATE_PENDING;
  count->accepted += advice->state == WS_DRS_RECOMMENDATION_STATE_ACCEPTED;
  return true;
}

void drs_each_advice(const InvSnapshot *snap, WsId cluster, InvEach func, void *arg)
{
  inv_each_by(snap, &ws_type_drs_recommendation, ws_type_field(&ws_type_drs_recommendation, "cluster", 7), cluster, NULL, func, arg);
}

void drs_count(const InvSnapshot *snap, WsId cluster, DrsKind kind, guint *pending, guint *accepted)
{
  Count count = {kind, 0, 0};
  drs_each_advice(snap, cluster, count_one, &count);
  *pending = count.pending;
  *accepted = count.accepted;
}

/* ---- entering a plan of either kind ---- */

typedef struct {
  const DrsMoves *moves;
  InvTxn *txn;
  bool *stands; /* by move: advised already */
  gint64 now, batch;
} Enter;

static void stamp(const Enter *enter, guint i, WsDrsRecommendation *advice)
{
  advice->batch = enter->batch;
  advice->step = i + 1;
  advice->wave = enter->moves->wave(enter->moves->plan, i);
}

static bool look_at_old(const void *object, void *arg)
{
  const WsDrsRecommendation *old = object;
  Enter *enter = arg;
  const DrsMoves *moves = enter->moves;
  if (old->state != WS_DRS_RECOMMENDATION_STATE_PENDING || drs_kind_of(old) != moves->kind)
    return true;
  WsDrsRecommendation *edit = inv_edit(enter->txn, old);
  for (guint i = 0; i < moves->n; i++)
    if (!enter->stands[i] && moves->is_of(moves->plan, i, old) && !moves->is_automatic(moves->plan, i)) {
      enter->stands[i] = true;
      stamp(enter, i, edit);
      return true;
    }
  edit->state = WS_DRS_RECOMMENDATION_STATE_EXPIRED;
  edit->ended = enter->now;
  return true;
}

static void add_new(Center *center, const Enter *enter, guint i)
{
  const DrsMoves *moves = enter->moves;
  bool automatic = moves->is_automatic(moves->plan, i);
  WsDrsRecommendation *advice = inv_create(enter->txn, &ws_type_drs_recommendation);
  moves->fill(moves->plan, i, advice);
  stamp(enter, i, advice);
  advice->cluster = moves->cluster;
  advice->kind = moves->kind == DRS_OF_STORAGE ? WS_DRS_RECOMMENDATION_KIND_STORAGE : WS_DRS_RECOMMENDATION_KIND_HOST;
  advice->created = enter->now;
  advice->state = automatic ? WS_DRS_RECOMMENDATION_STATE_ACCEPTED : WS_DRS_RECOMMENDATION_STATE_PENDING;
  advice->by = g_strdup(automatic ? "system" : NULL);
  if (!automatic)
    moves->tell(center, moves->plan, i, advice);
}

bool drs_enter_moves(Center *center, const DrsMoves *moves, gint64 batch, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  guint pending, accepted;
  drs_count(head, moves->cluster, moves->kind, &pending, &accepted);
  if (accepted) /* while it was planned: its figures are of a state that ends with those moves */
    return true;
  g_autofree bool *stands = g_new0(bool, moves->n + 1);
  Enter enter = {moves, txn, stands, ws_clock_wall_us(center->clock), batch};
  drs_each_advice(head, moves->cluster, look_at_old, &enter);
  for (guint i = 0; i < moves->n; i++)
    if (!stands[i])
      add_new(center, &enter, i);
  return inv_commit(txn, NULL, error);
}

/* ---- levels ---- */

enum { OFF = 1, MANUAL, AUTOMATIC }; /* all three enums are in this order */
G_STATIC_ASSERT(OFF == (int)WS_CLUSTER_DRS_LEVEL_OFF && MANUAL == (int)WS_CLUSTER_DRS_RULES_MANUAL && AUTOMATIC == (int)WS_VM_DRS_LEVEL_AUTOMATIC);

/* The VM's own word counts where it has one. */
static int level_of(const DrsPicture *picture, const PlanDrsMove *move)
{
  const WsVm *vm = inv_find(picture->snap, &ws_type_vm, g_array_index(picture->vms, WsId, move->vm));
  bool rule = move->rule != G_MAXUINT32;
  int level = rule ? (int)picture->settings->rules : (int)picture->settings->level;
  return vm && (int)vm->drs_level ? (int)vm->drs_level : level ? level : MANUAL;
}

/* ---- from a move ---- */

double drs_rounded(double value)
{
  return (double)(gint64)(value * 100 + (value < 0 ? -0.5 : 0.5)) / 100;
}

static WsDrsEffect *effect_of(const DrsPicture *picture, const PlanDrsMove *move)
{
  const PlanDrsVm *vm = &picture->plan.vms[move->vm];
  WsDrsEffect *e = ws_drs_effect_new();
  e->gain = drs_rounded(move->gain_s);
  e->cost = drs_rounded(move->cost_s);
  e->vm_cpu = drs_rounded(vm->cpu);
  e->vm_cpu_forecast = drs_rounded(vm->cpu_forecast);
  e->vm_memory_bytes = vm->memory_used_bytes;
  e->from_cpu_before = drs_rounded(move->from_before.cpu);
  e->from_cpu_after = drs_rounded(move->from_after.cpu);
  e->to_cpu_before = drs_rounded(move->to_before.cpu);
  e->to_cpu_after = drs_rounded(move->to_after.cpu);
  e->from_memory_before = drs_rounded(move->from_before.memory);
  e->from_memory_after = drs_rounded(move->from_after.memory);
  e->to_memory_before = drs_rounded(move->to_before.memory);
  e->to_memory_after = drs_rounded(move->to_after.memory);
  return e;
}

static void add_alternatives(const DrsPicture *picture, const PlanDrsMove *move, WsDrsRecommendation *advice)
{
  for (guint i = 0; i < move->n_alternatives; i++) {
    const PlanDrsAlternative *from = &move->alternatives[i];
    WsDrsAlternative *one = ws_drs_alternative_new();
    one->host = g_strdup(picture->plan.hosts[from->host].name);
    one->refused = g_strdup(from->refused);
    if (!from->refused)
      one->gain = drs_rounded(from->gain_s);
    ws_array_add(&advice->alternatives, one);
  }
}

/* ---- a plan of hosts ---- */

typedef struct {
  const DrsPicture *picture;
  const PlanDrsResult *result;
} Plan;

static const PlanDrsMove *move_of(const Plan *plan, guint i)
{
  return &g_array_index(plan->result->moves, PlanDrsMove, i);
}

static void fill(const void *of, guint i, WsDrsRecommendation *advice)
{
  const Plan *plan = of;
  const DrsPicture *picture = plan->picture;
  const PlanDrsMove *move = move_of(plan, i);
  advice->vm = g_array_index(picture->vms, WsId, move->vm);
  advice->vm_name = g_strdup(picture->plan.vms[move->vm].name);
  advice->from = g_array_index(picture->hosts, WsId, move->from);
  advice->to = g_array_index(picture->hosts, WsId, move->to);
  advice->reason = (int)move->reason;
  advice->rule = move->rule != G_MAXUINT32 ? picture->plan.rules[move->rule].id : 0;
  advice->priority = move->priority;
  advice->effect = effect_of(picture, move);
  add_alternatives(picture, move, advice);
}

static bool is_of(const void *of, guint i, const WsDrsRecommendation *advice)
{
  const Plan *plan = of;
  const DrsPicture *picture = plan->picture;
  const PlanDrsMove *move = move_of(plan, i);
  return advice->vm == g_array_index(picture->vms, WsId, move->vm) && advice->from == g_array_index(picture->hosts, WsId, move->from) &&
         advice->to == g_array_index(picture->hosts, WsId, move->to) && (int)advice->reason == (int)move->reason;
}

static bool is_automatic(const void *of, guint i)
{
  const Plan *plan = of;
  return level_of(plan->picture, move_of(plan, i)) == AUTOMATIC;
}

static guint wave_of(const void *of, guint i)
{
  return move_of(of, i)->wave;
}

static void tell(Center *center, const void *of, guint i, const WsDrsRecommendation *advice)
{
  const Plan *plan = of;
  const PlanDrsMove *move = move_of(plan, i);
  g_autofree char *gain = g_strdup_printf("%.0f", move->gain_s);
  center_event(center, CENTER_INFO, &ws_type_cluster, advice->cluster, "DRS", "drs_advises", "vm", advice->vm_name, "from",
               plan->picture->plan.hosts[move->from].name, "to", plan->picture->plan.hosts[move->to].name, "gain", gain, NULL);
}

bool drs_enter_plan(Center *center, const DrsPicture *picture, const PlanDrsResult *result, gint64 batch, GError **error)
{
  const Plan plan = {picture, result};
  const DrsMoves moves = {DRS_OF_HOSTS, picture->cluster, result->moves->len, &plan, is_of, is_automatic, wave_of, fill, tell};
  return drs_enter_moves(center, &moves, batch, error);
}

/* ---- forgetting ---- */

typedef struct {
  gint64 now;
  GArray *ids, *ended; /* WsId to be deleted; WsId that have ended, in order of age */
  const InvSnapshot *snap;
} Forget;

static bool look_at_ended(const void *object, void *arg)
{
  const WsDrsRecommendation *advice = object;
  Forget *forget = arg;
  if (!advice->ended && inv_find(forget->snap, &ws_type_cluster, advice->cluster))
    return true;
  if (!advice->ended || forget->now - advice->ended > KEEP_US)
    g_array_append_val(forget->ids, advice->id);
  else
    g_array_append_val(forget->ended, advice->id);
  return true;
}

void drs_forget_old(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId)), ended = g_array_new(FALSE, FALSE, sizeof(WsId));
  Forget forget = {ws_clock_wall_us(center->clock), ids, ended, head};
  inv_each(head, &ws_type_drs_recommendation, look_at_ended, &forget);
  guint room = KEEP_MAX * MAX(inv_count(head, &ws_type_cluster), 1);
  if (ended->len > room)
    g_array_append_vals(ids, ended->data, ended->len - room);
  if (!ids->len)
    return;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  for (guint i = 0; i < ids->len; i++)
    inv_delete(txn, &ws_type_drs_recommendation, g_array_index(ids, WsId, i));
  inv_commit(txn, NULL, NULL);
}
