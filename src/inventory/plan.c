// SPDX-License-Identifier: Apache-2.0
/* The plan: see plan.h. First how it is made, then index values, then the walk over references. */
#include "inventory/plan.h"
#include <string.h>

typedef struct {
  const WsField *field;
  InvRefPlan *part; /* of an OBJECT or an ARRAY of them; NULL: the field is a REF or an ARRAY of them */
  bool kept;
} RefStep;

/* Parts may contain each other, so plans of parts are a graph, owned by the hash table. */
struct InvRefPlan {
  guint n;
  RefStep *steps;
};

/* ---- making ---- */

static guint8 kind_of_value(const WsField *field)
{
  return field->kind == WS_KIND_ARRAY ? field->item_kind : field->kind;
}

static bool is_indexed(const WsField *field)
{
  guint8 kind = kind_of_value(field);

  return (field->flags & (WS_FIELD_INDEXED | WS_FIELD_UNIQUE)) != 0 &&
         (kind == WS_KIND_REF || kind == WS_KIND_ANYREF || kind == WS_KIND_STRING || kind == WS_KIND_ENUM);
}

static bool is_checked_ref(const WsField *field)
{
  return kind_of_value(field) == WS_KIND_REF && field->sub && !(field->sub->flags & WS_TYPE_HISTORY);
}

static InvRefPlan *plan_refs(InvPlan *plan, const WsType *type)
{
  InvRefPlan *refs = g_hash_table_lookup(plan->ref_plans, type);

  if (refs)
    return refs;
  refs = g_new0(InvRefPlan, 1);
  refs->steps = g_new0(RefStep, type->n_fields);
  g_hash_table_insert(plan->ref_plans, (gpointer)type, refs);
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    bool indexed = (type->flags & WS_TYPE_RESOURCE) && is_indexed(field);
    RefStep step = {.field = field, .kept = !indexed && !(field->flags & WS_FIELD_WEAK)};
    if (kind_of_value(field) == WS_KIND_OBJECT)
      step.part = plan_refs(plan, field->sub);
    else if (!is_checked_ref(field))
      continue;
    refs->steps[refs->n++] = step;
  }
  return refs;
}

static void plan_type(InvPlan *plan, const WsType *type)
{
  InvTypePlan *t = &plan->types[type->index];

  t->type = type;
  t->in_memory = !(type->flags & WS_TYPE_HISTORY);
  t->indexes = g_new0(const WsField *, type->n_fields);
  for (guint i = 0; t->in_memory && i < type->n_fields; i++)
    if (is_indexed(&type->fields[i]))
      t->indexes[t->n_indexes++] = &type->fields[i];
  t->refs = plan_refs(plan, type);
  t->has_refs = t->refs->n > 0;
}

static void plan_incoming(InvPlan *plan, const InvTypePlan *from)
{
  for (guint i = 0; i < from->n_indexes; i++) {
    InvTypePlan *to;
    if (!is_checked_ref(from->indexes[i]) || (from->indexes[i]->flags & WS_FIELD_WEAK))
      continue;
    to = &plan->types[from->indexes[i]->sub->index];
    to->incoming = g_renew(InvIncoming, to->incoming, to->n_incoming + 1);
    to->incoming[to->n_incoming++] = (InvIncoming){from->type, i};
  }
}

static void free_ref_plan(gpointer arg)
{
  InvRefPlan *refs = arg;

  g_free(refs->steps);
  g_free(refs);
}

InvPlan *inv_plan_new(WsClock *clock)
{
  InvPlan *plan = g_new0(InvPlan, 1);

  plan->ref_count = 1;
  clock->random_bytes(clock, plan->seed, sizeof plan->seed);
  plan->seed[1] |= 1;
  plan->types = g_new0(InvTypePlan, ws_n_resource_types);
  plan->ref_plans = g_hash_table_new_full(NULL, NULL, NULL, free_ref_plan);
  for (guint i = 0; i < ws_n_resource_types; i++) {
    g_assert(ws_resource_types[i]->index == i);
    plan_type(plan, ws_resource_types[i]);
  }
  for (guint i = 0; i < ws_n_resource_types; i++)
    plan_incoming(plan, &plan->types[i]);
  return plan;
}

