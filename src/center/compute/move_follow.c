// SPDX-License-Identifier: Apache-2.0
/* A move under way: both hosts are asked, the verdict is found (plan/move.h), and what it says is done. See move.h.
 *
 * The same loop serves a move that has just begun, one taken up again after a restart of the manager, and one that is being undone:
 * it knows nothing but what the hosts say. Its calls are repeated, for each of them may have been carried out with its answer lost. */
#include "base/hash.h"
#include "base/log.h"
#include "center/compute/move.h"

#define POLL_US     (G_USEC_PER_SEC / 4)
#define ASK_US      G_USEC_PER_SEC
#define UNKNOWN_US  (20 * (gint64)G_USEC_PER_SEC) /* then an alarm tells people */
#define PATIENCE_US (30 * (gint64)G_USEC_PER_SEC) /* for the target, when it is known already that the VM stays */
#define TOLD_PASSES 20
#define ALARM       "vm_move_unknown"
#define ALARM_TWICE "vm_runs_twice"

/* One pass. */
typedef struct {
  PlanMoveSight sight;
  WsRpcVmMigrateStatusResult *source, *target; /* NULL: not asked, or cannot be asked */
} Look;

static void look_clear(Look *look)
{
  g_clear_pointer(&look->source, ws_rpc_vm_migrate_status_result_free);
  g_clear_pointer(&look->target, ws_rpc_vm_migrate_status_result_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_clear)

WsRpcVmMigrateStatusResult *move_status(Move *move, WsId host)
{
  RpcLink *link = hosts_link(move->vm.center, host, NULL);
  WsRpcVmMigrateStatus params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid, .session = (char *)move->session};
  WsRpcVmMigrateStatusResult *result = NULL;
  return link && rpc_vm_migrate_status(link, &params, &result, NULL, NULL, NULL, NULL) ? result : NULL;
}

/* By force, from under the move: nobody can ask it any more, and what it has is its own affair. */
static bool is_removed(const InvSnapshot *snap, WsId host)
{
  return !inv_find(snap, &ws_type_host, host);
}

static void look_at_both(Move *move, Look *look)
{
  look->source = move_status(move, move->vm.host);
  bool working = look->source && look->source->job == WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING;
  look->target = working ? NULL : move_status(move, move->target);
  move->begun = move->begun || (look->source && look->source->job != WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_NONE);
  look->sight = (PlanMoveSight){
    .source = look->source ? (PlanMoveDomain)look->source->domain : PLAN_MOVE_UNKNOWN,
    .target = look->target ? (PlanMoveDomain)look->target->domain : PLAN_MOVE_UNKNOWN,
    .working = working,
    .begun = move->begun,
    .was_paused = move->was_paused,
    .held = move->strategy != WS_VM_MIGRATE_STRATEGY_POST_COPY,
  };
  g_autoptr(InvSnapshot) snap = inv_snapshot(move->vm.center->inventory);
  look->sight.source_removed = !look->source && is_removed(snap, move->vm.host);
  if (look->sight.source_removed)
    look->sight.source = PLAN_MOVE_ABSENT;
  if (!look->target && !working && is_removed(snap, move->target))
    look->sight.target = PLAN_MOVE_ABSENT;
}

/* ---- telling people ---- */

static gint64 known(gint64 value)
{
  return value == WS_INT_UNSET ? 0 : value;
}

/* A line for each pass over the memory, while there are few. */
static void tell_pass(Task *task, Move *move, const WsVmMoveProgress *p)
{
  gint64 passes = known(p->passes);
  if (passes <= move->told_passes || passes > TOLD_PASSES)
    return;
  move->told_passes = passes;
  g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, passes);
  g_autofree char *left = g_strdup_printf("%" G_GINT64_FORMAT, known(p->memory_remaining_bytes) >> 20);
  g_autofree char *dirty = g_strdup_printf("%" G_GINT64_FORMAT, known(p->dirty_bytes_per_s) >> 20);
  task_log(task, "move_pass", "passes", number, "remaining", left, "dirty", dirty, NULL);
}

void move_tell_progress(Task *task, Move *move, const WsRpcVmMigrateStatusResult *source)
{
  const WsVmMoveProgress *p = source ? source->progress : NULL;
  if (!p)
    return;
  gint64 total = known(p->memory_total_bytes) + known(p->disk_total_bytes);
  gint64 left = known(p->memory_remaining_bytes) + known(p->disk_remaining_bytes);
  if (p->carried_bytes != WS_INT_UNSET)
    move->carried_bytes = p->carried_bytes;
  if (p->dirty_bytes_per_s != WS_INT_UNSET)
    move->dirty_bytes_per_s =
        MAX(move->dirty_bytes_per_s, p->dirty_bytes_per_s); /* less while it is slowed */
  if (p->downtime_ms != WS_INT_UNSET)
    move->downtime_ms = p->downtime_ms;
  tell_pass(task, move, p);
  if (total > 0 && source->job == WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING)
    task_progress(task, MAX(total - left, 0), total, "bytes");
}

