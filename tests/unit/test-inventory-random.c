// SPDX-License-Identifier: Apache-2.0
/* Random transactions against a plain hash table: what may be committed is decided here once more, by looking
 * at everything; after each transaction both hold the same, and again after the database was opened anew.
 * Fixed seeds. */
#include "inventory-rig.h"
#include <errno.h>
#include <string.h>

/* ---- the model ---- */

typedef struct {
  InvRig *rig;
  GRand *rand;
  GHashTable *objects;  /* id -> resource, as committed */
  GHashTable *shadow;   /* the same after the transaction under way */
  GPtrArray *snapshots; /* a few old ones, to edit stale versions */
  bool refuse;          /* the store's next commit fails */
  bool stale, missing;  /* the transaction edits a stale version, deletes what is not there */
  guint outcomes[8];    /* how often each came to pass: see the end of run() */
} Model;

enum { OK, CONFLICT, NOT_FOUND, BAD_REFERENCE, IN_USE, NAME_TAKEN, READ_ONLY, NOTHING };

static const WsType *const types[] = {&ws_type_pool, &ws_type_volume, &ws_type_vm, &ws_type_image};

static gpointer key(WsId id)
{
  return GUINT_TO_POINTER(id);
}

static void unref_resource(gpointer resource)
{
  ws_resource_unref(resource);
}

static GHashTable *table_new(void)
{
  return g_hash_table_new_full(NULL, NULL, NULL, unref_resource);
}

static GHashTable *table_copy(GHashTable *from)
{
  GHashTable *to = table_new();
  GHashTableIter iter;
  gpointer k, v;

  g_hash_table_iter_init(&iter, from);
  while (g_hash_table_iter_next(&iter, &k, &v))
    g_hash_table_insert(to, k, ws_resource_ref(v));
  return to;
}

static gint roll(Model *m, gint n)
{
  return g_rand_int_range(m->rand, 0, n);
}

/* Some id of the type; now and then one that does not exist, or is of another type. 0: none. */
static WsId some_id(Model *m, const WsType *type)
{
  g_autoptr(GPtrArray) found = g_ptr_array_new();
  GHashTableIter iter;
  gpointer v;

  if (roll(m, 25) == 0)
    return (WsId)roll(m, 500) + 1;
  g_hash_table_iter_init(&iter, m->shadow);
  while (g_hash_table_iter_next(&iter, NULL, &v))
    if (((WsResource *)v)->type == type)
      g_ptr_array_add(found, v);
  return found->len > 0 ? ((WsResource *)g_ptr_array_index(found, roll(m, (gint)found->len)))->id : 0;
}

/* ---- references, written out by hand ---- */

typedef struct {
  WsId id;
  const WsType *target;
  bool weak;
} Ref;

static guint refs_of(const WsResource *object, Ref *refs)
{
  guint n = 0;

  if (object->type == &ws_type_volume) {
    const WsVolume *v = (const WsVolume *)object;
    refs[n++] = (Ref){v->pool, &ws_type_pool, false};
    refs[n++] = (Ref){v->parent, &ws_type_volume, false};
    refs[n++] = (Ref){v->used_by, &ws_type_vm, false};
  } else if (object->type == &ws_type_vm) {
    const WsVm *vm = (const WsVm *)object;
    refs[n++] = (Ref){vm->image, &ws_type_image, true};
    for (guint i = 0; i < vm->disks.len; i++)
      refs[n++] = (Ref){vm->disks.items[i]->volume, &ws_type_volume, false};
  } else if (object->type == &ws_type_image) {
    const WsImage *image = (const WsImage *)object;
    refs[n++] = (Ref){image->pool, &ws_type_pool, false};
    refs[n++] = (Ref){image->volume, &ws_type_volume, false};
    refs[n++] = (Ref){image->source, &ws_type_volume, true};
  }
  return n;
}

