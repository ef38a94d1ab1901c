// SPDX-License-Identifier: Apache-2.0
/* Ended tasks leave the inventory: after a while, or when there are many, they move to SQL history.
 *
 * A task goes with everything below it, children before parents, and only when all of that has ended. Each goes in the
 * transaction that writes its row of history, so a task is always in one of the two. */
#include "task/task-private.h"

#define ROWS_PER_COMMIT 250
#define LOOKS_PER_TURN 500 /* for children of a task: 2 ms of the core loop */
#define RETRY_US (30 * G_USEC_PER_SEC)

typedef struct {
  WsId id;
  gint64 ended_us;
} EndedRef;

static void sweep_later(TaskEngine *engine, gint64 delay_us);

/* ---- one row ---- */

static char *ref_text(WsAnyRef ref)
{
  char id[WS_ID_TEXT_MAX];

  return ref.type ? g_strdup(ws_id_format(ref.type->prefix, ref.id, id)) : NULL;
}

static char *task_text(WsId id)
{
  return id ? ref_text((WsAnyRef){&ws_type_task, id}) : NULL;
}

static WsEndedTask *new_row(const WsTask *rec)
{
  WsEndedTask *row = ws_ended_task_new();

  row->time = rec->ended;
  row->task = task_text(rec->id);
  row->kind = g_strdup(rec->kind);
  row->verb = g_strdup(rec->verb);
  row->target = ref_text(rec->target);
  row->target_name = g_strdup(rec->target_name);
  row->state = g_strdup(ws_task_state_names[rec->state - 1]);
  for (guint i = 0; i < rec->steps.len; i++)
    ws_array_add(&row->steps, ws_task_step_copy(rec->steps.items[i]));
  for (guint i = 0; i < rec->log.len; i++)
    ws_array_add(&row->log, ws_task_log_line_copy(rec->log.items[i]));
  row->error = rec->error ? ws_failure_copy(rec->error) : NULL;
  row->result = ref_text(rec->result);
  row->owner = g_strdup(rec->owner);
  row->origin = g_strdup(rec->origin);
  row->cause = g_strdup(rec->cause);
  row->request_id = g_strdup(rec->request_id);
  row->parent = task_text(rec->parent);
  row->children = rec->children ? ws_task_children_copy(rec->children) : NULL;
  row->request = g_strdup(rec->request);
  row->created = rec->created;
  row->started = rec->started;
  return row;
}

/* ---- a task and what is below it ---- */

typedef struct {
  const InvSnapshot *snap;
  const WsField *parent;
  GPtrArray *recs; /* of WsTask, borrowed: parents before children */
  bool all_ended;
} Family;

static bool add_member(const void *object, void *arg)
{
  Family *family = arg;

  g_ptr_array_add(family->recs, (void *)object);
  family->all_ended = family->all_ended && task_state_is_end(((const WsTask *)object)->state);
  return family->all_ended;
}

static bool collect(Family *family, const WsTask *root)
{
  add_member(root, family);
  for (guint i = 0; family->all_ended && i < family->recs->len; i++) {
    inv_each_by(family->snap, &ws_type_task, family->parent, ((const WsTask *)family->recs->pdata[i])->id, NULL,
                add_member, family);
    if (i % LOOKS_PER_TURN == LOOKS_PER_TURN - 1) /* a batch has 10,000 of them */
      ws_co_sleep(0);
  }
  return family->all_ended;
}

/* Moves up to ROWS_PER_COMMIT of the last ones in `recs`. */
static bool move_some(TaskEngine *engine, GPtrArray *recs, GError **error)
{
  g_autoptr(InvTxn) txn = inv_begin(engine->inv);
  guint n = MIN(recs->len, ROWS_PER_COMMIT);

  for (guint i = 0; i < n; i++) {
    const WsTask *rec = recs->pdata[recs->len - 1 - i];
    inv_append_history(txn, new_row(rec));
    inv_delete(txn, &ws_type_task, rec->id);
  }
  if (!inv_commit(txn, NULL, error))
    return false;
  g_ptr_array_set_size(recs, (gint)(recs->len - n));
  engine->n_ended -= MIN(n, engine->n_ended);
  return true;
}

