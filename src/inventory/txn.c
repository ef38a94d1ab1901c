// SPDX-License-Identifier: Apache-2.0
/* A transaction: private copies, then at commit, in this order: conflicts with the head, a root with all
 * changes, checks against that root, the line to the disk.
 *
 * Nothing waits between the first check and the new head, so transactions never see each other half done. */
#include "inventory/inventory-private.h"
#include <string.h>

/* What a transaction does to one object. */
typedef struct {
  const WsType *type;
  WsId id;
  WsResource *seen; /* the version the change was decided on; NULL: created, or deleted whatever it is */
  WsResource *copy; /* what it becomes; NULL: it goes */
  bool created;
  bool anew;  /* written though it is as it was */
  bool stale; /* two versions of it were used as `seen` */
} Entry;

struct InvTxn {
  Inventory *inv;
  GPtrArray *entries; /* in order of first mention */
  GHashTable *by_id;  /* &entry->id -> entry: ids are unique over all types */
  GPtrArray *history;
  GArray *gone; /* StoreRow: rows of history that go; NULL: none */
  bool unstored;
  bool used;
};

/* ---- life ---- */

static void entry_free(gpointer arg)
{
  Entry *entry = arg;

  ws_resource_unref(entry->seen);
  ws_resource_unref(entry->copy);
  g_free(entry);
}

static void drop_resource(gpointer resource)
{
  ws_resource_unref(resource);
}

InvTxn *inv_begin(Inventory *inv)
{
  InvTxn *txn = g_new0(InvTxn, 1);

  g_assert(ws_loop_is_own_thread(inv->loop));
  txn->inv = inv;
  txn->entries = g_ptr_array_new_with_free_func(entry_free);
  txn->by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
  txn->history = g_ptr_array_new_with_free_func(drop_resource);
  return txn;
}

void inv_txn_free(InvTxn *txn)
{
  if (!txn)
    return;
  g_hash_table_destroy(txn->by_id);
  g_ptr_array_free(txn->entries, TRUE);
  g_ptr_array_free(txn->history, TRUE);
  if (txn->gone)
    g_array_free(txn->gone, TRUE);
  g_free(txn);
}

/* ---- changing ---- */

static Entry *find_entry(InvTxn *txn, const WsType *type, WsId id)
{
  Entry *entry = g_hash_table_lookup(txn->by_id, &id);

  g_assert(!txn->used && (!entry || entry->type == type));
  return entry;
}

static Entry *add_entry(InvTxn *txn, const WsType *type, WsId id, const void *seen, WsResource *copy)
{
  Entry *entry = g_new0(Entry, 1);

  g_assert(!(type->flags & WS_TYPE_HISTORY));
  entry->type = type;
  entry->id = id;
  entry->seen = seen ? ws_resource_ref(seen) : NULL;
  entry->copy = copy;
  g_ptr_array_add(txn->entries, entry);
  g_hash_table_insert(txn->by_id, &entry->id, entry);
  return entry;
}

void *inv_edit(InvTxn *txn, const void *seen)
{
  const WsResource *resource = seen;
  Entry *entry = find_entry(txn, resource->type, resource->id);

  if (!entry)
    entry = add_entry(txn, resource->type, resource->id, seen, ws_object_copy(resource->type, seen));
  else if (seen != entry->seen && seen != entry->copy)
    entry->stale = true;
  g_assert(entry->copy); /* deleted in this transaction */
  return entry->copy;
}

void *inv_edit_id(InvTxn *txn, const WsType *type, WsId id)
{
  Entry *entry = find_entry(txn, type, id);
  const void *seen;

  if (entry)
    return entry->copy;
  seen = inv_find(txn->inv->head, type, id);
  return seen ? inv_edit(txn, seen) : NULL;
}

void inv_write_anew(InvTxn *txn, const WsType *type, WsId id)
{
  if (inv_edit_id(txn, type, id))
    find_entry(txn, type, id)->anew = true;
}

void *inv_create_with_id(InvTxn *txn, const WsType *type, WsId id)
{
  WsResource *object = ws_object_new(type);

  g_assert(id != 0 && id < txn->inv->next_id && !find_entry(txn, type, id));
  object->id = id;
  add_entry(txn, type, id, NULL, object)->created = true;
  return object;
}

void *inv_create(InvTxn *txn, const WsType *type)
{
  return inv_create_with_id(txn, type, inv_new_id(txn->inv));
}