InvPlan *inv_plan_ref(InvPlan *plan)
{
  g_atomic_int_inc(&plan->ref_count);
  return plan;
}

void inv_plan_unref(InvPlan *plan)
{
  if (!g_atomic_int_dec_and_test(&plan->ref_count))
    return;
  for (guint i = 0; i < ws_n_resource_types; i++) {
    g_free(plan->types[i].indexes);
    g_free(plan->types[i].incoming);
  }
  g_free(plan->types);
  g_hash_table_destroy(plan->ref_plans);
  g_free(plan);
}

guint inv_plan_index(const InvPlan *plan, const WsType *type, const WsField *field)
{
  const InvTypePlan *t = &plan->types[type->index];

  for (guint i = 0; i < t->n_indexes; i++)
    if (t->indexes[i] == field)
      return i;
  g_error("inventory: %s.%s is not indexed", type->name, field->name);
}

/* ---- index values ---- */

static inline guint64 fold(guint64 a, guint64 b)
{
  unsigned __int128 product = (unsigned __int128)a * b;

  return (guint64)product ^ (guint64)(product >> 64);
}

/* A multiply-and-fold hash keyed by the seed. It only has to be quick and not to be steered from outside. */
static guint64 hash_text(const InvPlan *plan, const char *text)
{
  gsize n = strlen(text);
  guint64 h = plan->seed[0] ^ n, word;

  for (; n >= sizeof word; n -= sizeof word, text += sizeof word) {
    memcpy(&word, text, sizeof word);
    h = fold(h ^ word, plan->seed[1]) + plan->seed[0];
  }
  word = 0;
  memcpy(&word, text, n);
  return fold(h ^ word, plan->seed[1]);
}

/* false: absent. */
static bool value_at(const InvPlan *plan, guint8 kind, const void *at, guint64 *value)
{
  const char *text;

  switch ((WsKind)kind) {
  case WS_KIND_REF:
    *value = *(const WsId *)at;
    return *value != 0;
  case WS_KIND_ANYREF:
    *value = ((const WsAnyRef *)at)->id;
    return *value != 0;
  case WS_KIND_ENUM:
    *value = (guint64) * (const int *)at;
    return *value != 0;
  case WS_KIND_STRING:
    text = *(char *const *)at;
    *value = text ? hash_text(plan, text) : 0;
    return text != NULL;
  default:
    g_assert_not_reached();
  }
}

static gsize item_bytes(guint8 kind, const WsType *part)
{
  switch ((WsKind)kind) {
  case WS_KIND_REF:
    return sizeof(WsId);
  case WS_KIND_ANYREF:
    return sizeof(WsAnyRef);
  case WS_KIND_ENUM:
    return sizeof(int);
  case WS_KIND_STRING:
  case WS_KIND_OBJECT:
    return sizeof(void *);
  default:
    g_assert_not_reached();
  }
}

void inv_plan_values(const InvPlan *plan, const WsField *field, const void *object, GArray *values)
{
  const void *at = ws_field_at(field, object);
  const WsArray *array = at;
  guint64 value;

  if (field->kind != WS_KIND_ARRAY) {
    if (value_at(plan, field->kind, at, &value))
      g_array_append_val(values, value);
    return;
  }
  for (guint i = 0; i < array->len; i++)
    if (value_at(plan, field->item_kind, (char *)array->items + i * item_bytes(field->item_kind, NULL),
                 &value))
      g_array_append_val(values, value);
}

bool inv_plan_scalar(const InvPlan *plan, const WsField *field, const void *object, guint64 *value)
{
  return value_at(plan, field->kind, ws_field_at(field, object), value);
}

