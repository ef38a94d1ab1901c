// SPDX-License-Identifier: Apache-2.0
/* Readers and watchers on other threads while the core loop changes things: a snapshot stays what it is, a
 * watcher's replica becomes what the inventory is. Run it under ThreadSanitizer and AddressSanitizer too.
 *
 * ThreadSanitizer does not follow coroutines that jump between stacks, so under it all changes are of the
 * kind that needs none. */
#include "inventory-rig.h"

#if defined(__SANITIZE_THREAD__)
#define WITH_COROUTINES false
#else
#define WITH_COROUTINES true
#endif

#define N_POOLS 200
#define TOTAL   (N_POOLS * (gint64)1000)
#define N_MOVES 60000 /* two changes each: more than the ring holds */

typedef struct {
  InvRig *rig;
  gint stop;          /* atomic */
  gint revision_seen; /* atomic: at least one reader has seen a change */
} Shared;

/* ---- setting up without coroutines ---- */

static void set_flag(const GError *error, void *arg)
{
  g_assert_no_error(error);
  *(bool *)arg = true;
}

static void fill_store(InvRig *rig)
{
  StoreRow *rows = g_new(StoreRow, N_POOLS);
  bool done = false;

  for (guint i = 0; i < N_POOLS; i++) {
    WsPool *pool = ws_object_new(&ws_type_pool);
    pool->id = i + 1;
    pool->revision = 1;
    pool->name = g_strdup("p");
    pool->capacity_bytes = TOTAL / N_POOLS;
    rows[i] = (StoreRow){&ws_type_pool, pool->id, 1, pool};
  }
  store_submit(rig->store, rows, N_POOLS, NULL, set_flag, &done);
  inv_rig_wait(rig, &done);
  inv_rig_close(rig);
  inv_rig_open(rig);
}

/* ---- readers ---- */

typedef struct {
  gint64 total;
  guint64 check;
  guint n;
} Sum;

static bool add(const void *object, void *arg)
{
  const WsPool *pool = object;
  Sum *sum = arg;

  sum->total += pool->capacity_bytes;
  sum->check = sum->check * 31 + pool->id * 7 + pool->revision + (guint64)pool->capacity_bytes;
  sum->n++;
  return true;
}

static gpointer read_snapshots(gpointer arg)
{
  Shared *shared = arg;
  Revision last = 0;

  while (!g_atomic_int_get(&shared->stop)) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(shared->rig->inv);
    Sum first = {0}, second = {0};
    g_assert_cmpuint(inv_snapshot_revision(snap), >=, last);
    g_atomic_int_set(&shared->revision_seen, last != 0 && inv_snapshot_revision(snap) > last);
    last = inv_snapshot_revision(snap);
    inv_each(snap, &ws_type_pool, add, &first);
    g_assert_cmpint(first.total, ==, TOTAL); /* each transaction keeps it: never half of one */
    g_assert_cmpuint(first.n, ==, N_POOLS);
    inv_each(snap, &ws_type_pool, add, &second);
    g_assert_cmpuint(first.check, ==, second.check);
  }
  return NULL;
}

/* ---- watchers ---- */

typedef struct {
  Shared *shared;
  guint pause_us; /* a slow one drops out and lists again */
  gint64 capacity[N_POOLS + 1];
  Revision revision;
  guint relists;
} Replica;

static bool take_over(const void *object, void *arg)
{
  const WsPool *pool = object;

  ((Replica *)arg)->capacity[pool->id] = pool->capacity_bytes;
  return true;
}

static InvWatch *list(Replica *replica)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(replica->shared->rig->inv);

  inv_each(snap, &ws_type_pool, take_over, replica);
  replica->revision = inv_snapshot_revision(snap);
  return inv_watch_new(replica->shared->rig->inv, replica->revision, NULL, NULL);
}

static void apply(Replica *replica, const InvChange *change)
{
  const WsPool *before = change->old_object, *after = change->new_object;

  g_assert_cmpuint(change->revision, >=, replica->revision);
  g_assert_cmpuint(change->revision, <=, replica->revision + 1); /* none is missing */
  g_assert_cmpint(replica->capacity[change->id], ==, before->capacity_bytes);
  replica->capacity[change->id] = after->capacity_bytes;
  replica->revision = change->revision;
}

static gpointer follow(gpointer arg)
{
  Replica *replica = arg;
  InvWatch *watch = list(replica);
  InvChange changes[100];
  bool stop = false;
  guint n = 1;

  while (n > 0 || !stop) {
    stop = g_atomic_int_get(&replica->shared->stop); /* before reading: then there is nothing after n = 0 */
    if (!inv_watch_next(watch, changes, G_N_ELEMENTS(changes), &n, NULL)) {
      replica->relists++;
      inv_watch_free(watch);
      watch = list(replica);
      n = 1;
      continue;
    }
    for (guint i = 0; i < n; i++)
      apply(replica, &changes[i]);
    inv_changes_release(changes, n);
    if (replica->pause_us > 0)
      g_usleep(replica->pause_us); /* slowness is what this one is for */
  }
  inv_watch_free(watch);
  return NULL;
}

