// SPDX-License-Identifier: Apache-2.0
/* Who follows the inventory gets every change once and in order, or is told to list again. */
#include "inventory-rig.h"
#include <string.h>

/* ---- helpers ---- */

static WsId make_pool(InvRig *rig, const char *name)
{
  InvTxn *txn = inv_begin(rig->inv);
  WsId id = inv_rig_pool(txn, name)->id;

  inv_rig_commit_ok(rig, txn);
  return id;
}

/* A change that needs no disk. */
static Revision report(InvRig *rig, WsId pool, gint64 bytes)
{
  g_autoptr(InvTxn) txn = inv_begin(rig->inv);
  Revision revision = 0;

  ((WsPool *)inv_edit_id(txn, &ws_type_pool, pool))->capacity_bytes = bytes;
  g_assert_true(inv_commit(txn, &revision, NULL));
  return revision;
}

static Revision revision_now(InvRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);

  return inv_snapshot_revision(snap);
}

static guint read_one(InvWatch *watch, InvChange *change)
{
  GError *error = NULL;
  guint n;

  g_assert_true(inv_watch_next(watch, change, 1, &n, &error));
  g_assert_no_error(error);
  return n;
}

static void assert_relist(InvWatch *watch)
{
  GError *error = NULL;
  InvChange change;
  guint n = 1;

  g_assert_false(inv_watch_next(watch, &change, 1, &n, &error));
  g_assert_cmpuint(n, ==, 0);
  inv_rig_assert_error(&error, WS_ERROR_RELIST, NULL);
}

static void count(void *arg)
{
  ++*(guint *)arg;
}

/* ---- tests ---- */

static void change_carries_both_versions(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  g_autoptr(InvWatch) watch = inv_watch_new(rig->inv, 0, NULL, NULL);
  WsId pool = make_pool(rig, "p");
  Revision created = revision_now(rig), reported = report(rig, pool, 7), deleted;
  InvTxn *txn = inv_begin(rig->inv);
  InvChange change;

  inv_delete(txn, &ws_type_pool, pool);
  deleted = inv_rig_commit_ok(rig, txn);

  g_assert_cmpuint(read_one(watch, &change), ==, 1);
  g_assert_true(change.revision == created && change.type == &ws_type_pool && change.id == pool);
  g_assert_null(change.old_object);
  g_assert_cmpstr(((const WsPool *)change.new_object)->name, ==, "p");
  inv_changes_release(&change, 1);

  g_assert_cmpuint(read_one(watch, &change), ==, 1);
  g_assert_cmpuint(change.revision, ==, reported);
  g_assert_cmpint(((const WsPool *)change.old_object)->capacity_bytes, ==, WS_INT_UNSET);
  g_assert_cmpint(((const WsPool *)change.new_object)->capacity_bytes, ==, 7);
  inv_changes_release(&change, 1);

  g_assert_cmpuint(read_one(watch, &change), ==, 1);
  g_assert_cmpuint(change.revision, ==, deleted);
  g_assert_nonnull(change.old_object);
  g_assert_null(change.new_object);
  inv_changes_release(&change, 1);
  g_assert_cmpuint(read_one(watch, &change), ==, 0);
}

static void reader_resumes_after_the_revision_it_knows(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Revision known = revision_now(rig);
  InvChange change;

  for (gint64 i = 1; i <= 10; i++)
    report(rig, pool, i);
  for (guint since = 0; since <= 10; since++) {
    g_autoptr(InvWatch) watch = inv_watch_new(rig->inv, known + since, NULL, NULL);
    for (guint i = since + 1; i <= 10; i++) {
      g_assert_cmpuint(read_one(watch, &change), ==, 1);
      g_assert_cmpuint(change.revision, ==, known + i);
      inv_changes_release(&change, 1);
    }
    g_assert_cmpuint(read_one(watch, &change), ==, 0);
  }
}

static void reader_of_an_unknown_revision_is_told_to_list_again(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  Revision start = revision_now(rig);
  WsId pool = make_pool(rig, "p");
  g_autoptr(InvWatch) future = inv_watch_new(rig->inv, report(rig, pool, 1) + 1, NULL, NULL);
  g_autoptr(InvWatch) good = inv_watch_new(rig->inv, start, NULL, NULL);
  InvChange change;

  assert_relist(future);
  g_assert_cmpuint(read_one(good, &change), ==, 1);
  inv_changes_release(&change, 1);
}

