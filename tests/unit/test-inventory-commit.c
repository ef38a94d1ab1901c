// SPDX-License-Identifier: Apache-2.0
/* What a commit promises: conflicts, references, uniqueness, checks, revisions, volatile changes, ids, and
 * what is left of a transaction that the disk refused. */
#include "inventory-rig.h"
#include <errno.h>
#include <string.h>

/* ---- helpers ---- */

static WsId make_pool(InvRig *rig, const char *name)
{
  InvTxn *txn = inv_begin(rig->inv);
  WsId id = inv_rig_pool(txn, name)->id;

  inv_rig_commit_ok(rig, txn);
  return id;
}

static WsId make_volume(InvRig *rig, WsId pool, const char *name)
{
  InvTxn *txn = inv_begin(rig->inv);
  WsId id = inv_rig_volume(txn, pool, name)->id;

  inv_rig_commit_ok(rig, txn);
  return id;
}

static Revision revision_now(InvRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);

  return inv_snapshot_revision(snap);
}

static void assert_refused(InvRig *rig, InvTxn *txn, WsErrorCode code, const char *field)
{
  Revision before = revision_now(rig);
  GError *error = NULL;

  g_assert_false(inv_rig_commit(rig, txn, NULL, &error));
  inv_rig_assert_error(&error, code, field);
  g_assert_cmpuint(revision_now(rig), ==, before);
  inv_txn_free(txn);
}

/* ---- the ordinary way ---- */

static void created_object_is_found_by_id_and_by_index(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p"), volume = make_volume(rig, pool, "v");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  const WsVolume *v = inv_find(snap, &ws_type_volume, volume);

  g_assert_nonnull(v);
  g_assert_cmpstr(v->name, ==, "v");
  g_assert_cmpuint(v->revision, ==, inv_snapshot_revision(snap));
  g_assert_true(inv_find_by(snap, &ws_type_volume, "pool", pool, NULL) == v);
  g_assert_null(inv_find_by(snap, &ws_type_volume, "pool", pool + 1000, NULL));
  g_assert_null(inv_find(snap, &ws_type_volume, pool)); /* an id is found in its own type only */
  g_assert_cmpuint(inv_count(snap, &ws_type_volume), ==, 1);
}

static void edit_gives_a_new_version_and_leaves_snapshots_alone(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "old");
  g_autoptr(InvSnapshot) before = inv_snapshot(rig->inv);
  const WsPool *seen = inv_find(before, &ws_type_pool, pool);
  InvTxn *txn = inv_begin(rig->inv);
  WsPool *copy = inv_edit(txn, seen);
  Revision revision;

  g_assert_true(inv_edit(txn, seen) == copy);
  g_assert_true(inv_edit_id(txn, &ws_type_pool, pool) == copy);
  g_free(copy->name);
  copy->name = g_strdup("new");
  revision = inv_rig_commit_ok(rig, txn);
  g_assert_cmpuint(revision, ==, inv_snapshot_revision(before) + 1);
  g_assert_cmpstr(seen->name, ==, "old");
  g_autoptr(InvSnapshot) after = inv_snapshot(rig->inv);
  const WsPool *now = inv_find(after, &ws_type_pool, pool);
  g_assert_cmpstr(now->name, ==, "new");
  g_assert_cmpuint(now->revision, ==, revision);
  g_assert_true(inv_find(before, &ws_type_pool, pool) == seen);
}

static void unchanged_copy_gives_no_new_revision(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Revision before = revision_now(rig), revision;
  InvTxn *txn = inv_begin(rig->inv);

  inv_edit_id(txn, &ws_type_pool, pool);
  revision = inv_rig_commit_ok(rig, txn);
  g_assert_cmpuint(revision, ==, before);
  g_assert_cmpuint(revision_now(rig), ==, before);
}

static void object_written_anew_gets_a_revision_though_it_is_the_same(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Revision before = revision_now(rig);
  InvTxn *txn = inv_begin(rig->inv);

  inv_write_anew(txn, &ws_type_pool, pool);
  inv_write_anew(txn, &ws_type_pool, pool + 1000); /* gone */
  inv_rig_commit_ok(rig, txn);
  g_assert_cmpuint(revision_now(rig), ==, before + 1);
}