/* Whoever begins to watch from the revision of a fresh snapshot finds the log there. */
static gpointer begin_watches(gpointer arg)
{
  Shared *shared = arg;
  guint n_tries = 0, n_relists = 0;

  for (; !g_atomic_int_get(&shared->stop); n_tries++) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(shared->rig->inv);
    g_autoptr(InvWatch) watch = inv_watch_new(shared->rig->inv, inv_snapshot_revision(snap), NULL, NULL);
    InvChange change;
    guint n;
    if (!inv_watch_next(watch, &change, 1, &n, NULL)) {
      n_relists++; /* right only if this thread slept through the whole ring in between */
      continue;
    }
    g_assert_true(n == 0 || change.revision == inv_snapshot_revision(snap) + 1);
    inv_changes_release(&change, n);
  }
  g_assert_cmpuint(n_relists * 100, <=, n_tries);
  return NULL;
}

/* ---- the writer: moves capacity between two pools ---- */

static void move(InvRig *rig, GRand *rand, bool durable)
{
  WsId from = (WsId)g_rand_int_range(rand, 1, N_POOLS + 1), to = from % N_POOLS + 1;
  InvTxn *txn = inv_begin(rig->inv);
  WsPool *a = inv_edit_id(txn, &ws_type_pool, from), *b = inv_edit_id(txn, &ws_type_pool, to);

  a->capacity_bytes -= 1;
  b->capacity_bytes += 1;
  if (durable) {
    a->suspended = !a->suspended;
    inv_rig_commit_ok(rig, txn);
  } else {
    g_assert_true(inv_commit(txn, NULL, NULL));
    inv_txn_free(txn);
  }
}

static gpointer query_history(gpointer arg)
{
  Shared *shared = arg;

  while (!g_atomic_int_get(&shared->stop)) {
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    g_assert_true(store_query_history(shared->rig->store, &ws_type_event, NULL, 0, 0, 10, found, NULL));
    for (guint i = 0; i < found->len; i++)
      ws_resource_unref(g_ptr_array_index(found, i));
    g_usleep(1000);
  }
  return NULL;
}

static void readers_and_watchers_go_on_beside_the_writer(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  g_autoptr(GRand) rand = g_rand_new_with_seed(3);
  Shared shared = {.rig = rig};
  Replica quick = {.shared = &shared}, slow = {.shared = &shared, .pause_us = 2000};
  GThread *threads[6];

  fill_store(rig);
  threads[0] = g_thread_new("reader", read_snapshots, &shared);
  threads[1] = g_thread_new("reader", read_snapshots, &shared);
  threads[2] = g_thread_new("quick", follow, &quick);
  threads[3] = g_thread_new("slow", follow, &slow);
  threads[4] = g_thread_new("history", query_history, &shared);
  threads[5] = g_thread_new("begin", begin_watches, &shared);
  for (guint i = 0; i < N_MOVES || !g_atomic_int_get(&shared.revision_seen); i++) {
    move(rig, rand, WITH_COROUTINES && i % 50 == 0);
    if (i % 100 == 0)
      ws_loop_step(rig->loop, 0);
  }
  g_atomic_int_set(&shared.stop, 1);
  for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
    g_thread_join(threads[i]);

  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  for (WsId id = 1; id <= N_POOLS; id++) {
    const WsPool *pool = inv_find(snap, &ws_type_pool, id);
    g_assert_cmpint(quick.capacity[id], ==, pool->capacity_bytes);
    g_assert_cmpint(slow.capacity[id], ==, pool->capacity_bytes);
  }
  g_assert_cmpuint(quick.revision, ==, inv_snapshot_revision(snap));
  g_test_message("slow one listed again %u times", slow.relists);
}

/* A snapshot keeps what it saw, whatever happens, also after the inventory is gone. */
static void snapshot_outlives_everything(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  g_autoptr(GRand) rand = g_rand_new_with_seed(5);
  InvSnapshot *snap;
  Sum before = {0}, after = {0};

  fill_store(rig);
  snap = inv_snapshot(rig->inv);
  inv_each(snap, &ws_type_pool, add, &before);
  for (guint i = 0; i < 1000; i++)
    move(rig, rand, false);
  inv_rig_close(rig);
  inv_each(snap, &ws_type_pool, add, &after);
  g_assert_cmpuint(before.check, ==, after.check);
  inv_snapshot_unref(snap);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) inv_rig_add("/inventory/threads/" #name, name)
  TEST(readers_and_watchers_go_on_beside_the_writer);
  TEST(snapshot_outlives_everything);
  return g_test_run();
}
