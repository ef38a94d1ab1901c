// SPDX-License-Identifier: Apache-2.0
/* The inventory: opening, what is published, and the line of transactions on their way to the disk.
 *
 * The head is the newest root; each transaction in the line leads from the one before it to its own. The
 * store answers in order, so publishing is: take the first of the line, make its root the published one, tell
 * everybody. A transaction that needs no disk stands in the same line, because it was built on those before
 * it.
 *
 * When the store refuses a batch, everything behind it was built on it and fails as well (the store sees to
 * it that it is not written): the head goes back to what is published, and the epoch tells the old
 * transactions in the line from new ones. */
#include "inventory/inventory-private.h"
#include "base/plant.h"
#include "base/log.h"
#include <string.h>

typedef struct {
  InvListener func;
  void *arg;
} Listener;

typedef struct InvReserveBatch {
  struct InvReserveBatch *next; /* the one before it */
  Inventory *inv;               /* NULL: it was closed meanwhile */
  guint64 epoch;
  InvReserve reserve;
} ReserveBatch;

/* ---- opening and closing ---- */

static bool load_one(void *resource, void *arg, GError **error)
{
  Inventory *inv = arg;
  WsResource *object = ws_resource_pack(resource);

  ws_resource_unref(resource);
  root_put(inv->head, object->type, object->id, NULL, object);
  inv->reserved.revision = MAX(inv->reserved.revision, object->revision);
  inv->next_id = MAX(inv->next_id, object->id + 1);
  ws_resource_unref(object);
  return true;
}

