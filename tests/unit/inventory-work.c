// SPDX-License-Identifier: Apache-2.0
#include "inventory-work.h"

typedef struct {
  InvRig *rig;
  guint writer;
  guint64 n, k;
  WorkAck ack;
  void *arg;
  bool ended, refused;
} Writer;

/* ---- where a writer stands ---- */

typedef struct {
  const char *name;
  const WsPool *found;
} Search;

static bool match_name(const void *object, void *arg)
{
  Search *search = arg;

  if (g_strcmp0(((const WsPool *)object)->name, search->name) != 0)
    return true;
  search->found = object;
  return false;
}

static const WsPool *find_pool(const InvSnapshot *snap, guint writer, char which)
{
  g_autofree char *name = g_strdup_printf("%u%c", writer, which);
  Search search = {name, NULL};

  inv_each(snap, &ws_type_pool, match_name, &search);
  return search.found;
}

static guint64 number_in(const char *text)
{
  return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static bool collect_volume(const void *object, void *arg)
{
  g_hash_table_insert(arg, GUINT_TO_POINTER(number_in(((const WsVolume *)object)->name)), (void *)object);
  return true;
}

/* number -> volume */
static GHashTable *volumes_of(const InvSnapshot *snap, const WsPool *pool)
{
  GHashTable *volumes = g_hash_table_new(NULL, NULL);

  inv_each_by(snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL,
              collect_volume, volumes);
  return volumes;
}

/* ---- working ---- */

static void set_description(WsPool *pool, guint64 k)
{
  g_free(pool->description);
  pool->description = g_strdup_printf("%" G_GUINT64_FORMAT, k);
}

static WsPool *edit_or_create(InvTxn *txn, const InvSnapshot *head, guint writer, char which)
{
  const WsPool *pool = find_pool(head, writer, which);
  g_autofree char *name = g_strdup_printf("%u%c", writer, which);

  return pool ? inv_edit(txn, pool) : inv_rig_pool(txn, name);
}

static bool run_transaction(Writer *w, GError **error)
{
  g_autoptr(InvTxn) txn = inv_begin(w->rig->inv);
  g_autoptr(InvSnapshot) head = inv_head(w->rig->inv);
  const WsPool *before = find_pool(head, w->writer, 'a');
  guint64 k = (before ? number_in(before->description) : 0) + 1;
  WsPool *a = edit_or_create(txn, head, w->writer, 'a'), *b = edit_or_create(txn, head, w->writer, 'b');
  g_autofree char *name = g_strdup_printf("%" G_GUINT64_FORMAT, k);
  g_autofree char *event = g_strdup_printf("%u-%" G_GUINT64_FORMAT, w->writer, k);

  set_description(a, k);
  set_description(b, k);
  inv_rig_volume(txn, a->id, name);
  if (before) {
    g_autoptr(GHashTable) volumes = volumes_of(head, before);
    const WsVolume *old = g_hash_table_lookup(volumes, GUINT_TO_POINTER(k - WORK_VOLUMES));
    if (old)
      inv_delete(txn, &ws_type_volume, old->id);
  }
  inv_append_history(txn, inv_rig_event(event, (gint64)k));
  if (!inv_commit(txn, NULL, error))
    return false;
  w->k = k;
  return true;
}

static void work(void *arg)
{
  Writer *w = arg;
  GError *error = NULL;

  for (guint64 i = 0; (w->n == 0 || i < w->n) && run_transaction(w, &error); i++)
    if (w->ack)
      w->ack(w->writer, w->k, w->arg);
  w->refused = error != NULL;
  if (error)
    inv_rig_assert_error(&error, WS_ERROR_READ_ONLY, NULL);
  w->ended = true;
}

bool inv_work_run(InvRig *rig, guint64 n, WorkAck ack, void *arg)
{
  Writer writers[WORK_WRITERS];
  bool refused = false;

  for (guint i = 0; i < WORK_WRITERS; i++) {
    writers[i] = (Writer){.rig = rig, .writer = i, .n = n, .ack = ack, .arg = arg};
    ws_co_start(rig->loop, work, &writers[i]);
  }
  for (guint i = 0; i < WORK_WRITERS; i++) {
    inv_rig_wait(rig, &writers[i].ended);
    refused |= writers[i].refused;
  }
  return !refused;
}

/* ---- verifying ---- */

static guint count_events(InvRig *rig, guint writer, guint64 k)
{
  g_autoptr(GPtrArray) found = g_ptr_array_new();
  g_autofree char *object = g_strdup_printf("%u-%" G_GUINT64_FORMAT, writer, k);
  StoreWhere where = {"object", object};
  GError *error = NULL;

  store_query_history(rig->store, &ws_type_event, &where, 1, 0, 10, found, &error);
  g_assert_no_error(error);
  for (guint i = 0; i < found->len; i++)
    ws_resource_unref(g_ptr_array_index(found, i));
  return found->len;
}

static guint64 verify_writer(InvRig *rig, const InvSnapshot *snap, guint writer, guint64 acked)
{
  const WsPool *a = find_pool(snap, writer, 'a'), *b = find_pool(snap, writer, 'b');
  guint64 k = a ? number_in(a->description) : 0;
  g_autoptr(GHashTable) volumes = NULL;

  g_assert_true((a != NULL) == (b != NULL));
  g_assert_cmpuint(k, >=, acked);
  g_assert_cmpuint(k, <=, acked + 1);
  if (!a)
    return 0;
  g_assert_cmpuint(number_in(b->description), ==, k);
  g_assert_cmpuint(a->revision, ==, b->revision);
  volumes = volumes_of(snap, a);
  g_assert_cmpuint(g_hash_table_size(volumes), ==, MIN(k, WORK_VOLUMES));
  for (guint64 v = k; v > 0 && v + WORK_VOLUMES > k; v--) {
    g_assert_true(g_hash_table_contains(volumes, GUINT_TO_POINTER(v)));
    g_assert_cmpuint(count_events(rig, writer, v), ==, 1);
  }
  g_assert_cmpuint(count_events(rig, writer, k + 1), ==, 0);
  return k;
}

void inv_work_verify(InvRig *rig, const WorkState *acked, WorkState *found)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);

  for (guint i = 0; i < WORK_WRITERS; i++) {
    guint64 k = verify_writer(rig, snap, i, acked->k[i]);
    if (found)
      found->k[i] = k;
  }
}