void move_keep_reason(Move *move, const WsRpcVmMigrateStatusResult *source)
{
  const WsFailure *failure = source ? source->failure : NULL;
  if (!failure || move->reason)
    return;
  move->reason = g_strdup(failure->cause ? failure->cause : failure->code);
}

void move_keep_refusal(Move *move, const WsRpcVmMigrateStatusResult *target)
{
  if (!target || !target->refused || move->refused)
    return;
  move->refused = g_strdup(target->refused);
  g_free(move->reason);
  move->reason = g_strdup(target->refused);
}

static const char *name_of(Task *task, WsId host, char *buffer)
{
  const WsHost *object = inv_find(task_snapshot(task), &ws_type_host, host);
  return object ? object->name : ws_id_format("host", host, buffer);
}

bool move_fail_refused(Task *task, const Move *move, GError **error)
{
  char from[WS_ID_TEXT_MAX], to[WS_ID_TEXT_MAX];
  const WsVm *vm = inv_find(task_snapshot(task), &ws_type_vm, move->vm.id);
  return ws_fail(error, WS_ERROR_MOVE_REFUSED, "object", vm ? vm->name : move->vm.uuid, "from",
                 name_of(task, move->vm.host, from), "to", name_of(task, move->target, to), "reason",
                 move->refused, NULL);
}

static void tell_unknown(Task *task, Move *move, bool twice)
{
  char from[WS_ID_TEXT_MAX], to[WS_ID_TEXT_MAX];
  task_log(task, "move_not_known", "from", name_of(task, move->vm.host, from), "to", name_of(task, move->target, to), NULL);
  center_alarm_open(move->vm.center, twice ? CENTER_CRITICAL : CENTER_MAJOR, &ws_type_vm, move->vm.id, twice ? ALARM_TWICE : ALARM);
}

/* ---- doing ---- */

static char **good_serials(const InvSnapshot *snap, WsId id)
{
  const WsHost *host = inv_find(snap, &ws_type_host, id);
  GPtrArray *serials = g_ptr_array_new();
  if (host && host->certificate && host->certificate->serial)
    g_ptr_array_add(serials, g_ascii_strdown(host->certificate->serial, -1));
  if (host && host->previous_serial)
    g_ptr_array_add(serials, g_ascii_strdown(host->previous_serial, -1));
  g_ptr_array_add(serials, NULL);
  return (char **)g_ptr_array_free(serials, FALSE);
}

static const char *address_of(const InvSnapshot *snap, WsId id)
{
  const WsHost *host = inv_find(snap, &ws_type_host, id);
  return host && host->address ? host->address : "";
}

/* Of the target's right to run it: made durable with the reservation. */
static gint64 generation_of(const InvSnapshot *snap, const Move *move)
{
  const WsVm *vm = inv_find(snap, &ws_type_vm, move->vm.id);
  return vm && vm->run_generation > 0 ? vm->run_generation : WS_INT_UNSET;
}

static bool prepare(Task *task, Move *move, WsVmSpec *spec, char *ticket, WsRpcVmMigratePrepareResult **prepared, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  g_auto(GStrv) serials = good_serials(snap, move->vm.host);
  RpcLink *to = hosts_link(move->vm.center, move->target, error);
  WsVmMoveArrival arrivals[MOVE_DISKS_MAX], *list[MOVE_DISKS_MAX];
  guint n = move->live ? 0 : move->n_disks;
  for (guint i = 0; i < n; i++) {
    const MoveDisk *disk = &move->disks[i];
    const WsVolume *stand_in = inv_find(snap, &ws_type_volume, disk->stand_in);
    list[i] = &arrivals[i];
    arrivals[i] = (WsVmMoveArrival){.key = (char *)disk->key, .pool = disk->pool, .file = stand_in ? stand_in->file : NULL,
                                    .size_bytes = stand_in ? stand_in->size_bytes : 0, .format = disk->format,
                                    .provisioning = disk->provisioning};
  }
  WsRpcVmMigratePrepare params = {.vm = move->vm.id,
                                  .uuid = (char *)move->vm.uuid,
                                  .session = (char *)move->session,
                                  .ticket = ticket,
                                  .peer = move->vm.host,
                                  .peer_serials = {g_strv_length(serials), serials},
                                  .address = (char *)address_of(snap, move->target),
                                  .generation = generation_of(snap, move),
                                  .network = (char *)move->network,
                                  .spec = spec,
                                  .offline = !move->live,
                                  .arrivals = {n, list}};
  return to && rpc_vm_migrate_prepare(to, &params, prepared, NULL, NULL, NULL, error);
}