static bool in_refs(const Ref *refs, guint n, WsId id)
{
  for (guint i = 0; i < n; i++)
    if (refs[i].id == id)
      return true;
  return false;
}

static bool exists(GHashTable *objects, const WsType *type, WsId id)
{
  const WsResource *object = g_hash_table_lookup(objects, key(id));

  return object && object->type == type;
}

/* Which rules the transaction breaks, as bits of the outcomes. */
static guint broken_rules(Model *m)
{
  guint broken = (m->stale ? 1u << CONFLICT : 0) | (m->missing ? 1u << NOT_FOUND : 0);
  g_autoptr(GHashTable) uuids = g_hash_table_new(g_str_hash, g_str_equal);
  GHashTableIter iter;
  gpointer v;

  g_hash_table_iter_init(&iter, m->shadow);
  while (g_hash_table_iter_next(&iter, NULL, &v)) {
    const WsResource *object = v, *before = g_hash_table_lookup(m->objects, key(object->id));
    Ref refs[16], old_refs[16];
    guint n = refs_of(object, refs), n_old = before ? refs_of(before, old_refs) : 0;
    const char *uuid = object->type == &ws_type_vm ? ((const WsVm *)v)->uuid : NULL;

    if (uuid && !g_hash_table_add(uuids, (gpointer)uuid))
      broken |= 1u << NAME_TAKEN;
    for (guint i = 0; i < n; i++) {
      if (refs[i].id == 0 || exists(m->shadow, refs[i].target, refs[i].id))
        continue;
      if (!in_refs(old_refs, n_old, refs[i].id))
        broken |= 1u << BAD_REFERENCE;
      if (!refs[i].weak)
        broken |= 1u << IN_USE;
    }
  }
  return broken;
}

/* ---- random changes ---- */

static void set_text(char **text, char *value)
{
  g_free(*text);
  *text = value;
}

static void change_volume(Model *m, WsVolume *v)
{
  switch (roll(m, 5)) {
  case 0:
    set_text(&v->name, g_strdup_printf("v%d", roll(m, 4)));
    break;
  case 1:
    v->parent = roll(m, 2) ? some_id(m, &ws_type_volume) : 0;
    break;
  case 2:
    v->used_by = roll(m, 2) ? some_id(m, &ws_type_vm) : 0;
    break;
  case 3:
    v->allocated_bytes = roll(m, 3);
    break;
  default:
    v->pool = some_id(m, &ws_type_pool);
  }
}

static void change_vm(Model *m, WsVm *vm)
{
  switch (roll(m, 5)) {
  case 0:
    set_text(&vm->uuid, roll(m, 5) ? g_strdup_printf("u%d", roll(m, 40)) : NULL);
    break;
  case 1:
    if (vm->disks.len < 8)
      inv_rig_attach(vm, some_id(m, &ws_type_volume));
    break;
  case 2:
    if (vm->disks.len > 0)
      vm->disks.items[roll(m, (gint)vm->disks.len)]->volume = 0;
    break;
  case 3:
    vm->image = some_id(m, &ws_type_image);
    break;
  default:
    vm->architecture = roll(m, 4);
  }
}

static void change_image(Model *m, WsImage *image)
{
  switch (roll(m, 3)) {
  case 0:
    image->pool = some_id(m, &ws_type_pool);
    break;
  case 1:
    image->volume = roll(m, 2) ? some_id(m, &ws_type_volume) : 0;
    break;
  default:
    image->source = some_id(m, &ws_type_volume);
  }
}

static void change(Model *m, WsResource *object)
{
  if (object->type == &ws_type_volume)
    change_volume(m, (WsVolume *)object);
  else if (object->type == &ws_type_vm)
    change_vm(m, (WsVm *)object);
  else if (object->type == &ws_type_image)
    change_image(m, (WsImage *)object);
  else
    ((WsPool *)object)->capacity_bytes = roll(m, 3);
}

