// SPDX-License-Identifier: Apache-2.0
/* Roots: see root.h. Life, building, checks, reading. */
#include "inventory/root.h"
#include <string.h>

/* All of one type. Counted: roots that did not change the type share it. */
typedef struct {
  gint ref_count;
  guint n_indexes;
  Pmap objects; /* (id, 0) -> resource */
  Pmap index[]; /* sets of (value, id), as the plan orders them */
} Table;

struct InvSnapshot {
  gint ref_count;
  Revision revision;
  InvPlan *plan;
  Pmap referrers; /* (target id, referring id) -> WsType of the latter */
  Table *table[]; /* by type->index; NULL: history */
};

static void resource_ref(const void *resource)
{
  ws_resource_ref(resource);
}

static void resource_unref(const void *resource)
{
  ws_resource_unref((void *)resource);
}

static void keep_constant(const void *constant)
{
}

static const PmapValues resources = {resource_ref, resource_unref};
static const PmapValues ids = {NULL, NULL};
static const PmapValues constants = {keep_constant, keep_constant};

/* ---- life ---- */

static Table *table_alloc(guint n_indexes)
{
  Table *table = g_malloc0(sizeof(Table) + n_indexes * sizeof(Pmap));

  table->ref_count = 1;
  table->n_indexes = n_indexes;
  return table;
}

static Table *table_new(const InvTypePlan *plan)
{
  Table *table = table_alloc(plan->n_indexes);

  pmap_init(&table->objects, &resources);
  for (guint i = 0; i < table->n_indexes; i++)
    pmap_init(&table->index[i], &ids);
  return table;
}

static void table_unref(Table *table)
{
  if (!table || !g_atomic_int_dec_and_test(&table->ref_count))
    return;
  pmap_clear(&table->objects);
  for (guint i = 0; i < table->n_indexes; i++)
    pmap_clear(&table->index[i]);
  g_free(table);
}

/* The table of a root under construction, private to it. */
static Table *own_table(InvSnapshot *root, const WsType *type)
{
  Table *shared = root->table[type->index], *table;

  if (g_atomic_int_get(&shared->ref_count) == 1)
    return shared;
  table = table_alloc(shared->n_indexes);
  table->objects = pmap_copy(&shared->objects);
  for (guint i = 0; i < table->n_indexes; i++)
    table->index[i] = pmap_copy(&shared->index[i]);
  root->table[type->index] = table;
  table_unref(shared);
  return table;
}

static InvSnapshot *root_alloc(InvPlan *plan, Revision revision)
{
  InvSnapshot *root = g_malloc0(sizeof(InvSnapshot) + ws_n_resource_types * sizeof(Table *));

  root->ref_count = 1;
  root->revision = revision;
  root->plan = inv_plan_ref(plan);
  return root;
}

InvSnapshot *root_new(InvPlan *plan)
{
  InvSnapshot *root = root_alloc(plan, 0);

  pmap_init(&root->referrers, &constants);
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (plan->types[i].in_memory)
      root->table[i] = table_new(&plan->types[i]);
  return root;
}

InvSnapshot *root_edit(const InvSnapshot *from, Revision revision)
{
  InvSnapshot *root = root_alloc(from->plan, revision);

  root->referrers = pmap_copy(&from->referrers);
  for (guint i = 0; i < ws_n_resource_types; i++) {
    root->table[i] = from->table[i];
    if (root->table[i])
      g_atomic_int_inc(&root->table[i]->ref_count);
  }
  return root;
}

void root_set_revision(InvSnapshot *root, Revision revision)
{
  root->revision = revision;
}

InvSnapshot *inv_snapshot_ref(InvSnapshot *snap)
{
  g_atomic_int_inc(&snap->ref_count);
  return snap;
}

void inv_snapshot_unref(InvSnapshot *snap)
{
  if (!snap || !g_atomic_int_dec_and_test(&snap->ref_count))
    return;
  pmap_clear(&snap->referrers);
  for (guint i = 0; i < ws_n_resource_types; i++)
    table_unref(snap->table[i]);
  inv_plan_unref(snap->plan);
  g_free(snap);
}