static void refused_change_is_not_announced(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  g_autoptr(InvWatch) watch = inv_watch_new(rig->inv, 0, NULL, NULL);
  InvTxn *txn = inv_begin(rig->inv);
  GError *error = NULL;
  InvChange change;

  inv_rig_volume(txn, 1000, "v");
  g_assert_false(inv_rig_commit(rig, txn, NULL, &error));
  inv_rig_assert_error(&error, WS_ERROR_BAD_REFERENCE, NULL);
  inv_txn_free(txn);
  g_assert_cmpuint(read_one(watch, &change), ==, 0);
}

static void reader_is_woken_once_after_it_saw_the_end(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  guint woken = 0;
  g_autoptr(InvWatch) watch = inv_watch_new(rig->inv, 0, count, &woken);
  WsId pool = make_pool(rig, "p");
  InvChange changes[64];
  guint n;

  g_assert_cmpuint(woken, ==, 1);
  for (gint64 i = 1; i <= 5; i++)
    report(rig, pool, i);
  g_assert_cmpuint(woken, ==, 1); /* it has not read yet */
  g_assert_true(inv_watch_next(watch, changes, 64, &n, NULL));
  g_assert_cmpuint(n, ==, 6);
  inv_changes_release(changes, n);
  report(rig, pool, 6);
  g_assert_cmpuint(woken, ==, 1); /* nor seen the end */
  g_assert_true(inv_watch_next(watch, changes, 64, &n, NULL));
  g_assert_cmpuint(n, ==, 1);
  inv_changes_release(changes, n);
  g_assert_true(inv_watch_next(watch, changes, 64, &n, NULL));
  g_assert_cmpuint(n, ==, 0);
  report(rig, pool, 7);
  g_assert_cmpuint(woken, ==, 2);
}

static void slow_reader_is_told_when_the_ring_has_passed_it(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  Revision start = revision_now(rig), last;
  g_autoptr(InvWatch) slow = inv_watch_new(rig->inv, 0, NULL, NULL);
  g_autoptr(InvWatch) careful = inv_watch_new(rig->inv, 0, NULL, NULL);
  InvChange change;

  report(rig, pool, 0);
  g_assert_cmpuint(read_one(careful, &change), ==, 1);
  inv_changes_release(&change, 1);
  for (gint64 i = 1; i < INV_LOG_MAX; i++)
    report(rig, pool, i);
  last = report(rig, pool, INV_LOG_MAX); /* the first is gone now */
  assert_relist(slow);
  assert_relist(slow);
  for (guint i = 1; i <= INV_LOG_MAX; i++) { /* nothing is missing for the one that read just one */
    g_assert_cmpuint(read_one(careful, &change), ==, 1);
    g_assert_cmpuint(change.revision, ==, start + 1 + i);
    inv_changes_release(&change, 1);
  }
  g_assert_cmpuint(change.revision, ==, last);
  g_autoptr(InvWatch) too_old = inv_watch_new(rig->inv, start, NULL, NULL);
  g_autoptr(InvWatch) just_there = inv_watch_new(rig->inv, start + 1, NULL, NULL);
  assert_relist(too_old);
  g_assert_cmpuint(read_one(just_there, &change), ==, 1);
  g_assert_cmpuint(change.revision, ==, start + 2);
  inv_changes_release(&change, 1);
}

/* Old versions are kept for readers, within bounds: these are 1 MiB each. */
static void ring_forgets_earlier_when_old_versions_are_large(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  WsId pool = make_pool(rig, "p");
  g_autoptr(InvWatch) slow = NULL;
  InvTxn *txn = inv_begin(rig->inv);
  WsPool *copy = inv_edit_id(txn, &ws_type_pool, pool);
  InvChange change;
  Revision last = 0;

  copy->description = g_strnfill(1 << 20, 'x');
  inv_rig_commit_ok(rig, txn);
  slow = inv_watch_new(rig->inv, 0, NULL, NULL);
  for (gint64 i = 0; i < 200; i++)
    last = report(rig, pool, i);
  assert_relist(slow);
  for (guint kept = 0;; kept++) { /* what is left fits */
    g_autoptr(InvWatch) watch = inv_watch_new(rig->inv, last - kept - 1, NULL, NULL);
    GError *error = NULL;
    guint n;
    if (!inv_watch_next(watch, &change, 1, &n, &error)) {
      inv_rig_assert_error(&error, WS_ERROR_RELIST, NULL);
      g_assert_cmpuint(kept, <=, INV_LOG_BYTES_MAX >> 20);
      g_assert_cmpuint(kept, >=, (INV_LOG_BYTES_MAX >> 20) - 2);
      break;
    }
    inv_changes_release(&change, n);
  }
}