static void mirror(Model *m, const WsResource *copy)
{
  g_hash_table_insert(m->shadow, key(copy->id), ws_object_copy(copy->type, copy));
}

static void create_some(Model *m, InvTxn *txn)
{
  const WsType *type = types[roll(m, G_N_ELEMENTS(types))];
  WsResource *object = inv_create(txn, type);

  change(m, object);
  change(m, object);
  mirror(m, object);
}

static void edit_some(Model *m, InvTxn *txn, const WsType *type)
{
  WsId id = some_id(m, type);
  const InvSnapshot *old = g_ptr_array_index(m->snapshots, roll(m, (gint)m->snapshots->len));
  const WsResource *seen = inv_find(old, type, id), *now;
  g_autoptr(InvSnapshot) head = inv_head(m->rig->inv);
  WsResource *copy;

  if (!exists(m->shadow, type, id)) {
    if (!exists(m->objects, type, id))
      g_assert_null(inv_edit_id(txn, type, id));
    return;
  }
  now = inv_find(head, type, id);
  if (seen && roll(m, 10) == 0) {
    m->stale |= seen != now;
    copy = inv_edit(txn, seen);
  } else {
    copy = inv_edit_id(txn, type, id);
  }
  change(m, copy);
  mirror(m, copy);
}

static void delete_some(Model *m, InvTxn *txn, const WsType *type)
{
  WsId id = some_id(m, type);

  if (id == 0 || (!exists(m->shadow, type, id) && (exists(m->objects, type, id) || roll(m, 3))))
    return;
  if (g_hash_table_contains(m->shadow, key(id)) && !exists(m->shadow, type, id))
    return; /* the id of another type */
  if (g_hash_table_contains(m->objects, key(id)) && !exists(m->objects, type, id))
    return;
  m->missing |= !exists(m->shadow, type, id);
  inv_delete(txn, type, id);
  g_hash_table_remove(m->shadow, key(id));
}

static void change_some(Model *m, InvTxn *txn)
{
  const WsType *type = types[roll(m, G_N_ELEMENTS(types))];
  gint what = roll(m, 10);

  if (what < 3)
    create_some(m, txn);
  else if (what < 8)
    edit_some(m, txn, type);
  else
    delete_some(m, txn, type);
}

/* ---- comparing ---- */

static bool equals_model(const void *object, void *arg)
{
  const WsResource *resource = object;
  Model *m = arg;
  const WsResource *expected = g_hash_table_lookup(m->objects, key(resource->id));

  g_assert_nonnull(expected);
  if (!ws_object_equal(resource->type, resource, expected)) {
    g_autofree char *is = ws_object_to_json(resource->type, resource, WS_WRITE_STORED, NULL);
    g_autofree char *should = ws_object_to_json(resource->type, expected, WS_WRITE_STORED, NULL);
    g_error("is %s, should be %s", is, should);
  }
  return true;
}

static bool add_id(const void *object, void *arg)
{
  *(guint64 *)arg += ((const WsResource *)object)->id;
  return true;
}