static void object_that_comes_and_goes_in_one_transaction_is_nothing(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  Revision before = revision_now(rig);
  InvTxn *txn = inv_begin(rig->inv);
  WsPool *pool = inv_rig_pool(txn, "p");

  inv_delete(txn, &ws_type_pool, pool->id);
  g_assert_cmpuint(inv_rig_commit_ok(rig, txn), ==, before);
}

static void aborted_transaction_leaves_nothing(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  InvTxn *txn = inv_begin(rig->inv);
  WsId id = inv_rig_pool(txn, "p")->id;

  inv_txn_free(txn);
  g_autoptr(InvSnapshot) head = inv_head(rig->inv);
  g_assert_null(inv_find(head, &ws_type_pool, id));
}

/* ---- refusals ---- */

static void edit_of_a_version_that_is_no_longer_the_newest_conflicts(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  const WsPool *seen = inv_find(snap, &ws_type_pool, pool);
  InvTxn *slow = inv_begin(rig->inv), *quick = inv_begin(rig->inv), *late = inv_begin(rig->inv);

  ((WsPool *)inv_edit(slow, seen))->suspended = true;
  ((WsPool *)inv_edit_id(quick, &ws_type_pool, pool))->capacity_bytes = 5;
  inv_rig_commit_ok(rig, quick);
  assert_refused(rig, slow, WS_ERROR_CONFLICT, NULL);
  ((WsPool *)inv_edit(late, seen))->suspended = true;
  assert_refused(rig, late, WS_ERROR_CONFLICT, NULL);
}

static void delete_takes_any_version_but_not_what_is_gone(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  InvTxn *first = inv_begin(rig->inv), *second = inv_begin(rig->inv), *edit = inv_begin(rig->inv);

  inv_delete(first, &ws_type_pool, pool);
  inv_delete(second, &ws_type_pool, pool);
  ((WsPool *)inv_edit_id(edit, &ws_type_pool, pool))->suspended = true;
  inv_rig_commit_ok(rig, edit);
  inv_rig_commit_ok(rig, first);
  assert_refused(rig, second, WS_ERROR_NOT_FOUND, NULL);
}

static void reference_to_nothing_is_refused_with_its_path(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p"), volume = make_volume(rig, pool, "v");
  InvTxn *txn = inv_begin(rig->inv);
  WsVm *vm;

  inv_rig_volume(txn, pool + 1000, "v");
  assert_refused(rig, txn, WS_ERROR_BAD_REFERENCE, "pool");
  txn = inv_begin(rig->inv);
  vm = inv_rig_vm(txn, "u");
  inv_rig_attach(vm, volume);
  inv_rig_attach(vm, pool); /* exists, but is no volume */
  assert_refused(rig, txn, WS_ERROR_BAD_REFERENCE, "disks[1].volume");
}

static void delete_of_what_is_referred_to_is_refused(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p"), volume = make_volume(rig, pool, "v"), vm_id;
  InvTxn *txn = inv_begin(rig->inv);
  WsVm *vm = inv_rig_vm(txn, "u");
  GError *error = NULL;
  g_autofree char *vm_text = NULL;

  vm_id = vm->id;
  inv_rig_attach(vm, volume);
  inv_rig_commit_ok(rig, txn);

  txn = inv_begin(rig->inv);
  inv_delete(txn, &ws_type_pool, pool); /* through an index */
  assert_refused(rig, txn, WS_ERROR_IN_USE, NULL);
  txn = inv_begin(rig->inv);
  inv_delete(txn, &ws_type_volume, volume); /* from a part of the VM */
  g_assert_false(inv_rig_commit(rig, txn, NULL, &error));
  vm_text = g_strdup_printf("vm-%" G_GUINT64_FORMAT, vm_id);
  g_assert_cmpstr(ws_error_param(error, "user"), ==, vm_text);
  inv_rig_assert_error(&error, WS_ERROR_IN_USE, NULL);
  inv_txn_free(txn);

  /* Detached in the same transaction, or gone with it, is no user. */
  txn = inv_begin(rig->inv);
  inv_delete(txn, &ws_type_volume, volume);
  vm = inv_edit_id(txn, &ws_type_vm, vm_id);
  vm->disks.items[0]->volume = 0;
  inv_rig_commit_ok(rig, txn);
  txn = inv_begin(rig->inv);
  inv_delete(txn, &ws_type_pool, pool);
  inv_rig_commit_ok(rig, txn);
}