static void batch_ends_with_a_revision_unless_one_is_larger(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  g_autoptr(InvWatch) watch = inv_watch_new(rig->inv, 0, NULL, NULL);
  static const guint sizes[] = {2, 2, 3, 9, 1}, batches[] = {4, 3, 5, 5};
  InvChange changes[5];
  guint n;

  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
    InvTxn *txn = inv_begin(rig->inv);
    for (guint k = 0; k < sizes[i]; k++)
      inv_rig_pool(txn, "p");
    inv_rig_commit_ok(rig, txn);
  }
  for (guint i = 0; i < G_N_ELEMENTS(batches); i++) {
    g_assert_true(inv_watch_next(watch, changes, G_N_ELEMENTS(changes), &n, NULL));
    g_assert_cmpuint(n, ==, batches[i]);
    g_assert_cmpint(changes[n - 1].last, ==, i != 2);
    inv_changes_release(changes, n);
  }
}

static void orderly_restart_lets_a_reader_go_on(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Revision before = revision_now(rig), last;
  InvChange change;

  make_pool(rig, "p");
  last = revision_now(rig);
  inv_rig_close(rig);
  inv_rig_open(rig);
  InvWatch *current = inv_watch_new(rig->inv, last, NULL, NULL),
           *old = inv_watch_new(rig->inv, before, NULL, NULL);
  g_assert_cmpuint(read_one(current, &change), ==, 0);
  assert_relist(old);
  make_pool(rig, "q");
  g_assert_cmpuint(read_one(current, &change), ==, 1);
  inv_changes_release(&change, 1);
  inv_watch_free(current);
  inv_watch_free(old);
}

static void crash_makes_readers_list_again(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false), after = NULL;

  make_pool(rig, "p");
  after = inv_rig_copy(rig);
  InvWatch *watch = inv_watch_new(after->inv, revision_now(rig), NULL, NULL);
  assert_relist(watch);
  inv_watch_free(watch);
}

/* ---- listeners ---- */

typedef struct {
  InvRig *rig;
  GArray *revisions;
  bool follow; /* answer each new pool with a volume, once */
  guint ended;
} Follower;

static void add_volume(void *arg)
{
  Follower *follower = arg;
  g_autoptr(InvTxn) txn = inv_begin(follower->rig->inv);
  g_autoptr(InvSnapshot) snap = inv_snapshot(follower->rig->inv);
  WsId pool = 0;

  /* What was announced is published. */
  for (WsId id = 1; id < 100 && !pool; id++)
    pool = inv_find(snap, &ws_type_pool, id) ? id : 0;
  g_assert_cmpuint(pool, !=, 0);
  inv_rig_volume(txn, pool, "v");
  g_assert_true(inv_commit(txn, NULL, NULL));
  follower->ended++;
}

static void on_change(const InvChange *change, void *arg)
{
  Follower *follower = arg;

  g_array_append_val(follower->revisions, change->revision);
  if (follower->follow && change->type == &ws_type_pool && !change->old_object)
    ws_co_start(follower->rig->loop, add_volume, follower);
}

static void listener_may_commit_and_order_holds(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  Follower follower = {rig, g_array_new(FALSE, FALSE, sizeof(Revision)), true, 0};
  gint64 deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;

  inv_add_listener(rig->inv, on_change, &follower);
  for (guint i = 0; i < 5; i++)
    make_pool(rig, "p");
  while (follower.ended < 5) {
    g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    ws_loop_step(rig->loop, 1000);
  }
  g_assert_cmpuint(follower.revisions->len, ==, 10);
  for (guint i = 1; i < 10; i++)
    g_assert_cmpuint(g_array_index(follower.revisions, Revision, i), ==,
                     g_array_index(follower.revisions, Revision, 0) + i);
  g_array_free(follower.revisions, TRUE);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) inv_rig_add("/inventory/watch/" #name, name)
  TEST(change_carries_both_versions);
  TEST(reader_resumes_after_the_revision_it_knows);
  TEST(reader_of_an_unknown_revision_is_told_to_list_again);
  TEST(refused_change_is_not_announced);
  TEST(reader_is_woken_once_after_it_saw_the_end);
  TEST(slow_reader_is_told_when_the_ring_has_passed_it);
  TEST(ring_forgets_earlier_when_old_versions_are_large);
  TEST(batch_ends_with_a_revision_unless_one_is_larger);
  TEST(orderly_restart_lets_a_reader_go_on);
  TEST(crash_makes_readers_list_again);
  TEST(listener_may_commit_and_order_holds);
  return g_test_run();
}