/* true: it is gone, or was. *again: not all of it has ended. */
static bool move_family(TaskEngine *engine, WsId root_id, bool *again, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(engine->inv);
  g_autoptr(GPtrArray) recs = g_ptr_array_new();
  const WsTask *root = inv_find(snap, &ws_type_task, root_id);
  Family family = {snap, ws_type_field(&ws_type_task, "parent", strlen("parent")), recs, true};

  *again = root && !collect(&family, root);
  if (!root || *again)
    return true;
  while (recs->len)
    if (!move_some(engine, recs, error))
      return false;
  return true;
}

/* ---- when ---- */

static gint64 now_us(TaskEngine *engine)
{
  return ws_clock_wall_us(ws_loop_clock(engine->loop));
}

static bool is_due(TaskEngine *engine, const EndedRef *oldest)
{
  return engine->n_ended > engine->keep || now_us(engine) - oldest->ended_us >= engine->keep_us;
}

static void push(TaskEngine *engine, WsId id, gint64 ended_us)
{
  EndedRef *ref = g_new(EndedRef, 1);

  *ref = (EndedRef){id, ended_us};
  g_queue_push_tail(&engine->ended, ref);
}

static void sweep(void *arg)
{
  TaskEngine *engine = arg;
  guint n = g_queue_get_length(&engine->ended);

  for (guint i = 0; i < n; i++) {
    EndedRef *oldest = g_queue_peek_head(&engine->ended);
    g_autoptr(GError) error = NULL;
    bool again = false;
    if (!oldest || !is_due(engine, oldest))
      break;
    if (!move_family(engine, oldest->id, &again, &error)) {
      ws_log_error(WS_LOG_WARNING, "tasks-stay", error, NULL);
      break;
    }
    g_queue_pop_head(&engine->ended);
    if (again)
      push(engine, oldest->id, now_us(engine));
    g_free(oldest);
  }
  engine->sweeping = false;
  if (!g_queue_is_empty(&engine->ended))
    sweep_later(engine, RETRY_US);
}

static void sweep_due(void *arg)
{
  TaskEngine *engine = arg;

  engine->sweep_timer = NULL;
  engine->sweeping = true;
  ws_co_start(engine->loop, sweep, engine);
}

static void sweep_later(TaskEngine *engine, gint64 delay_us)
{
  if (!engine->sweep_timer && !engine->sweeping)
    engine->sweep_timer = ws_loop_after(engine->loop, delay_us, sweep_due, engine);
}

void history_add(TaskEngine *engine, const WsTask *ended)
{
  engine->n_ended++;
  if (!ended->parent)
    push(engine, ended->id, ended->ended);
  sweep_later(engine, MIN(RETRY_US, engine->keep_us));
}

void task_engine_set_retention(TaskEngine *engine, guint keep, gint64 keep_us)
{
  engine->keep = keep;
  engine->keep_us = keep_us;
  g_clear_pointer(&engine->sweep_timer, ws_timer_cancel);
  if (!g_queue_is_empty(&engine->ended))
    sweep_later(engine, MIN(RETRY_US, keep_us));
}

/* ---- start and end ---- */

typedef struct {
  TaskEngine *engine;
  const InvSnapshot *snap;
  GArray *roots; /* of EndedRef */
} Load;

static bool load_one(const void *object, void *arg)
{
  Load *load = arg;
  const WsTask *rec = object;
  EndedRef ref = {rec->id, rec->ended};

  if (!task_state_is_end(rec->state))
    return true;
  load->engine->n_ended++;
  if (!rec->parent)
    g_array_append_val(load->roots, ref);
  return true;
}

static int by_end(const void *a, const void *b)
{
  const EndedRef *x = a, *y = b;

  return x->ended_us != y->ended_us ? (x->ended_us < y->ended_us ? -1 : 1) : (x->id < y->id ? -1 : x->id > y->id);
}

void history_load(TaskEngine *engine)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(engine->inv);
  g_autoptr(GArray) roots = g_array_new(FALSE, FALSE, sizeof(EndedRef));
  Load load = {engine, snap, roots};

  inv_each(snap, &ws_type_task, load_one, &load);
  g_array_sort(roots, by_end);
  for (guint i = 0; i < roots->len; i++)
    push(engine, g_array_index(roots, EndedRef, i).id, g_array_index(roots, EndedRef, i).ended_us);
  if (roots->len)
    sweep_later(engine, MIN(RETRY_US, engine->keep_us));
}

void history_free(TaskEngine *engine)
{
  g_clear_pointer(&engine->sweep_timer, ws_timer_cancel);
  g_queue_clear_full(&engine->ended, g_free);
}