void inv_delete(InvTxn *txn, const WsType *type, WsId id)
{
  Entry *entry = find_entry(txn, type, id);

  if (!entry)
    entry = add_entry(txn, type, id, NULL, NULL);
  g_clear_pointer(&entry->copy, ws_resource_unref);
}

void inv_append_history(InvTxn *txn, void *object)
{
  WsResource *row = object;

  g_assert((row->type->flags & WS_TYPE_HISTORY) && row->id == 0 && !txn->unstored);
  row->id = inv_new_id(txn->inv);
  g_ptr_array_add(txn->history, row);
}

void inv_delete_history(InvTxn *txn, const WsType *type, WsId id)
{
  g_assert((type->flags & WS_TYPE_HISTORY) && !txn->unstored);
  if (!txn->gone)
    txn->gone = g_array_new(FALSE, FALSE, sizeof(StoreRow));
  StoreRow row = {type, id, 0, NULL};
  g_array_append_val(txn->gone, row);
}

void inv_txn_set_unstored(InvTxn *txn)
{
  g_assert(txn->history->len == 0);
  txn->unstored = true;
}

/* ---- commit ---- */

static bool fail_on(const Entry *entry, WsErrorCode code, GError **error)
{
  g_autofree char *object = inv_object_text(entry->type, entry->id);

  return ws_fail(error, code, "object", object, NULL);
}

/* One entry against the head's version `now`. *effective: it changes something. */
static bool compare(const Entry *entry, const void *now, bool *effective, GError **error)
{
  if (entry->created) {
    g_assert(!now);
    *effective = entry->copy != NULL; /* else it came and went within the transaction */
    return true;
  }
  if (entry->stale || (entry->seen && entry->seen != now))
    return fail_on(entry, WS_ERROR_CONFLICT, error);
  if (!now)
    return fail_on(entry, WS_ERROR_NOT_FOUND, error);
  *effective = entry->anew || !entry->copy || !ws_object_equal(entry->type, now, entry->copy);
  return true;
}

static void *ref_or_null(const void *resource)
{
  return resource ? ws_resource_ref(resource) : NULL;
}

/* Fills in the pending's changes; *volatile_only: none needs the disk. */
static bool collect_changes(InvTxn *txn, InvPending *pending, bool *volatile_only, GError **error)
{
  Revision revision = inv_snapshot_revision(txn->inv->head) + 1;

  pending->changes = g_new(InvChange, txn->entries->len + txn->history->len);
  *volatile_only = true;
  for (guint i = 0; i < txn->entries->len; i++) {
    Entry *entry = g_ptr_array_index(txn->entries, i);
    const void *now = inv_find(txn->inv->head, entry->type, entry->id);
    bool effective = false;

    if (!compare(entry, now, &effective, error))
      return false;
    if (!effective)
      continue;
    if (entry->copy)
      entry->copy->revision = revision;
    g_assert(!txn->unstored || entry->copy); /* a delete would come back with the next start */
    *volatile_only = *volatile_only && !entry->anew &&
                     (txn->unstored ||
                      (now && entry->copy && ws_object_differs_only_volatile(entry->type, now, entry->copy)));
    pending->changes[pending->n_changes++] = (InvChange){
        revision, entry->type, entry->id, ref_or_null(now), entry->copy ? ws_resource_pack(entry->copy) : NULL, false,
    };
  }
  return true;
}

static bool run_checks(const InvTxn *txn, const InvSnapshot *root, const InvChange *change, GError **error)
{
  const GArray *checks = txn->inv->checks[change->type->index];

  for (guint i = 0; checks && i < checks->len; i++)
    if (!g_array_index(checks, InvCheck, i)(root, change->old_object, change->new_object, error))
      return false;
  return true;
}

/* The root that the changes lead to, if it keeps all promises. */
static bool build_root(const InvTxn *txn, InvPending *pending, GError **error)
{
  InvSnapshot *head = txn->inv->head;

  pending->root = root_edit(head, inv_snapshot_revision(head) + 1);
  for (guint i = 0; i < pending->n_changes; i++) {
    const InvChange *c = &pending->changes[i];
    root_put(pending->root, c->type, c->id, c->old_object, c->new_object);
  }
  for (guint i = 0; i < pending->n_changes; i++) {
    const InvChange *c = &pending->changes[i];
    bool ok = c->new_object ? root_check_put(pending->root, c->type, c->old_object, c->new_object, error)
                            : root_check_removed(pending->root, c->type, c->id, error);
    if (!ok || !run_checks(txn, pending->root, c, error))
      return false;
  }
  return true;
}

