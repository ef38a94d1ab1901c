// SPDX-License-Identifier: Apache-2.0
/* Records of history that build on one another: whatever transactions are refused and whatever writes fail, on the disk each one names the one
 * before it. */
#include "inventory-rig.h"
#include <errno.h>
#include <string.h>

#define WRITERS 6
#define ROUNDS 8

/* An event's `cause` names the event before it. */
typedef struct {
  WsId head, durable;
} Chain;

static void seal(void *record, void *arg)
{
  WsEvent *event = record;
  Chain *chain = arg;
  g_free(event->cause);
  event->cause = g_strdup_printf("%" G_GUINT64_FORMAT, chain->head);
  chain->head = event->id;
}

static void durable(const void *record, void *arg)
{
  ((Chain *)arg)->durable = ((const WsEvent *)record)->id;
}

static void fell(void *arg)
{
  Chain *chain = arg;
  chain->head = chain->durable;
}

typedef struct {
  InvRig *rig;
  guint acknowledged, left;
  bool ended;
} Work;

/* Every second transaction is refused by a check: the name is taken. */
static void write_events(void *arg)
{
  Work *work = arg;
  for (guint i = 0; i < ROUNDS; i++) {
    g_autoptr(InvTxn) txn = inv_begin(work->rig->inv);
    inv_append_history(txn, inv_rig_event("vm-1", 1));
    inv_rig_pool(txn, i % 2 ? "the same" : NULL);
    work->acknowledged += inv_commit(txn, NULL, NULL);
  }
  work->ended = --work->left == 0;
}

static guint count_chained(InvRig *rig)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autoptr(GError) error = NULL;
  store_query_history(rig->store, &ws_type_event, NULL, 0, 0, 10000, rows, &error);
  g_assert_no_error(error);
  for (guint i = 0; i < rows->len; i++) {
    const WsEvent *event = rows->pdata[i], *before = i + 1 < rows->len ? rows->pdata[i + 1] : NULL;
    g_assert_cmpuint(g_ascii_strtoull(event->cause, NULL, 10), ==, before ? before->id : 0);
  }
  return rows->len;
}

static int fail_nth(const char *point, void *arg)
{
  guint *n = arg;
  if (strcmp(point, "sync") == 0 || strcmp(point, "committed") == 0 || *n == 0 || --*n > 0)
    return 0;
  return ENOSPC;
}

/* Returns whether the fault came to pass. */
static bool work_with_fault(guint n)
{
  static const InvSeal chain_seal = {seal, durable, fell};
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Chain chain = {0};
  inv_set_seal(rig->inv, &ws_type_event, &chain_seal, &chain);
  store_set_fault(rig->store, fail_nth, &n);
  Work work = {rig, 0, WRITERS, false};
  for (guint i = 0; i < WRITERS; i++)
    ws_co_start(rig->loop, write_events, &work);
  inv_rig_wait(rig, &work.ended);
  store_set_fault(rig->store, NULL, NULL);
  work.left = 1;
  inv_rig_run(rig, write_events, &work);
  g_assert_cmpuint(count_chained(rig), ==, work.acknowledged);
  g_assert_cmpuint(chain.head, ==, chain.durable);
  return n == 0;
}

static void chain_is_that_of_the_disk_whatever_fails(void)
{
  guint n = 1;
  while (work_with_fault(n))
    n += inv_rig_stride();
  g_assert_cmpuint(n, >, 20);
}

static void rows_of_history_go_in_the_same_transaction(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  InvTxn *txn = inv_begin(rig->inv);
  for (guint i = 0; i < 3; i++)
    inv_append_history(txn, inv_rig_event("vm-1", i + 1));
  inv_rig_commit_ok(rig, txn);
  g_assert_true(store_query_history(rig->store, &ws_type_event, NULL, 0, 0, 10, rows, NULL));
  g_assert_cmpuint(rows->len, ==, 3);
  txn = inv_begin(rig->inv);
  inv_delete_history(txn, &ws_type_event, ((WsEvent *)rows->pdata[2])->id);
  inv_append_history(txn, inv_rig_event("vm-2", 9));
  inv_rig_commit_ok(rig, txn);
  g_ptr_array_set_size(rows, 0);
  g_assert_true(store_query_history(rig->store, &ws_type_event, NULL, 0, 0, 10, rows, NULL));
  g_assert_cmpuint(rows->len, ==, 3);
  g_assert_cmpstr(((WsEvent *)rows->pdata[0])->object, ==, "vm-2");
  g_assert_cmpint(((WsEvent *)rows->pdata[2])->time, ==, 2);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/inventory/seal/" #name, name)
  TEST(chain_is_that_of_the_disk_whatever_fails);
  TEST(rows_of_history_go_in_the_same_transaction);
  return g_test_run();
}