/* ---- building ---- */

static GArray *scratch(gsize item_size)
{
  return g_array_sized_new(FALSE, FALSE, item_size, 8);
}

static bool holds(const GArray *values, guint64 value)
{
  for (guint i = 0; i < values->len; i++)
    if (g_array_index(values, guint64, i) == value)
      return true;
  return false;
}

static void update_scalar_index(const InvPlan *plan, Pmap *index, const WsField *field, WsId id,
                                const void *old_object, const void *new_object)
{
  guint64 before = 0, after = 0;
  bool was = old_object && inv_plan_scalar(plan, field, old_object, &before);
  bool is = new_object && inv_plan_scalar(plan, field, new_object, &after);

  if (was && is && before == after)
    return;
  if (was)
    pmap_remove(index, (PmapKey){before, id});
  if (is)
    pmap_put(index, (PmapKey){after, id}, NULL);
}

static void update_array_index(const InvPlan *plan, Pmap *index, const WsField *field, WsId id,
                               const void *old_object, const void *new_object)
{
  g_autoptr(GArray) before = scratch(sizeof(guint64)), after = scratch(sizeof(guint64));

  if (old_object)
    inv_plan_values(plan, field, old_object, before);
  if (new_object)
    inv_plan_values(plan, field, new_object, after);
  for (guint i = 0; i < before->len; i++) {
    guint64 value = g_array_index(before, guint64, i);
    if (!holds(after, value))
      pmap_remove(index, (PmapKey){value, id});
  }
  for (guint i = 0; i < after->len; i++) {
    guint64 value = g_array_index(after, guint64, i);
    if (!holds(before, value))
      pmap_put(index, (PmapKey){value, id}, NULL);
  }
}

/* References of one version that the other lacks, both sorted by id. */
typedef struct {
  const GArray *of, *other;
  guint i, k;
  bool all; /* not only those kept among the referrers */
} RefDiff;

static const InvRef *next_ref(RefDiff *diff)
{
  while (diff->i < diff->of->len) {
    const InvRef *ref = &g_array_index(diff->of, InvRef, diff->i++);
    bool in_other = false;
    while (diff->k < diff->other->len && g_array_index(diff->other, InvRef, diff->k).id < ref->id)
      diff->k++;
    for (guint k = diff->k; k < diff->other->len && g_array_index(diff->other, InvRef, k).id == ref->id; k++)
      in_other |= diff->all || g_array_index(diff->other, InvRef, k).kept;
    if (!in_other && (diff->all || ref->kept))
      return ref;
  }
  return NULL;
}

static void update_referrers(InvSnapshot *root, const WsType *type, WsId id, const void *old_object,
                             const void *new_object)
{
  g_autoptr(GArray) before = scratch(sizeof(InvRef)), after = scratch(sizeof(InvRef));
  RefDiff gone = {before, after, 0, 0, false}, added = {after, before, 0, 0, false};

  if (!root->plan->types[type->index].has_refs)
    return;
  inv_plan_refs(root->plan, type, old_object, before);
  inv_plan_refs(root->plan, type, new_object, after);
  for (const InvRef *ref; (ref = next_ref(&gone));)
    pmap_remove(&root->referrers, (PmapKey){ref->id, id});
  for (const InvRef *ref; (ref = next_ref(&added));)
    pmap_put(&root->referrers, (PmapKey){ref->id, id}, type);
}

void root_put(InvSnapshot *root, const WsType *type, WsId id, const void *old_object, const void *new_object)
{
  const InvTypePlan *plan = &root->plan->types[type->index];
  Table *table = own_table(root, type);

  if (new_object)
    pmap_put(&table->objects, (PmapKey){id, 0}, new_object);
  else
    pmap_remove(&table->objects, (PmapKey){id, 0});
  for (guint i = 0; i < plan->n_indexes; i++) {
    const WsField *field = plan->indexes[i];
    (field->kind == WS_KIND_ARRAY ? update_array_index : update_scalar_index)(
        root->plan, &table->index[i], field, id, old_object, new_object);
  }
  update_referrers(root, type, id, old_object, new_object);
}