static StoreRow *make_rows(const InvTxn *txn, const InvPending *pending, Revision revision, guint *n_rows)
{
  guint n_gone = txn->gone ? txn->gone->len : 0, n = 0;
  StoreRow *rows = g_new(StoreRow, pending->n_changes + txn->history->len + n_gone);

  for (guint i = 0; i < pending->n_changes; i++) {
    const InvChange *c = &pending->changes[i];
    rows[n++] = (StoreRow){c->type, c->id, revision, ref_or_null(c->new_object)};
  }
  for (guint i = 0; i < txn->history->len; i++) {
    WsResource *row = g_ptr_array_index(txn->history, i);
    row->revision = revision;
    rows[n++] = (StoreRow){row->type, row->id, revision, ws_resource_ref(row)};
  }
  for (guint i = 0; i < n_gone; i++)
    rows[n++] = g_array_index(txn->gone, StoreRow, i);
  *n_rows = n;
  return rows;
}

/* Nothing waits between here and the line to the disk. */
static void seal_history(const InvTxn *txn, InvPending *pending)
{
  const Inventory *inv = txn->inv;

  for (guint i = 0; i < txn->history->len; i++) {
    WsResource *row = g_ptr_array_index(txn->history, i);
    if (row->type != inv->sealed_type)
      continue;
    if (!pending->sealed)
      pending->sealed = g_ptr_array_new_with_free_func(drop_resource);
    inv->seal->seal(row, inv->seal_arg);
    g_ptr_array_add(pending->sealed, ws_resource_ref(row));
  }
}

/* After the seal, and once they have their revision: they stay as they are from here on. */
static void tell_history(const InvTxn *txn, InvPending *pending)
{
  for (guint i = 0; i < txn->history->len; i++) {
    const WsResource *row = g_ptr_array_index(txn->history, i);
    pending->changes[pending->n_changes + pending->n_records++] =
        (InvChange){row->revision, row->type, row->id, NULL, ws_resource_pack(row), false};
  }
  if (pending->n_changes + pending->n_records > 0)
    pending->changes[pending->n_changes + pending->n_records - 1].last = true;
}

static bool wait_until_done(InvPending *pending, GError **error)
{
  bool ok;

  if (!pending->done) {
    pending->waiter = ws_co_self();
    g_assert(pending->waiter);
    while (!pending->done)
      ws_co_yield();
  }
  ok = pending->error == NULL;
  if (!ok)
    g_propagate_error(error, g_steal_pointer(&pending->error));
  inv_pending_free(pending);
  return ok;
}

bool inv_check(InvTxn *txn, GError **error)
{
  InvPending *pending = g_new0(InvPending, 1);
  bool volatile_only;
  g_assert(!txn->used && ws_loop_is_own_thread(txn->inv->loop));
  txn->used = true;
  pending->owned = true;
  bool ok = collect_changes(txn, pending, &volatile_only, error) &&
            (pending->n_changes == 0 || build_root(txn, pending, error));
  inv_pending_free(pending);
  return ok;
}

bool inv_commit(InvTxn *txn, Revision *revision, GError **error)
{
  Inventory *inv = txn->inv;
  InvPending *pending = g_new0(InvPending, 1);
  StoreRow *rows = NULL;
  guint n_rows = 0;
  bool volatile_only;
  Revision reached;

  g_assert(!txn->used && ws_loop_is_own_thread(inv->loop));
  txn->used = true;
  pending->owned = true;
  if (!collect_changes(txn, pending, &volatile_only, error) ||
      ((pending->n_changes > 0 || txn->history->len > 0) && !build_root(txn, pending, error))) {
    inv_pending_free(pending);
    return false;
  }
  reached = inv_snapshot_revision(pending->root ? pending->root : inv->head);
  /* Beyond the reserve on record a revision must not be seen: then even a volatile change goes to the disk,
   * with a new one. */
  pending->unstored = txn->unstored;
  pending->durable =
      !volatile_only || txn->history->len > 0 || txn->gone || (pending->root && reached > inv->reserved.revision);
  if (pending->durable && store_is_stalled(inv->store)) {
    inv_pending_free(pending);
    return ws_fail(error, WS_ERROR_READ_ONLY, "cause", "the outcome of an earlier change is not known yet", NULL);
  }
  seal_history(txn, pending);
  if (pending->durable)
    rows = make_rows(txn, pending, reached, &n_rows);
  tell_history(txn, pending);
  inv_enqueue(inv, pending, rows, n_rows);
  if (!wait_until_done(pending, error))
    return false;
  if (revision)
    *revision = reached;
  return true;
}