bool move_start(Task *task, Move *move, GError **error)
{
  Center *center = move->vm.center;
  g_autoptr(WsVmSpec) spec = move_spec_there(task, move, error);
  g_autofree char *ticket = ws_token_new(center->clock, "");
  g_autoptr(WsRpcVmMigratePrepareResult) prepared = NULL;
  if (!spec || !prepare(task, move, spec, ticket, &prepared, error))
    return false;
  const InvSnapshot *snap = task_snapshot(task);
  g_auto(GStrv) serials = good_serials(snap, move->target);
  char *copy[MOVE_DISKS_MAX];
  WsVmMoveLeaving leaving[MOVE_DISKS_MAX], *list[MOVE_DISKS_MAX];
  for (guint i = 0; i < move->n_disks; i++) {
    const WsVolume *volume = inv_find(snap, &ws_type_volume, move->disks[i].volume);
    copy[i] = (char *)move->disks[i].key;
    list[i] = &leaving[i];
    leaving[i] = (WsVmMoveLeaving){.key = copy[i], .pool = volume ? volume->pool : 0, .file = volume ? volume->file : NULL,
                                   .format = volume ? (int)volume->format : 0};
  }
  RpcLink *from = hosts_link(center, move->vm.host, error);
  WsRpcVmMigrateStart params = {.vm = move->vm.id,
                                .uuid = (char *)move->vm.uuid,
                                .session = (char *)move->session,
                                .ticket = ticket,
                                .peer = move->target,
                                .peer_serials = {g_strv_length(serials), serials},
                                .address = prepared->address ? prepared->address : (char *)address_of(snap, move->target),
                                .timeout_s = move->args->timeout_s,
                                .port = prepared->port,
                                .folder = prepared->folder,
                                .spec = spec,
                                .disks = {prepared->disks.len, prepared->disks.items},
                                .copy = {move->n_disks, copy},
                                .generation = generation_of(snap, move),
                                .seed_path = prepared->seed_path,
                                .serial_log = prepared->serial_log,
                                .strategy = move->strategy,
                                .bandwidth_bytes_per_s = move->bandwidth_bytes_per_s,
                                .post_copy_after = move->args->post_copy_after,
                                .offline = !move->live,
                                .leaving = {move->live ? 0 : move->n_disks, list}};
  return from && rpc_vm_migrate_start(from, &params, NULL, NULL, NULL, error);
}

static void call_source(Move *move, PlanMoveVerdict verdict)
{
  g_autoptr(GError) error = NULL;
  RpcLink *link = hosts_link(move->vm.center, move->vm.host, &error);
  char *uuid = (char *)move->vm.uuid;
  if (link && verdict == PLAN_MOVE_DO_END_SOURCE) {
    WsRpcVmPowerOff params = {.vm = move->vm.id, .uuid = uuid};
    g_autoptr(WsRpcVmPowerOffResult) result = NULL;
    rpc_vm_power_off(link, &params, &result, NULL, NULL, NULL, &error);
  } else if (link) {
    WsRpcVmResume params = {.vm = move->vm.id, .uuid = uuid};
    g_autoptr(WsRpcVmResumeResult) result = NULL;
    rpc_vm_resume(link, &params, &result, NULL, NULL, NULL, &error);
  }
  if (error)
    ws_log_error(WS_LOG_WARNING, "move-source-not-told", error, "uuid", uuid, NULL);
}

void move_drop(Move *move, GError **error)
{
  RpcLink *link = hosts_link(move->vm.center, move->target, error);
  WsRpcVmMigrateDrop params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid};
  if (link)
    rpc_vm_migrate_drop(link, &params, NULL, NULL, NULL, error);
}

static void call_target(Move *move, PlanMoveVerdict verdict)
{
  g_autoptr(GError) error = NULL;
  RpcLink *link = hosts_link(move->vm.center, move->target, &error);
  char *uuid = (char *)move->vm.uuid;
  if (link && verdict == PLAN_MOVE_DO_RELEASE) {
    WsRpcVmMigrateRelease params = {.vm = move->vm.id, .uuid = uuid};
    g_autoptr(WsRpcVmMigrateReleaseResult) result = NULL;
    rpc_vm_migrate_release(link, &params, &result, NULL, NULL, NULL, &error);
  } else if (link) {
    move_drop(move, &error);
  }
  if (error)
    ws_log_error(WS_LOG_WARNING, "move-target-not-told", error, "uuid", uuid, NULL);
}