/* The index of volumes by pool, of VMs by architecture and by uuid, against a look at everything. */
static void compare_indexes(Model *m, const InvSnapshot *snap)
{
  WsId pool = some_id(m, &ws_type_pool);
  int architecture = 1 + roll(m, 3);
  guint64 in_pool = 0, expected_in_pool = 0, of_kind = 0, expected_of_kind = 0;
  const WsField *by_pool = ws_type_field(&ws_type_volume, "pool", 4);
  const WsField *by_kind = ws_type_field(&ws_type_vm, "architecture", 12);
  GHashTableIter iter;
  gpointer v;

  g_hash_table_iter_init(&iter, m->objects);
  while (g_hash_table_iter_next(&iter, NULL, &v)) {
    const WsResource *object = v;
    if (object->type == &ws_type_volume && pool != 0 && ((WsVolume *)v)->pool == pool)
      expected_in_pool += object->id;
    if (object->type == &ws_type_vm && (int)((WsVm *)v)->architecture == architecture)
      expected_of_kind += object->id;
    if (object->type == &ws_type_vm && ((WsVm *)v)->uuid)
      g_assert_cmpuint(((const WsVm *)inv_find_by(snap, &ws_type_vm, "uuid", 0, ((WsVm *)v)->uuid))->id, ==,
                       object->id);
  }
  inv_each_by(snap, &ws_type_volume, by_pool, pool, NULL, add_id, &in_pool);
  inv_each_by(snap, &ws_type_vm, by_kind, 0, by_kind->names[architecture - 1], add_id, &of_kind);
  g_assert_cmpuint(in_pool, ==, expected_in_pool);
  g_assert_cmpuint(of_kind, ==, expected_of_kind);
}

static void compare(Model *m)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(m->rig->inv);
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
    inv_each(snap, types[i], equals_model, m);
    n += inv_count(snap, types[i]);
  }
  g_assert_cmpuint(n, ==, g_hash_table_size(m->objects));
  compare_indexes(m, snap);
}

static bool tables_differ(GHashTable *a, GHashTable *b)
{
  GHashTableIter iter;
  gpointer k, v;

  if (g_hash_table_size(a) != g_hash_table_size(b))
    return true;
  g_hash_table_iter_init(&iter, a);
  while (g_hash_table_iter_next(&iter, &k, &v)) {
    const WsResource *other = g_hash_table_lookup(b, k);
    if (!other || !ws_object_equal(other->type, v, other))
      return true;
  }
  return false;
}

static bool only_reports(Model *m)
{
  GHashTableIter iter;
  gpointer k, v;

  if (g_hash_table_size(m->objects) != g_hash_table_size(m->shadow))
    return false;
  g_hash_table_iter_init(&iter, m->shadow);
  while (g_hash_table_iter_next(&iter, &k, &v)) {
    const WsResource *other = g_hash_table_lookup(m->objects, k);
    if (!other ||
        (!ws_object_equal(other->type, v, other) && !ws_object_differs_only_volatile(other->type, v, other)))
      return false;
  }
  return true;
}

/* ---- one transaction ---- */

static int refuse_commit(const char *point, void *arg)
{
  Model *m = arg;

  return m->refuse && strcmp(point, "commit") == 0 ? ENOSPC : 0;
}

static guint outcome_of(const GError *error)
{
  static const guint codes[][2] = {
      {WS_ERROR_CONFLICT, CONFLICT},           {WS_ERROR_NOT_FOUND, NOT_FOUND},
      {WS_ERROR_BAD_REFERENCE, BAD_REFERENCE}, {WS_ERROR_IN_USE, IN_USE},
      {WS_ERROR_NAME_TAKEN, NAME_TAKEN},       {WS_ERROR_READ_ONLY, READ_ONLY},
  };

  for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
    if ((guint)error->code == codes[i][0])
      return codes[i][1];
  g_error("unexpected: %s", error->message);
}

static Revision revision_now(Model *m)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(m->rig->inv);

  return inv_snapshot_revision(snap);
}

static void accept(Model *m, bool changed)
{
  g_hash_table_destroy(m->objects);
  m->objects = g_steal_pointer(&m->shadow);
  m->outcomes[changed ? OK : NOTHING]++;
}

