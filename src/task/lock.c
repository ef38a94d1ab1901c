// SPDX-License-Identifier: Apache-2.0
/* Who holds which object: a table in memory, rebuilt from the tasks' records at start-up.
 *
 * A task has its locks in its record from the first step on; before that they are in memory only. An object has one exclusive holder
 * or any number of shared ones; a task may also take what a task above it holds. The same file shows exclusive locks on
 * the objects themselves, as `activity`. */
#include "task/task-private.h"
#include "base/plant.h"

typedef struct {
  const WsType *type;
  WsId id;
} Key;

typedef struct {
  Task *task; /* borrowed: a task releases its locks before it goes */
  bool shared;
} Holder;

/* ---- the table: Key -> GArray of Holder ---- */

static guint key_hash(gconstpointer key)
{
  const Key *k = key;

  return (guint)(k->id * 2654435761u) ^ k->type->index;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
  const Key *x = a, *y = b;

  return x->id == y->id && x->type == y->type;
}

GHashTable *locks_new(void)
{
  return g_hash_table_new_full(key_hash, key_equal, g_free, (GDestroyNotify)g_array_unref);
}

static bool is_above(const Task *task, const Task *other)
{
  const Task *at = task;

  for (guint i = 0; at && at->rec->parent && i < TASK_DEPTH_MAX; i++) {
    at = engine_find(task->engine, at->rec->parent);
    if (at == other)
      return true;
  }
  return false;
}

static const Holder *find_obstacle(Task *task, const Key *key, bool shared)
{
  const GArray *holders = g_hash_table_lookup(task->engine->locks, key);

  for (guint i = 0; holders && i < holders->len; i++) {
    const Holder *holder = &g_array_index(holders, Holder, i);
    if (holder->task != task && !(shared && holder->shared) && !is_above(task, holder->task))
      return holder;
  }
  return NULL;
}

static void add_holder(Task *task, Key key, bool shared)
{
  GArray *holders = g_hash_table_lookup(task->engine->locks, &key);
  Holder holder = {task, shared};

  if (!holders) {
    holders = g_array_new(FALSE, FALSE, sizeof(Holder));
    g_hash_table_insert(task->engine->locks, g_memdup2(&key, sizeof key), holders);
  }
  g_array_append_val(holders, holder);
}

static void remove_holder(Task *task, Key key)
{
  GArray *holders = g_hash_table_lookup(task->engine->locks, &key);

  for (guint i = 0; holders && i < holders->len; i++) {
    if (g_array_index(holders, Holder, i).task == task) {
      g_array_remove_index_fast(holders, i);
      break;
    }
  }
  if (holders && holders->len == 0)
    g_hash_table_remove(task->engine->locks, &key);
}

/* ---- a task's locks ---- */

static bool refuse_busy(const Key *key, const Holder *holder, GError **error)
{
  char object[WS_ID_TEXT_MAX], task[WS_ID_TEXT_MAX] = "";

  if (holder->task->rec->id)
    ws_id_format(ws_type_task.prefix, holder->task->rec->id, task);
  return ws_fail(error, WS_ERROR_BUSY, "object", ws_id_format(key->type->prefix, key->id, object), "verb",
                 holder->task->rec->verb, "task", task, NULL);
}

static WsTaskLock *new_lock(Key key, bool shared, bool made)
{
  WsTaskLock *lock = ws_task_lock_new();

  lock->object = (WsAnyRef){key.type, key.id};
  lock->shared = shared;
  lock->made = made;
  return lock;
}

bool locks_take(Task *task, const TaskLockRef *refs, guint n, GError **error)
{
  for (guint i = 0; i < n; i++) {
    Key key = {refs[i].type, refs[i].id};
    const Holder *holder = find_obstacle(task, &key, refs[i].shared);
    if (holder)
      return refuse_busy(&key, holder, error);
  }
  for (guint i = 0; i < n; i++) {
    Key key = {refs[i].type, refs[i].id};
    add_holder(task, key, refs[i].shared);
    ws_array_add(&task->rec->locks, new_lock(key, refs[i].shared, false));
  }
  return true;
}