/* ---- checks ---- */

char *inv_object_text(const WsType *type, WsId id)
{
  char text[WS_ID_TEXT_MAX];

  return g_strdup(ws_id_format(type->prefix, id, text));
}

/* Another object than `id` whose field has the value. */
static bool taken_by_another(const InvSnapshot *root, const WsType *type, guint index, const WsField *field,
                             WsId id, guint64 value, const char *text)
{
  const Table *table = root->table[type->index];
  PmapIter iter;
  PmapKey key;

  pmap_iter_init(&iter, &table->index[index], (PmapKey){value, 0});
  while (pmap_iter_next(&iter, &key, NULL) && key.hi == value)
    if (key.lo != id && inv_plan_has_text(field, pmap_get(&table->objects, (PmapKey){key.lo, 0}), text))
      return true;
  return false;
}

static bool check_unique(const InvSnapshot *root, const WsType *type, guint index, const WsField *field,
                         const void *object, GError **error)
{
  g_autoptr(GArray) values = scratch(sizeof(guint64));
  const char *text = field->kind == WS_KIND_STRING ? *(char *const *)ws_field_at(field, object) : NULL;
  WsId id = ((const WsResource *)object)->id;

  inv_plan_values(root->plan, field, object, values);
  for (guint i = 0; i < values->len; i++)
    if (taken_by_another(root, type, index, field, id, g_array_index(values, guint64, i), text))
      return ws_fail(error, WS_ERROR_NAME_TAKEN, "name",
                     field->flags & (WS_FIELD_SECRET | WS_FIELD_INTERNAL) ? NULL : text, "field", field->name,
                     NULL);
  return true;
}

static bool check_refs(const InvSnapshot *root, const WsType *type, const void *old_object,
                       const void *new_object, GError **error)
{
  g_autoptr(GArray) before = scratch(sizeof(InvRef)), after = scratch(sizeof(InvRef));
  RefDiff added = {after, before, 0, 0, true};

  inv_plan_refs(root->plan, type, old_object, before);
  inv_plan_refs(root->plan, type, new_object, after);
  for (const InvRef *ref; (ref = next_ref(&added));)
    if (!inv_find(root, ref->target, ref->id)) {
      g_autofree char *object = inv_object_text(ref->target, ref->id);
      g_autofree char *path = inv_plan_ref_path(root->plan, type, new_object, ref->nth);
      return ws_fail(error, WS_ERROR_BAD_REFERENCE, "object", object, "field", path, NULL);
    }
  return true;
}

bool root_check_put(const InvSnapshot *root, const WsType *type, const void *old_object,
                    const void *new_object, GError **error)
{
  const InvTypePlan *plan = &root->plan->types[type->index];

  for (guint i = 0; i < plan->n_indexes; i++)
    if ((plan->indexes[i]->flags & WS_FIELD_UNIQUE) &&
        !check_unique(root, type, i, plan->indexes[i], new_object, error))
      return false;
  return check_refs(root, type, old_object, new_object, error);
}

static bool fail_in_use(const WsType *type, WsId id, const WsType *by, WsId user_id, GError **error)
{
  g_autofree char *object = inv_object_text(type, id), *user = inv_object_text(by, user_id);

  return ws_fail(error, WS_ERROR_IN_USE, "object", object, "user", user, NULL);
}

bool root_check_removed(const InvSnapshot *root, const WsType *type, WsId id, GError **error)
{
  const InvTypePlan *plan = &root->plan->types[type->index];
  const void *by;
  PmapIter iter;
  PmapKey key;

  for (guint i = 0; i < plan->n_incoming; i++) {
    const InvIncoming *in = &plan->incoming[i];
    pmap_iter_init(&iter, &root->table[in->from->index]->index[in->index], (PmapKey){id, 0});
    if (pmap_iter_next(&iter, &key, NULL) && key.hi == id)
      return fail_in_use(type, id, in->from, key.lo, error);
  }
  pmap_iter_init(&iter, &root->referrers, (PmapKey){id, 0});
  if (pmap_iter_next(&iter, &key, &by) && key.hi == id)
    return fail_in_use(type, id, by, key.lo, error);
  return true;
}