static void weak_reference_lets_its_target_go(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  InvTxn *txn = inv_begin(rig->inv);
  WsImage *image = inv_create(txn, &ws_type_image);
  WsVm *vm = inv_rig_vm(txn, "u");
  WsId image_id = image->id, vm_id = vm->id;

  vm->image = image_id;
  inv_rig_commit_ok(rig, txn);
  txn = inv_begin(rig->inv);
  inv_delete(txn, &ws_type_image, image_id);
  inv_rig_commit_ok(rig, txn);
  txn = inv_begin(rig->inv); /* the reference to nothing may stay */
  ((WsVm *)inv_edit_id(txn, &ws_type_vm, vm_id))->memory_bytes = 1 << 30;
  inv_rig_commit_ok(rig, txn);
  txn = inv_begin(rig->inv); /* but is not set anew */
  inv_rig_vm(txn, "w")->image = image_id;
  assert_refused(rig, txn, WS_ERROR_BAD_REFERENCE, "image");
}

static void unique_field_is_taken_once(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  InvTxn *txn = inv_begin(rig->inv);
  WsId first = inv_rig_vm(txn, "same")->id, second;

  inv_rig_commit_ok(rig, txn);
  txn = inv_begin(rig->inv);
  inv_rig_vm(txn, "same");
  assert_refused(rig, txn, WS_ERROR_NAME_TAKEN, "uuid");
  txn = inv_begin(rig->inv); /* nor twice within one transaction */
  inv_rig_vm(txn, "twin");
  inv_rig_vm(txn, "twin");
  assert_refused(rig, txn, WS_ERROR_NAME_TAKEN, "uuid");
  txn = inv_begin(rig->inv); /* absent values do not compare */
  inv_rig_vm(txn, NULL);
  inv_rig_vm(txn, NULL);
  inv_rig_commit_ok(rig, txn);
  txn = inv_begin(rig->inv); /* the name is free in the transaction that takes it from its owner */
  inv_delete(txn, &ws_type_vm, first);
  second = inv_rig_vm(txn, "same")->id;
  inv_rig_commit_ok(rig, txn);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  g_assert_cmpuint(((const WsVm *)inv_find_by(snap, &ws_type_vm, "uuid", 0, "same"))->id, ==, second);
}

static bool refuse_small_pools(const InvSnapshot *head, const void *old_object, const void *new_object,
                               GError **error)
{
  const WsPool *pool = new_object;

  g_assert_true(!pool || inv_find(head, &ws_type_pool, pool->id) == pool);
  return !pool || strcmp(pool->name, "small") != 0 ||
         ws_fail(error, WS_ERROR_BAD_VALUE, "field", "name", NULL);
}

static void registered_check_sees_the_head_and_refuses(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  InvTxn *txn;

  inv_add_check(rig->inv, &ws_type_pool, refuse_small_pools);
  make_pool(rig, "large");
  txn = inv_begin(rig->inv);
  inv_rig_pool(txn, "large too");
  inv_rig_pool(txn, "small");
  assert_refused(rig, txn, WS_ERROR_BAD_VALUE, "name");
  g_autoptr(InvSnapshot) head = inv_head(rig->inv);
  g_assert_cmpuint(inv_count(head, &ws_type_pool), ==, 1);
}

static void dry_run_checks_and_changes_nothing(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Revision before = revision_now(rig);
  InvTxn *good = inv_begin(rig->inv), *bad = inv_begin(rig->inv);
  GError *error = NULL;

  inv_rig_volume(good, pool, "v");
  g_assert_true(inv_check(good, &error));
  g_assert_no_error(error);
  inv_rig_volume(bad, pool + 1000, "v");
  g_assert_false(inv_check(bad, &error));
  inv_rig_assert_error(&error, WS_ERROR_BAD_REFERENCE, "pool");
  inv_txn_free(good);
  inv_txn_free(bad);
  g_autoptr(InvSnapshot) head = inv_head(rig->inv);
  g_assert_cmpuint(inv_snapshot_revision(head), ==, before);
  g_assert_cmpuint(inv_count(head, &ws_type_volume), ==, 0);
}

/* ---- volatile changes ---- */

/* The store is held at its next commit until the gate opens. Declared before the rig: the store passes it until it is closed. */
typedef struct {
  GMutex lock;
  GCond cond;
  bool closed;
  bool reached;
  int result; /* errno to inject when it opens, once */
} Gate;