void locks_restore(Task *task)
{
  if (SIM_PLANT(locks_not_restored))
    return;
  for (guint i = 0; i < task->rec->locks.len; i++) {
    const WsTaskLock *lock = task->rec->locks.items[i];
    if (lock->object.type)
      add_holder(task, (Key){lock->object.type, lock->object.id}, lock->shared);
  }
}

void locks_add_new(Task *task, const WsType *type, WsId id)
{
  Key key = {type, id};

  add_holder(task, key, false);
  g_ptr_array_add(task->new_locks, new_lock(key, false, true));
}

void locks_drop_new(Task *task)
{
  for (guint i = 0; i < task->new_locks->len; i++) {
    WsTaskLock *lock = task->new_locks->pdata[i];
    remove_holder(task, (Key){lock->object.type, lock->object.id});
    ws_task_lock_free(lock);
  }
  g_ptr_array_set_size(task->new_locks, 0);
}

void locks_release(Task *task, const WsTask *rec)
{
  for (guint i = 0; i < rec->locks.len; i++)
    if (rec->locks.items[i]->object.type)
      remove_holder(task, (Key){rec->locks.items[i]->object.type, rec->locks.items[i]->object.id});
}

/* ---- shown on the objects ---- */

static WsActivity **activity_of(const WsType *type, void *object)
{
  const WsField *field = ws_type_field(type, "activity", strlen("activity"));

  return field && field->kind == WS_KIND_OBJECT && field->sub == &ws_type_activity ? ws_field_at(field, object) : NULL;
}

static bool has_activity(const WsType *type)
{
  const WsField *field = ws_type_field(type, "activity", strlen("activity"));

  return field && field->kind == WS_KIND_OBJECT && field->sub == &ws_type_activity;
}

void locks_show_on(Task *task, void *object)
{
  WsActivity **at = activity_of(((WsResource *)object)->type, object);

  if (!at || *at)
    return; /* none, or a task above shows on it */
  *at = ws_activity_new();
  (*at)->task = task->rec->id;
  (*at)->verb = g_strdup(task->rec->verb);
  (*at)->since = task->rec->started;
}

bool locks_show(Task *task, InvTxn *txn, GError **error)
{
  for (guint i = 0; i < task->rec->locks.len; i++) {
    const WsTaskLock *lock = task->rec->locks.items[i];
    if (lock->shared || !has_activity(lock->object.type))
      continue;
    void *object = inv_edit_id(txn, lock->object.type, lock->object.id);
    if (!object) {
      char id[WS_ID_TEXT_MAX];
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(lock->object.type->prefix, lock->object.id, id),
                     NULL);
    }
    locks_show_on(task, object);
  }
  return true;
}

/* The activity of each object that shows this task; NULL func result is fine. */
static void each_shown(Task *task, InvTxn *txn, void (*func)(WsActivity **at, gint64 arg), gint64 arg)
{
  for (guint i = 0; i < task->rec->locks.len; i++) {
    const WsTaskLock *lock = task->rec->locks.items[i];
    if (lock->shared || !lock->object.type || !has_activity(lock->object.type))
      continue;
    void *object = inv_edit_id(txn, lock->object.type, lock->object.id);
    WsActivity **at = object ? activity_of(lock->object.type, object) : NULL;
    if (at && *at && (*at)->task == task->rec->id)
      func(at, arg);
  }
}

static void set_percent(WsActivity **at, gint64 percent)
{
  (*at)->percent = percent;
}

static void clear_activity(WsActivity **at, gint64 unused)
{
  g_clear_pointer(at, ws_activity_free);
}

void locks_show_percent(Task *task, InvTxn *txn, gint64 percent)
{
  each_shown(task, txn, set_percent, percent);
}

void locks_hide(Task *task, InvTxn *txn)
{
  if (!(SIM_PLANT(activity_stays) && task->undone))
    each_shown(task, txn, clear_activity, 0);
}