/* ---- reading ---- */

static const Table *table_of(const InvSnapshot *snap, const WsType *type)
{
  const Table *table = type->index < ws_n_resource_types ? snap->table[type->index] : NULL;

  g_assert(table && ws_resource_types[type->index] == type); /* history is not in memory */
  return table;
}

Revision inv_snapshot_revision(const InvSnapshot *snap)
{
  return snap->revision;
}

const void *inv_find(const InvSnapshot *snap, const WsType *type, WsId id)
{
  return pmap_get(&table_of(snap, type)->objects, (PmapKey){id, 0});
}

guint inv_count(const InvSnapshot *snap, const WsType *type)
{
  return (guint)table_of(snap, type)->objects.count;
}

void inv_each_referrer(const InvSnapshot *snap, const WsType *type, WsId target, InvEach func, void *arg)
{
  const void *by;
  PmapIter iter;
  PmapKey key;

  pmap_iter_init(&iter, &snap->referrers, (PmapKey){target, 0});
  while (pmap_iter_next(&iter, &key, &by) && key.hi == target)
    if (by == type && !func(inv_find(snap, type, key.lo), arg))
      return;
}

/* Of each object the beginning is read, and what stands behind its struct: the name, and what else is searched (model/pack.c). Asked for
 * early enough, they come from memory while the objects before are looked at. */
static inline void fetch_ahead(const PmapIter *iter, const WsType *type)
{
  enum { AHEAD = 8, LINE = 64, TEXT_LINES = 3 };
  const char *object = pmap_iter_ahead(iter, AHEAD);

  if (!object)
    return;
  __builtin_prefetch(object);
  for (gsize line = 0; line < TEXT_LINES; line++)
    __builtin_prefetch(object + type->size + line * LINE);
}

void inv_each(const InvSnapshot *snap, const WsType *type, InvEach func, void *arg)
{
  PmapIter iter;
  PmapKey key;
  const void *object;

  pmap_iter_init(&iter, &table_of(snap, type)->objects, (PmapKey){0, 0});
  while (pmap_iter_next(&iter, &key, &object)) {
    fetch_ahead(&iter, type);
    if (!func(object, arg))
      break;
  }
}

void inv_each_by(const InvSnapshot *snap, const WsType *type, const WsField *field, WsId ref,
                 const char *text, InvEach func, void *arg)
{
  const Table *table = table_of(snap, type);
  const Pmap *index = &table->index[inv_plan_index(snap->plan, type, field)];
  guint64 value;
  PmapIter iter;
  PmapKey key;

  if (!inv_plan_value(snap->plan, field, ref, text, &value))
    return;
  pmap_iter_init(&iter, index, (PmapKey){value, 0});
  while (pmap_iter_next(&iter, &key, NULL) && key.hi == value) {
    const void *object = pmap_get(&table->objects, (PmapKey){key.lo, 0});
    if (inv_plan_has_text(field, object, text) && !func(object, arg))
      return;
  }
}

static bool keep_first(const void *object, void *arg)
{
  *(const void **)arg = object;
  return false;
}

const void *inv_find_by(const InvSnapshot *snap, const WsType *type, const char *field_name, WsId ref,
                        const char *text)
{
  const WsField *field = ws_type_field(type, field_name, strlen(field_name));
  const void *first = NULL;

  g_assert(field);
  inv_each_by(snap, type, field, ref, text, keep_first, &first);
  return first;
}

/* ---- measuring ---- */

gsize root_measure(const InvSnapshot *root)
{
  gsize bytes = pmap_measure(&root->referrers);

  for (guint i = 0; i < ws_n_resource_types; i++) {
    const Table *table = root->table[i];
    if (!table)
      continue;
    bytes += pmap_measure(&table->objects);
    for (guint k = 0; k < table->n_indexes; k++)
      bytes += pmap_measure(&table->index[k]);
  }
  return bytes;
}