static int wait_at_gate(const char *point, void *arg)
{
  Gate *gate = arg;
  int result = 0;

  if (strcmp(point, "commit") != 0)
    return 0;
  g_mutex_lock(&gate->lock);
  gate->reached = true;
  g_cond_broadcast(&gate->cond);
  while (gate->closed)
    g_cond_wait(&gate->cond, &gate->lock);
  result = gate->result;
  gate->result = 0;
  g_mutex_unlock(&gate->lock);
  return result;
}

static void gate_close(Gate *gate, int result)
{
  g_mutex_lock(&gate->lock);
  gate->closed = true;
  gate->reached = false;
  gate->result = result;
  g_mutex_unlock(&gate->lock);
}

static void gate_wait_reached(Gate *gate)
{
  g_mutex_lock(&gate->lock);
  while (!gate->reached)
    g_cond_wait(&gate->cond, &gate->lock);
  g_mutex_unlock(&gate->lock);
}

static void gate_open(Gate *gate)
{
  g_mutex_lock(&gate->lock);
  gate->closed = false;
  g_cond_broadcast(&gate->cond);
  g_mutex_unlock(&gate->lock);
}

/* A commit that goes on by itself. */
typedef struct {
  InvTxn *txn;
  Revision revision;
  GError *error;
  bool ok, ended;
} Async;

static void run_async(void *arg)
{
  Async *a = arg;

  a->ok = inv_commit(a->txn, &a->revision, &a->error);
  a->ended = true;
}

static void start(InvRig *rig, Async *a, InvTxn *txn)
{
  *a = (Async){.txn = txn};
  ws_co_start(rig->loop, run_async, a);
}

static void finish(InvRig *rig, Async *a, WsErrorCode code)
{
  inv_rig_wait(rig, &a->ended);
  g_assert_cmpint(a->ok, ==, code == 0);
  if (code != 0)
    inv_rig_assert_error(&a->error, code, NULL);
  inv_txn_free(a->txn);
}

static InvTxn *edit_capacity(InvRig *rig, WsId pool, gint64 bytes)
{
  InvTxn *txn = inv_begin(rig->inv);

  ((WsPool *)inv_edit_id(txn, &ws_type_pool, pool))->capacity_bytes = bytes;
  return txn;
}

static InvTxn *edit_name(InvRig *rig, WsId pool, const char *name)
{
  InvTxn *txn = inv_begin(rig->inv);
  WsPool *copy = inv_edit_id(txn, &ws_type_pool, pool);

  g_free(copy->name);
  copy->name = g_strdup(name);
  return txn;
}

static gint64 capacity(InvRig *rig, WsId pool)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);

  return ((const WsPool *)inv_find(snap, &ws_type_pool, pool))->capacity_bytes;
}

static void assert_name(InvRig *rig, WsId pool, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);

  g_assert_cmpstr(((const WsPool *)inv_find(snap, &ws_type_pool, pool))->name, ==, name);
}

