// SPDX-License-Identifier: Apache-2.0
/* Accepted recommendations become moves. See drs.h. Core loop.
 *
 * The recommendations are the record: each says `accepted` until its move has ended. So a manager that comes back goes on where the one before stopped:
 * a move that was begun is found by its VM, one that has ended by where the VM is. Moves of one wave are begun together, as many at a time as the cluster
 * lets; the next wave begins when they have ended. */
#include "center/cluster/drs.h"
#include "base/log.h"
#include "center/auth/audit.h"

#define PARALLEL 2 /* where the cluster does not say */
#define POLL_US  (G_USEC_PER_SEC / 4)

typedef struct {
  Center *center;
  DrsCluster *known;
  DrsKind kind;
  guint n_running;
} Apply;

typedef struct {
  Apply *apply;
  WsId advice;
} One;

/* ---- one move ---- */

void drs_end_advice(Center *center, WsId id, int state, const char *note)
{
  for (guint tries = 0; tries < 3; tries++) {
    g_autoptr(InvTxn) txn = inv_begin(center->inventory);
    WsDrsRecommendation *edit = inv_edit_id(txn, &ws_type_drs_recommendation, id);
    g_autoptr(GError) error = NULL;
    if (!edit)
      return;
    edit->state = state;
    g_free(edit->note);
    edit->note = g_strdup(note);
    edit->ended = ws_clock_wall_us(center->clock);
    if (inv_commit(txn, NULL, &error))
      return;
    ws_log_error(WS_LOG_WARNING, "drs-move-not-recorded", error, NULL);
    ws_co_sleep(G_USEC_PER_SEC);
  }
}

void drs_set_task(Center *center, WsId id, WsId task)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsDrsRecommendation *edit = inv_edit_id(txn, &ws_type_drs_recommendation, id);
  if (edit)
    edit->task = task;
  inv_commit(txn, NULL, NULL);
}

/* ---- beginning, on record ---- */

WsId drs_begin_task(Center *center, const WsDrsRecommendation *advice, const char *kind, void *args, GError **error)
{
  char request[WS_ID_TEXT_MAX];
  ws_id_format(ws_type_drs_recommendation.prefix, advice->id, request);
  AuditBegun record = {.log = center->audit, .user = advice->by ? advice->by : "system", .operation = kind, .object = {&ws_type_vm, advice->vm},
                       .name = advice->vm_name, .risk = WS_AUDIT_RECORD_RISK_MEDIUM, .request_id = request};
  const TaskCause why = {.user_name = record.user, .cause = "drs", .request_id = request, .enrich = audit_begun, .enrich_arg = &record};
  TaskStarted started = {0};
  if (!task_start(center->tasks, task_kind_find(center->tasks, kind), advice->vm, args, &why, false, 0, &started, error))
    return 0;
  g_strfreev(started.dry_steps);
  return started.task_id;
}

/* The move that is under way; 0: none could be begun. */
static WsId begin(Center *center, const WsDrsRecommendation *advice, const WsVm *vm, GError **error)
{
  if (vm->activity)
    return g_strcmp0(vm->activity->verb, "migrating") == 0
               ? vm->activity->task
               : (ws_fail(error, WS_ERROR_BUSY, "object", vm->name, "verb", vm->activity->verb, "task", "-", NULL), 0);
  WsVmMigrate *args = ws_vm_migrate_new();
  ws_apply_defaults(&ws_type_vm_migrate, args);
  args->host = advice->to;
  return drs_begin_task(center, advice, "vm_migrate", args, error);
}

static const char *name_of(const InvSnapshot *snap, WsId host)
{
  const WsHost *object = inv_find(snap, &ws_type_host, host);
  return object ? object->name : "-";
}

static void tell(Center *center, const InvSnapshot *snap, const WsDrsRecommendation *advice)
{
  center_event(center, CENTER_INFO, &ws_type_vm, advice->vm, "drs", "drs_moves", "vm", advice->vm_name, "from", name_of(snap, advice->from), "to",
               name_of(snap, advice->to), "reason", ws_drs_recommendation_reason_names[advice->reason - 1], NULL);
}