static guint64 read_number(Store *store, const char *name)
{
  g_autofree char *text = store_get_meta(store, name);

  return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static char **reserve_to_meta(const InvReserve *reserve)
{
  char **meta = g_new0(char *, 5);

  meta[0] = g_strdup("revision_reserve");
  meta[1] = g_strdup_printf("%" G_GUINT64_FORMAT, reserve->revision);
  meta[2] = g_strdup("next_id");
  meta[3] = g_strdup_printf("%" G_GUINT64_FORMAT, reserve->id);
  return meta;
}

/* What was reserved may have been used before a crash: go on behind it, and reserve anew before anything is
 * handed out. With a full disk there is nothing in reserve, so only what can be written is published. */
static bool open_reserves(Inventory *inv, GError **error)
{
  Revision start = MAX(inv->reserved.revision, MAX(read_number(inv->store, "revision_reserve"), 1));
  GError *refused = NULL;
  g_auto(GStrv) meta = NULL;

  inv->next_id = MAX(inv->next_id, MAX(SIM_PLANT(ids_from_rows) ? 0 : read_number(inv->store, "next_id"), 1));
  if (SIM_PLANT(revisions_from_rows))
    start = MAX(inv->reserved.revision, 1);
  inv->reserved = (InvReserve){start + INV_RESERVE_REVISIONS, inv->next_id + INV_RESERVE_IDS};
  root_set_revision(inv->head, start);
  meta = reserve_to_meta(&inv->reserved);
  if (!store_put_meta(inv->store, (const char *const *)meta, &refused)) {
    if (!g_error_matches(refused, WS_ERROR, WS_ERROR_READ_ONLY)) {
      g_propagate_error(error, refused);
      return false;
    }
    g_error_free(refused);
    inv->reserved = (InvReserve){start, inv->next_id};
  }
  inv->asked = inv->reserved;
  return true;
}

static void inventory_free(Inventory *inv)
{
  inv_snapshot_unref(inv->head);
  inv_snapshot_unref(inv->published);
  inv_log_clear(&inv->log);
  inv_plan_unref(inv->plan);
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (inv->checks[i])
      g_array_free(inv->checks[i], TRUE);
  g_free(inv->checks);
  g_array_free(inv->listeners, TRUE);
  g_hash_table_unref(inv->unwritten);
  g_hash_table_unref(inv->unstored);
  g_clear_error(&inv->failure);
  pthread_mutex_destroy(&inv->lock);
  g_free(inv);
}

Inventory *inv_open(WsLoop *loop, Store *store, GError **error)
{
  Inventory *inv = g_new0(Inventory, 1);
  bool ok;

  inv->loop = loop;
  inv->store = store;
  inv->plan = inv_plan_new(ws_loop_clock(loop));
  inv->head = root_new(inv->plan);
  inv->end = &inv->first;
  inv->unwritten = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  inv->unstored = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  inv->checks = g_new0(GArray *, ws_n_resource_types);
  inv->listeners = g_array_new(FALSE, FALSE, sizeof(Listener));
  pthread_mutex_init(&inv->lock, NULL);
  ok = store_load(store, load_one, inv, error) && open_reserves(inv, error);
  inv_log_init(&inv->log, inv_snapshot_revision(inv->head));
  if (!ok) {
    inventory_free(inv);
    return NULL;
  }
  inv->published = inv_snapshot_ref(inv->head);
  return inv;
}

/* Who still waits in the line will not be woken any more. */
static void abandon_line(Inventory *inv)
{
  InvPending *pending;

  while ((pending = inv->first)) {
    inv->first = pending->next;
    if (pending->durable)
      pending->inv = NULL; /* the store's answer frees it */
    else
      inv_pending_free(pending);
  }
  inv->end = &inv->first;
  for (ReserveBatch *batch = inv->reserve_batches; batch; batch = batch->next)
    batch->inv = NULL;
}

/* Ids are never used for two types, so an id is enough of a key. */
static void note_unwritten(Inventory *inv, const InvPending *pending, bool unwritten)
{
  for (guint i = 0; i < pending->n_changes; i++) {
    const InvChange *change = &pending->changes[i];
    if (unwritten)
      g_hash_table_insert(inv->unwritten, g_memdup2(&change->id, sizeof change->id), (void *)change->type);
    else
      g_hash_table_remove(inv->unwritten, &change->id);
    if (unwritten && pending->unstored)
      g_hash_table_add(inv->unstored, g_memdup2(&change->id, sizeof change->id));
    else if (!unwritten)
      g_hash_table_remove(inv->unstored, &change->id);
  }
}

/* What was published without the disk, to be written at last. Watchers go on after an orderly restart and would not hear that a value is
 * an older one again. */
static StoreRow *unwritten_rows(Inventory *inv, guint *n_rows)
{
  StoreRow *rows = g_new(StoreRow, g_hash_table_size(inv->unwritten));
  GHashTableIter iter;
  void *id, *type;

  *n_rows = 0;
  g_hash_table_iter_init(&iter, inv->unwritten);
  while (g_hash_table_iter_next(&iter, &id, &type)) {
    const WsResource *object = inv_find(inv->head, type, *(WsId *)id);
    if (object && !g_hash_table_contains(inv->unstored, id))
      rows[(*n_rows)++] = (StoreRow){type, object->id, object->revision, ws_resource_ref(object)};
  }
  return rows;
}

void inv_close(Inventory *inv)
{
  InvReserve exact;
  g_auto(GStrv) meta = NULL;
  StoreRow *rows;
  guint n_rows;

  if (!inv)
    return;
  /* An orderly end leaves no gap in revisions, so watchers can go on after a restart without listing again.
   */
  exact = (InvReserve){inv_snapshot_revision(inv->head), inv->next_id};
  meta = g_hash_table_size(inv->unstored) == 0 ? reserve_to_meta(&exact) : NULL; /* else watchers miss that those are gone */
  if (SIM_PLANT(close_forgets_volatile))
    g_hash_table_remove_all(inv->unwritten);
  rows = unwritten_rows(inv, &n_rows);
  store_submit(inv->store, rows, n_rows, (const char *const *)meta, NULL, NULL);
  abandon_line(inv);
  inventory_free(inv);
}

/* ---- reading ---- */

InvSnapshot *inv_snapshot(Inventory *inv)
{
  InvSnapshot *snap;

  pthread_mutex_lock(&inv->lock);
  snap = inv_snapshot_ref(inv->published);
  pthread_mutex_unlock(&inv->lock);
  return snap;
}

InvSnapshot *inv_head(Inventory *inv)
{
  g_assert(ws_loop_is_own_thread(inv->loop));
  return inv_snapshot_ref(inv->head);
}

guint64 inv_n_rollbacks(const Inventory *inv)
{
  return inv->epoch;
}

/* ---- who takes part ---- */

void inv_add_check(Inventory *inv, const WsType *type, InvCheck check)
{
  if (!inv->checks[type->index])
    inv->checks[type->index] = g_array_new(FALSE, FALSE, sizeof(InvCheck));
  g_array_append_val(inv->checks[type->index], check);
}

void inv_add_listener(Inventory *inv, InvListener func, void *arg)
{
  Listener listener = {func, arg};

  g_array_append_val(inv->listeners, listener);
}

void inv_set_seal(Inventory *inv, const WsType *type, const InvSeal *seal, void *arg)
{
  g_assert(!inv->sealed_type && (type->flags & WS_TYPE_HISTORY));
  inv->sealed_type = type;
  inv->seal = seal;
  inv->seal_arg = arg;
}

/* ---- ids ---- */

/* Whether the next batch should take a new reserve with it. */
static bool runs_low(const Inventory *inv, Revision revision)
{
  return revision + INV_RESERVE_REVISIONS / 2 > inv->asked.revision ||
         inv->next_id + INV_RESERVE_IDS / 2 > inv->asked.id;
}

static void on_reserve_written(const GError *error, void *arg);

/* Takes a new reserve from behind what will be in use by then; it holds once written. */
static InvReserve next_reserve(Inventory *inv, Revision revision)
{
  inv->asked = (InvReserve){revision + INV_RESERVE_REVISIONS, inv->next_id + INV_RESERVE_IDS};
  return inv->asked;
}

/* A batch of nothing but a new reserve. It stands outside the line: nobody waits for it. Not while the disk
 * is full: then only a real change may try. */
static void ask_reserve(Inventory *inv)
{
  ReserveBatch *batch;
  g_auto(GStrv) meta = NULL;

  if (store_state(inv->store) == STORE_READ_ONLY)
    return;
  batch = g_new(ReserveBatch, 1);
  *batch = (ReserveBatch){inv->reserve_batches, inv, inv->epoch,
                          next_reserve(inv, inv_snapshot_revision(inv->head))};
  inv->reserve_batches = batch;
  meta = reserve_to_meta(&batch->reserve);
  store_submit(inv->store, NULL, 0, (const char *const *)meta, on_reserve_written, batch);
}

WsId inv_new_id(Inventory *inv)
{
  WsId id = inv->next_id++;

  g_assert(ws_loop_is_own_thread(inv->loop));
  if (runs_low(inv, 0))
    ask_reserve(inv);
  return id;
}

/* ---- the line ---- */

void inv_pending_free(InvPending *pending)
{
  inv_snapshot_unref(pending->root);
  inv_changes_release(pending->changes, pending->n_changes + pending->n_records);
  g_free(pending->changes);
  if (pending->sealed)
    g_ptr_array_unref(pending->sealed);
  g_clear_error(&pending->error);
  g_free(pending);
}

typedef struct {
  Inventory *inv;
  InvSnapshot *root; /* the new one; afterwards the old one */
} Swap;

static void swap_published(void *arg)
{
  Swap *swap = arg;
  InvSnapshot *old;

  pthread_mutex_lock(&swap->inv->lock);
  old = swap->inv->published;
  swap->inv->published = swap->root;
  pthread_mutex_unlock(&swap->inv->lock);
  swap->root = old;
}

static void publish(Inventory *inv, InvPending *pending)
{
  Swap swap = {inv, pending->root};

  if (!pending->root)
    return;
  pending->root = NULL;
  note_unwritten(inv, pending, !pending->durable);
  inv_log_append(&inv->log, pending->changes, pending->n_changes + pending->n_records, swap_published, &swap);
  inv_snapshot_unref(swap.root);
  for (guint i = 0; i < pending->n_changes; i++)
    for (guint k = 0; k < inv->listeners->len; k++) {
      const Listener *listener = &g_array_index(inv->listeners, Listener, k);
      listener->func(&pending->changes[i], listener->arg);
    }
}

/* Everything behind the failed one falls with it. */
static void roll_back(Inventory *inv, const GError *error)
{
  inv->epoch++;
  inv_snapshot_unref(inv->head);
  inv->head = inv_snapshot_ref(inv->published);
  inv->asked = inv->reserved;
  g_clear_error(&inv->failure);
  inv->failure = g_error_copy(error);
  if (inv->seal)
    inv->seal->fell(inv->seal_arg);
}

static void finish(InvPending *pending)
{
  pending->done = true;
  if (pending->waiter)
    ws_co_wake(pending->waiter);
  if (!pending->owned)
    inv_pending_free(pending);
}

/* Publishes or fails the front of the line as far as outcomes are known. A listener may commit: it joins the
 * line. */
static void advance(Inventory *inv)
{
  InvPending *pending;

  if (inv->advancing)
    return;
  inv->advancing = true;
  while ((pending = inv->first) && (pending->written || !pending->durable)) {
    inv->first = pending->next;
    if (!inv->first)
      inv->end = &inv->first;
    if (!pending->error && pending->epoch < inv->epoch)
      pending->error = g_error_copy(inv->failure);
    for (guint i = 0; !pending->error && pending->sealed && i < pending->sealed->len; i++)
      inv->seal->durable(pending->sealed->pdata[i], inv->seal_arg);
    if (!pending->error)
      publish(inv, pending);
    else if (pending->epoch == inv->epoch)
      roll_back(inv, pending->error);
    finish(pending);
  }
  inv->advancing = false;
  inv_log_notify(&inv->log);
}

static void on_written(const GError *error, void *arg)
{
  InvPending *pending = arg;
  Inventory *inv = pending->inv;

  if (!inv) {
    inv_pending_free(pending);
    return;
  }
  pending->written = true;
  if (error)
    pending->error = g_error_copy(error);
  else if (pending->reserve.id != 0)
    inv->reserved = pending->reserve;
  advance(inv);
}

/* When it fails, the store fails what was submitted after it; what was before has been published by now. */
static void on_reserve_written(const GError *error, void *arg)
{
  ReserveBatch *batch = arg, **at;
  Inventory *inv = batch->inv;

  if (inv) {
    for (at = &inv->reserve_batches; *at != batch; at = &(*at)->next)
      ;
    *at = batch->next;
    if (error && batch->epoch == inv->epoch)
      roll_back(inv, error);
    else if (!error)
      inv->reserved = batch->reserve;
  }
  g_free(batch);
}

void inv_enqueue(Inventory *inv, InvPending *pending, StoreRow *rows, guint n_rows)
{
  Revision revision = inv_snapshot_revision(pending->root ? pending->root : inv->head);
  g_auto(GStrv) meta = NULL;

  pending->inv = inv;
  pending->epoch = inv->epoch;
  *inv->end = pending;
  inv->end = &pending->next;
  if (pending->root) {
    inv_snapshot_unref(inv->head);
    inv->head = inv_snapshot_ref(pending->root);
  }
  if (!pending->durable) {
    note_unwritten(inv, pending, true); /* the line may be abandoned */
    if (runs_low(inv, revision))
      ask_reserve(inv);
    advance(inv);
    return;
  }
  if (runs_low(inv, revision)) {
    pending->reserve = next_reserve(inv, revision);
    meta = reserve_to_meta(&pending->reserve);
  }
  store_submit(inv->store, rows, n_rows, (const char *const *)meta, on_written, pending);
}