static void one_transaction(Model *m)
{
  g_autoptr(InvTxn) txn = inv_begin(m->rig->inv);
  Revision before = revision_now(m);
  GError *error = NULL;
  guint broken;
  bool changed;

  m->shadow = table_copy(m->objects);
  m->stale = m->missing = false;
  m->refuse = roll(m, 20) == 0;
  for (gint n = roll(m, 6); n >= 0; n--)
    change_some(m, txn);
  broken = broken_rules(m);
  changed = tables_differ(m->objects, m->shadow);
  if (inv_rig_commit(m->rig, txn, NULL, &error)) {
    g_assert_cmpuint(broken, ==, 0);
    g_assert_true(!m->refuse || only_reports(m));
    g_assert_cmpuint(revision_now(m), ==, before + changed);
    accept(m, changed);
    return;
  }
  m->outcomes[outcome_of(error)]++;
  if (outcome_of(error) == READ_ONLY)
    g_assert_true(broken == 0 && m->refuse);
  else
    g_assert_cmpuint(broken & 1u << outcome_of(error), !=, 0);
  g_assert_cmpuint(revision_now(m), ==, before);
  g_clear_error(&error);
  g_clear_pointer(&m->shadow, g_hash_table_destroy);
}

static void unref_snapshot(gpointer snapshot)
{
  inv_snapshot_unref(snapshot);
}

/* What hosts report need not survive; everything else must. */
static bool take_over_reports(const void *object, void *arg)
{
  const WsResource *resource = object;
  Model *m = arg;
  const WsResource *expected = g_hash_table_lookup(m->objects, key(resource->id));

  g_assert_true(expected && (ws_object_equal(resource->type, resource, expected) ||
                             ws_object_differs_only_volatile(resource->type, resource, expected)));
  g_hash_table_insert(m->objects, key(resource->id), ws_resource_ref(resource));
  return true;
}

static void reopen(Model *m)
{
  g_ptr_array_set_size(m->snapshots, 0);
  inv_rig_close(m->rig);
  inv_rig_open(m->rig);
  store_set_fault(m->rig->store, refuse_commit, m);
  g_autoptr(InvSnapshot) snap = inv_snapshot(m->rig->inv);
  for (guint i = 0; i < G_N_ELEMENTS(types); i++)
    inv_each(snap, types[i], take_over_reports, m);
  g_ptr_array_add(m->snapshots, g_steal_pointer(&snap));
}

static void run(gconstpointer seed)
{
  Model m = {.rig = inv_rig_new(false),
             .rand = g_rand_new_with_seed(GPOINTER_TO_UINT(seed)),
             .objects = table_new()};

  m.snapshots = g_ptr_array_new_with_free_func(unref_snapshot);
  reopen(&m);
  for (guint i = 1; i <= 600; i++) {
    m.shadow = m.objects; /* some_id() looks there */
    one_transaction(&m);
    m.shadow = m.objects;
    compare(&m);
    if (i % 100 == 0) {
      reopen(&m);
      compare(&m);
    } else if (i % 7 == 0) {
      if (m.snapshots->len > 5)
        g_ptr_array_remove_index(m.snapshots, 0);
      g_ptr_array_add(m.snapshots, inv_snapshot(m.rig->inv));
    }
  }
  g_test_message("%u changed, %u nothing, %u conflicts, %u not found, %u bad references, %u in use, %u "
                 "taken, %u read-only",
                 m.outcomes[OK], m.outcomes[NOTHING], m.outcomes[CONFLICT], m.outcomes[NOT_FOUND],
                 m.outcomes[BAD_REFERENCE], m.outcomes[IN_USE], m.outcomes[NAME_TAKEN],
                 m.outcomes[READ_ONLY]);
  for (guint i = 0; i < G_N_ELEMENTS(m.outcomes); i++)
    g_assert_cmpuint(m.outcomes[i], >, 0); /* the seed reaches everything */
  g_hash_table_destroy(m.objects);
  g_ptr_array_free(m.snapshots, TRUE);
  g_rand_free(m.rand);
  inv_rig_free(m.rig);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  for (guint seed = 1; seed <= 8; seed++) {
    g_autofree char *path = g_strdup_printf("/inventory/random/transactions_equal_the_model/%u", seed);
    inv_rig_add_data(path, GUINT_TO_POINTER(seed), run);
  }
  return g_test_run();
}