static void do_move(Center *center, const InvSnapshot *snap, const WsDrsRecommendation *advice)
{
  const WsVm *vm = inv_find(snap, &ws_type_vm, advice->vm);
  g_autoptr(GError) error = NULL;
  if (!vm || (vm->host != advice->from && vm->host != advice->to)) {
    drs_end_advice(center, advice->id, WS_DRS_RECOMMENDATION_STATE_EXPIRED,
                   "the virtual machine is not there any more");
    return;
  }
  if (vm->host == advice->to) {
    drs_end_advice(center, advice->id, WS_DRS_RECOMMENDATION_STATE_APPLIED, NULL);
    return;
  }
  WsId task = begin(center, advice, vm, &error);
  if (task) {
    tell(center, snap, advice);
    drs_set_task(center, advice->id, task);
    task_wait(center->tasks, task, &error);
  }
  drs_note_moved(center, advice->vm);
  g_autoptr(InvSnapshot) now = inv_snapshot(center->inventory);
  const WsVm *after = inv_find(now, &ws_type_vm, advice->vm);
  if (after && after->host == advice->to) {
    drs_end_advice(center, advice->id, WS_DRS_RECOMMENDATION_STATE_APPLIED, NULL);
    return;
  }
  const char *reason = error ? error->message : "it stayed where it was";
  center_event(center, CENTER_MINOR, &ws_type_vm, advice->vm, "drs", "drs_failed", "vm", advice->vm_name, "to", name_of(snap, advice->to), "reason",
               reason, NULL);
  drs_end_advice(center, advice->id, WS_DRS_RECOMMENDATION_STATE_FAILED, reason);
}

static void run_one(void *arg)
{
  g_autofree One *one = arg;
  Center *center = one->apply->center;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsDrsRecommendation *advice = inv_find(snap, &ws_type_drs_recommendation, one->advice);
  if (advice && one->apply->kind == DRS_OF_STORAGE)
    storage_drs_do(center, snap, advice);
  else if (advice)
    do_move(center, snap, advice);
  one->apply->n_running--;
}

/* ---- all of a cluster ---- */

typedef struct {
  DrsKind kind;
  gint64 batch, wave;
  GArray *ids; /* of the first wave, in order of their numbers */
} First;

static bool find_first(const void *object, void *arg)
{
  const WsDrsRecommendation *advice = object;
  First *first = arg;
  bool earlier = !first->ids->len || advice->batch < first->batch || (advice->batch == first->batch && advice->wave < first->wave);
  if (advice->state != WS_DRS_RECOMMENDATION_STATE_ACCEPTED || drs_kind_of(advice) != first->kind)
    return true;
  if (earlier) {
    g_array_set_size(first->ids, 0);
    first->batch = advice->batch;
    first->wave = advice->wave;
  }
  if (advice->batch == first->batch && advice->wave == first->wave)
    g_array_append_val(first->ids, advice->id);
  return true;
}

static guint parallel_of(const InvSnapshot *snap, WsId id, DrsKind kind)
{
  const WsCluster *cluster = inv_find(snap, &ws_type_cluster, id);
  if (kind == DRS_OF_STORAGE) {
    const WsClusterStorageDrs *storage = cluster ? cluster->storage_drs : NULL;
    return storage && storage->parallel != WS_INT_UNSET ? (guint)storage->parallel : 1;
  }
  bool said = cluster && cluster->migration && cluster->migration->parallel != WS_INT_UNSET;
  return said ? (guint)cluster->migration->parallel : PARALLEL;
}

static GArray *first_wave(Center *center, WsId cluster, DrsKind kind, guint *parallel)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  First first = {.kind = kind, .ids = g_array_new(FALSE, FALSE, sizeof(WsId))};
  drs_each_advice(snap, cluster, find_first, &first);
  *parallel = parallel_of(snap, cluster, kind);
  return first.ids;
}

static void run(void *arg)
{
  g_autofree Apply *apply = arg;
  Center *center = apply->center;
  for (;;) {
    guint parallel;
    g_autoptr(GArray) ids = first_wave(center, apply->known->cluster, apply->kind, &parallel);
    if (!ids->len || center->drs->stopped)
      break;
    for (guint i = 0; i < ids->len; i++) {
      while (apply->n_running >= parallel)
        ws_co_sleep(POLL_US);
      One *one = g_new(One, 1);
      *one = (One){apply, g_array_index(ids, WsId, i)};
      apply->n_running++;
      ws_co_start(center->loop, run_one, one);
    }
    while (apply->n_running)
      ws_co_sleep(POLL_US);
  }
  apply->known->applying[apply->kind] = false;
}

static void apply_kind(Center *center, const InvSnapshot *snap, DrsCluster *known, DrsKind kind)
{
  guint pending, accepted;
  drs_count(snap, known->cluster, kind, &pending, &accepted);
  if (known->applying[kind] || !accepted || center->drs->stopped)
    return;
  known->applying[kind] = true;
  Apply *apply = g_new(Apply, 1);
  *apply = (Apply){center, known, kind, 0};
  ws_co_start(center->loop, run, apply);
}

void drs_apply(Center *center, WsId cluster)
{
  g_mutex_lock(&center->drs->lock);
  DrsCluster *known = drs_cluster(center->drs, cluster);
  g_mutex_unlock(&center->drs->lock);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  for (DrsKind kind = 0; kind < DRS_N_KINDS; kind++)
    apply_kind(center, snap, known, kind);
}