void move_cancel(Move *move)
{
  RpcLink *link = hosts_link(move->vm.center, move->vm.host, NULL);
  WsRpcVmMigrateCancel params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid, .session = (char *)move->session};
  if (link)
    rpc_vm_migrate_cancel(link, &params, NULL, NULL, NULL, NULL);
}

void move_close(Move *move)
{
  const WsId hosts[] = {move->vm.host, move->target};
  WsRpcVmMigrateClose params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid, .session = (char *)move->session};
  for (guint i = 0; i < 2; i++) {
    RpcLink *link = move_patient_link(move, hosts[i], NULL);
    if (link)
      rpc_vm_migrate_close(link, &params, NULL, NULL, NULL, NULL);
  }
}

/* ---- the loop ---- */

static bool outcome_of(PlanMoveVerdict verdict, MoveOutcome *outcome)
{
  switch (verdict) {
  case PLAN_MOVE_IS_STAYED:
    *outcome = MOVE_STAYED;
    return true;
  case PLAN_MOVE_IS_WENT:
    *outcome = MOVE_WENT;
    return true;
  case PLAN_MOVE_IS_ENDED:
    *outcome = MOVE_ENDED;
    return true;
  default:
    return false;
  }
}

static void act(Move *move, PlanMoveVerdict verdict)
{
  switch (verdict) {
  case PLAN_MOVE_DO_RELEASE:
  case PLAN_MOVE_DO_DROP:
    call_target(move, verdict);
    break;
  case PLAN_MOVE_DO_END_SOURCE:
  case PLAN_MOVE_DO_RESUME_SOURCE:
    call_source(move, verdict);
    break;
  default:
    break;
  }
}

bool move_follow(Task *task, Move *move, bool may_begin, MoveOutcome *outcome, GError **error)
{
  Center *center = move->vm.center;
  gint64 unknown_since_us = 0, patience_us = ws_clock_monotonic_us(center->clock) + PATIENCE_US;
  bool told = false, pass_on_cancel = !may_begin;
  for (;;) {
    g_auto(Look) look = {0};
    look_at_both(move, &look);
    move_tell_progress(task, move, look.source);
    move_keep_reason(move, look.source);
    move_keep_refusal(move, look.target);
    if (!may_begin && !look.sight.working)
      look.sight.begun = true;
    if (look.sight.target != PLAN_MOVE_UNKNOWN || look.sight.working)
      patience_us = ws_clock_monotonic_us(center->clock) + PATIENCE_US;
    PlanMoveVerdict verdict = plan_move_verdict(&look.sight);
    gint64 now_us = ws_clock_monotonic_us(center->clock);
    /* It stays; but what arrived is to be dropped, and for a while a target that is away is waited for. */
    bool waits = verdict == PLAN_MOVE_IS_STAYED && look.sight.target == PLAN_MOVE_UNKNOWN && now_us < patience_us;
    if (outcome_of(verdict, outcome) && !waits) {
      /* Known once, and not yet on record (a full disk): it may have run there since, and ended. */
      move->went = move->went || *outcome == MOVE_WENT;
      if (*outcome == MOVE_ENDED && move->went)
        *outcome = MOVE_WENT;
      break;
    }
    if (verdict == PLAN_MOVE_DO_START && task_cancelled(task))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    if (verdict == PLAN_MOVE_DO_START) {
      if (!move_start(task, move, error))
        return false;
      move->begun = true;
      continue;
    }
    act(move, verdict);
    move->cancelled = move->cancelled || task_cancelled(task);
    if ((move->cancelled || pass_on_cancel) && look.sight.working)
      move_cancel(move);
    bool unknown = verdict == PLAN_MOVE_DO_ASK || verdict == PLAN_MOVE_IS_TWICE;
    unknown_since_us = !unknown ? 0 : unknown_since_us ? unknown_since_us : now_us;
    if (unknown && !told && now_us - unknown_since_us >= (verdict == PLAN_MOVE_IS_TWICE ? 0 : UNKNOWN_US)) {
      tell_unknown(task, move, verdict == PLAN_MOVE_IS_TWICE);
      told = true;
    }
    ws_co_sleep(unknown ? ASK_US : POLL_US);
  }
  if (told) {
    center_alarm_close(center, &ws_type_vm, move->vm.id, ALARM);
    center_alarm_close(center, &ws_type_vm, move->vm.id, ALARM_TWICE);
  }
  return true;
}