bool inv_plan_value(const InvPlan *plan, const WsField *field, WsId ref, const char *text, guint64 *value)
{
  *value = 0;
  switch ((WsKind)kind_of_value(field)) {
  case WS_KIND_REF:
  case WS_KIND_ANYREF:
    *value = ref;
    return ref != 0;
  case WS_KIND_STRING:
    *value = text ? hash_text(plan, text) : 0;
    return text != NULL;
  case WS_KIND_ENUM:
    for (guint i = 0; text && field->names[i]; i++)
      if (strcmp(field->names[i], text) == 0) {
        *value = i + 1;
        return true;
      }
    return false;
  default:
    g_assert_not_reached();
  }
}

bool inv_plan_has_text(const WsField *field, const void *object, const char *text)
{
  const void *at = ws_field_at(field, object);
  const WsArray *array = at;

  if (kind_of_value(field) != WS_KIND_STRING)
    return true;
  if (field->kind == WS_KIND_STRING)
    return g_strcmp0(*(char *const *)at, text) == 0;
  for (guint i = 0; i < array->len; i++)
    if (g_strcmp0(((char *const *)array->items)[i], text) == 0)
      return true;
  return false;
}

/* ---- references ---- */

/* One walk serves collecting and, seldom, telling where the nth reference is. */
typedef struct {
  GArray *found; /* InvRef, or NULL */
  guint n;       /* seen so far */
  guint wanted;  /* the one whose path is asked for */
  GString *path; /* of where the walk is, or NULL */
  char *answer;
} RefWalk;

static void walk_refs(const InvRefPlan *refs, const void *object, RefWalk *walk);

static void visit(const RefStep *step, const void *at, RefWalk *walk)
{
  WsId id;

  if (step->part) {
    const void *part = *(void *const *)at;
    if (part)
      walk_refs(step->part, part, walk);
    return;
  }
  id = *(const WsId *)at;
  if (id == 0)
    return;
  if (walk->found) {
    InvRef ref = {id, step->field->sub, walk->n, step->kept};
    g_array_append_val(walk->found, ref);
  }
  if (walk->path && walk->n == walk->wanted)
    walk->answer = g_strdup(walk->path->str);
  walk->n++;
}

static void walk_refs(const InvRefPlan *refs, const void *object, RefWalk *walk)
{
  for (guint i = 0; i < refs->n; i++) {
    const RefStep *step = &refs->steps[i];
    const void *at = ws_field_at(step->field, object);
    const WsArray *array = at;
    gsize length = walk->path ? walk->path->len : 0;

    if (walk->path)
      g_string_append_printf(walk->path, "%s%s", length > 0 ? "." : "", step->field->name);
    if (step->field->kind != WS_KIND_ARRAY) {
      visit(step, at, walk);
    } else {
      gsize size = item_bytes(step->field->item_kind, step->field->sub);
      gsize name_end = walk->path ? walk->path->len : 0;
      for (guint k = 0; k < array->len; k++) {
        if (walk->path) {
          g_string_truncate(walk->path, name_end);
          g_string_append_printf(walk->path, "[%u]", k);
        }
        visit(step, (char *)array->items + k * size, walk);
      }
    }
    if (walk->path)
      g_string_truncate(walk->path, length);
  }
}

static gint compare_refs(gconstpointer a, gconstpointer b)
{
  const InvRef *x = a, *y = b;

  if (x->id != y->id)
    return x->id < y->id ? -1 : 1;
  return x->nth < y->nth ? -1 : 1;
}

void inv_plan_refs(const InvPlan *plan, const WsType *type, const void *object, GArray *refs)
{
  RefWalk walk = {.found = refs};

  if (!object)
    return;
  walk_refs(plan->types[type->index].refs, object, &walk);
  if (refs->len > 1)
    g_array_sort(refs, compare_refs);
}

char *inv_plan_ref_path(const InvPlan *plan, const WsType *type, const void *object, guint nth)
{
  g_autoptr(GString) path = g_string_new(NULL);
  RefWalk walk = {.wanted = nth, .path = path};

  walk_refs(plan->types[type->index].refs, object, &walk);
  return walk.answer;
}