static void volatile_change_needs_neither_disk_nor_coroutine(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  InvTxn *txn = edit_capacity(rig, pool, 77);
  GError *error = NULL;
  Revision revision = 0, before = revision_now(rig);

  g_assert_true(inv_commit(txn, &revision, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(revision, ==, before + 1);
  g_assert_cmpint(capacity(rig, pool), ==, 77);
  inv_txn_free(txn);
}

static void unstored_object_is_seen_at_once_and_gone_after_a_restart(void)
{
  Gate gate = {.result = ENOSPC};
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Async refused, closed;
  InvTxn *txn;
  WsId id;

  store_set_fault(rig->store, wait_at_gate, &gate);
  txn = inv_begin(rig->inv);
  inv_rig_pool(txn, "p");
  start(rig, &refused, txn);
  finish(rig, &refused, WS_ERROR_READ_ONLY);
  txn = inv_begin(rig->inv);
  id = ((WsResource *)inv_create(txn, &ws_type_alarm))->id;
  inv_txn_set_unstored(txn);
  g_assert_true(inv_commit(txn, NULL, NULL));
  inv_txn_free(txn);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  g_assert_nonnull(inv_find(snap, &ws_type_alarm, id));
  txn = inv_begin(rig->inv); /* what was never stored can be deleted */
  inv_delete(txn, &ws_type_alarm, id);
  start(rig, &closed, txn);
  finish(rig, &closed, 0);

  txn = inv_begin(rig->inv);
  id = ((WsResource *)inv_create(txn, &ws_type_alarm))->id;
  inv_txn_set_unstored(txn);
  g_assert_true(inv_commit(txn, NULL, NULL));
  inv_txn_free(txn);
  inv_rig_close(rig);
  inv_rig_open(rig);
  g_autoptr(InvSnapshot) after = inv_snapshot(rig->inv);
  g_assert_null(inv_find(after, &ws_type_alarm, id));
}

static void volatile_change_waits_for_the_durable_ones_before_it(void)
{
  Gate gate = {.closed = false};
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Async durable, quick, nothing;

  store_set_fault(rig->store, wait_at_gate, &gate);
  gate_close(&gate, 0);
  start(rig, &durable, edit_name(rig, pool, "renamed"));
  start(rig, &quick, edit_capacity(rig, pool, 77));
  start(rig, &nothing, edit_capacity(rig, pool, 77)); /* as the head is already */
  gate_wait_reached(&gate);
  ws_loop_step(rig->loop, 0);
  g_assert_false(durable.ended || quick.ended || nothing.ended);
  assert_name(rig, pool, "p");
  g_assert_cmpint(capacity(rig, pool), ==, WS_INT_UNSET);
  gate_open(&gate);
  finish(rig, &durable, 0);
  finish(rig, &quick, 0);
  finish(rig, &nothing, 0);
  g_assert_cmpuint(quick.revision, ==, durable.revision + 1);
  g_assert_cmpuint(nothing.revision, ==, quick.revision);
  assert_name(rig, pool, "renamed");
  g_assert_cmpint(capacity(rig, pool), ==, 77);
}

/* ---- a disk that refuses ---- */

static void refused_group_takes_all_behind_it_and_the_head_goes_back(void)
{
  Gate gate = {.closed = false};
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Revision before = revision_now(rig);
  Async first, second, quick, later;

  store_set_fault(rig->store, wait_at_gate, &gate);
  gate_close(&gate, ENOSPC);
  start(rig, &first, edit_name(rig, pool, "one"));
  gate_wait_reached(&gate);
  start(rig, &second, edit_name(rig, pool, "two")); /* waits for the next group */
  start(rig, &quick, edit_capacity(rig, pool, 77)); /* needs no disk, but was built on them */
  gate_open(&gate);
  finish(rig, &first, WS_ERROR_READ_ONLY);
  finish(rig, &second, WS_ERROR_READ_ONLY);
  finish(rig, &quick, WS_ERROR_READ_ONLY);
  g_assert_cmpint(store_state(rig->store), ==, STORE_READ_ONLY);
  assert_name(rig, pool, "p");
  g_autoptr(InvSnapshot) head = inv_head(rig->inv);
  g_assert_cmpuint(inv_snapshot_revision(head), ==, before);

  g_assert_true(
      inv_commit(later.txn = edit_capacity(rig, pool, 5), NULL, NULL)); /* reports go on meanwhile */
  inv_txn_free(later.txn);
  start(rig, &later, edit_name(rig, pool, "three"));
  finish(rig, &later, 0);
  g_assert_cmpint(store_state(rig->store), ==, STORE_WRITABLE);
  g_assert_cmpuint(later.revision, ==, before + 2);
  assert_name(rig, pool, "three");
}

/* A transaction begun after the loop has heard of the failure must not be taken for one of those before. */
static void what_comes_after_a_failure_is_written(void)
{
  Gate gate = {.closed = false};
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Async first, second, after;

  store_set_fault(rig->store, wait_at_gate, &gate);
  for (guint i = 0; i < 20; i++) {
    g_autofree char *name = g_strdup_printf("after-%u", i);
    gate_close(&gate, ENOSPC);
    start(rig, &first, edit_name(rig, pool, "one"));
    gate_wait_reached(&gate);
    start(rig, &second, edit_name(rig, pool, "two"));
    gate_open(&gate);
    inv_rig_wait(rig, &first.ended);
    start(rig, &after, edit_name(rig, pool, name)); /* while `second` may still be in the line */
    finish(rig, &first, WS_ERROR_READ_ONLY);
    finish(rig, &second, WS_ERROR_READ_ONLY);
    finish(rig, &after, 0);
    assert_name(rig, pool, name);
  }
}

static void idle_store_finds_out_by_itself_that_the_disk_has_room_again(void)
{
  Gate gate = {.result = ENOSPC};
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Async refused;
  gint64 deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;

  store_set_fault(rig->store, wait_at_gate, &gate);
  start(rig, &refused, edit_name(rig, pool, "one"));
  finish(rig, &refused, WS_ERROR_READ_ONLY);
  while (store_state(rig->store) == STORE_READ_ONLY && g_get_monotonic_time() < deadline)
    ws_loop_step(rig->loop, 1000);
  g_assert_cmpint(store_state(rig->store), ==, STORE_WRITABLE);
}

/* ---- over restarts ---- */

static void everything_is_there_after_an_orderly_restart(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  WsId pool = make_pool(rig, "p"), volume = make_volume(rig, pool, "v"), fresh;
  Revision last = revision_now(rig);

  inv_rig_close(rig);
  inv_rig_open(rig);
  g_assert_cmpuint(revision_now(rig), ==, last);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  const WsVolume *v = inv_find(snap, &ws_type_volume, volume);
  g_assert_cmpstr(v->name, ==, "v");
  g_assert_cmpuint(v->revision, ==, last);
  g_assert_true(inv_find_by(snap, &ws_type_volume, "pool", pool, NULL) == v);
  fresh = make_volume(rig, pool, "w");
  g_assert_cmpuint(fresh, ==, volume + 1);
  g_assert_cmpuint(revision_now(rig), ==, last + 1);
}

static void set_flag(const GError *error, void *arg)
{
  g_assert_no_error(error);
  *(bool *)arg = true;
}

/* Until all that was submitted is on the disk. */
static void flush(InvRig *rig)
{
  bool done = false;

  store_submit(rig->store, NULL, 0, NULL, set_flag, &done);
  inv_rig_wait(rig, &done);
}

/* What was reserved but perhaps used is skipped. A copy of the files is what a killed process leaves. */
static void revisions_go_on_behind_the_reserve_after_a_crash(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false), after = NULL;
  InvTxn *txn = edit_capacity(rig, make_pool(rig, "p"), 1);
  Revision last; /* published, but never written down */

  g_assert_true(inv_commit(txn, &last, NULL));
  inv_txn_free(txn);
  after = inv_rig_copy(rig);
  g_assert_cmpuint(revision_now(after), >, last);
}

static void ids_go_on_behind_the_reserve_after_a_crash(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false), after = NULL, later = NULL;
  WsId last = 0;

  for (guint i = 0; i < 9000; i++) /* more than two reserves; never written down anywhere */
    last = inv_new_id(rig->inv);
  flush(rig);
  after = inv_rig_copy(rig);
  g_assert_cmpuint(inv_new_id(after->inv), >, last);
  for (guint i = 0; i < 9000; i++)
    inv_new_id(after->inv);
  last = make_pool(after, "q"); /* takes the reserve with it */
  later = inv_rig_copy(after);
  g_assert_cmpuint(inv_new_id(later->inv), >, last);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) inv_rig_add("/inventory/commit/" #name, name)
  TEST(created_object_is_found_by_id_and_by_index);
  TEST(edit_gives_a_new_version_and_leaves_snapshots_alone);
  TEST(unchanged_copy_gives_no_new_revision);
  TEST(object_written_anew_gets_a_revision_though_it_is_the_same);
  TEST(object_that_comes_and_goes_in_one_transaction_is_nothing);
  TEST(aborted_transaction_leaves_nothing);
  TEST(edit_of_a_version_that_is_no_longer_the_newest_conflicts);
  TEST(delete_takes_any_version_but_not_what_is_gone);
  TEST(reference_to_nothing_is_refused_with_its_path);
  TEST(delete_of_what_is_referred_to_is_refused);
  TEST(weak_reference_lets_its_target_go);
  TEST(unique_field_is_taken_once);
  TEST(registered_check_sees_the_head_and_refuses);
  TEST(dry_run_checks_and_changes_nothing);
  TEST(volatile_change_needs_neither_disk_nor_coroutine);
  TEST(unstored_object_is_seen_at_once_and_gone_after_a_restart);
  TEST(volatile_change_waits_for_the_durable_ones_before_it);
  TEST(refused_group_takes_all_behind_it_and_the_head_goes_back);
  TEST(what_comes_after_a_failure_is_written);
  TEST(idle_store_finds_out_by_itself_that_the_disk_has_room_again);
  TEST(everything_is_there_after_an_orderly_restart);
  TEST(revisions_go_on_behind_the_reserve_after_a_crash);
  TEST(ids_go_on_behind_the_reserve_after_a_crash);
  return g_test_run();
}
