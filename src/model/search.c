// SPDX-License-Identifier: Apache-2.0
/* Looking for a text in the fields that the contract marks x-search. See type.h.
 *
 * Types are walked once: which of their fields are searched, or lead to one that is, is remembered, so that a host's hundreds of PCI devices
 * cost nothing. */
#include "model/type-private.h"

/* ---- which fields ---- */

typedef struct {
  guint n;
  const WsField *fields[64]; /* searched, or leading there */
} Plan;

static GHashTable *plans; /* WsType -> Plan; filled once, for all types */

static const Plan *plan_of(const WsType *type)
{
  return g_hash_table_lookup(plans, type);
}

static const Plan *make_plan(const WsType *type)
{
  Plan *plan = g_hash_table_lookup(plans, type);
  if (plan)
    return plan;
  plan = g_new0(Plan, 1);
  g_hash_table_insert(plans, (gpointer)type, plan); /* first, so that a type that holds itself ends */
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    bool parts = field->kind == WS_KIND_OBJECT || (field->kind == WS_KIND_ARRAY && field->item_kind == WS_KIND_OBJECT);
    if (ws_field_is_searched(field) || (parts && !ws_field_is_hidden(field) && make_plan(field->sub)->n > 0)) {
      g_assert(plan->n < G_N_ELEMENTS(plan->fields));
      plan->fields[plan->n++] = field;
    }
  }
  return plan;
}

static void make_plans(void)
{
  static gsize once;
  if (!g_once_init_enter(&once))
    return;
  plans = g_hash_table_new(NULL, NULL);
  for (guint i = 0; i < ws_n_all_types; i++)
    make_plan(ws_all_types[i]);
  g_once_init_leave(&once, 1);
}

/* ---- looking ---- */

typedef struct {
  const char *folded;
  gsize n;    /* its bytes */
  bool plain; /* folding of the object's texts changes A-Z alone, as is known before they are looked at */
  WsSearchHit hit;
} Look;

static bool begins(const Look *look, const char *text)
{
  if (look->plain)
    return ws_text_begins(text, look->folded);
  g_autofree char *other = ws_text_fold(text);
  return g_str_has_prefix(other, look->folded);
}

static bool contains(const Look *look, const char *text)
{
  return look->plain ? ws_texts_contain(text, strlen(text), look->folded, look->n) : ws_text_contains(text, look->folded);
}

static void look_at_text(Look *look, const WsField *field, const char *text)
{
  if (!text || look->hit.rank == WS_SEARCH_EXACT)
    return;
  bool name = strcmp(field->name, "name") == 0, first = begins(look, text);
  WsSearchRank rank = first && strlen(text) == look->n ? WS_SEARCH_EXACT
                      : first                          ? (name ? WS_SEARCH_NAME_BEGINS : WS_SEARCH_BEGINS)
                                                       : (name ? WS_SEARCH_NAME_HAS : WS_SEARCH_HAS);
  if (rank < look->hit.rank && (first || contains(look, text)))
    look->hit = (WsSearchHit){rank, field, text};
}

static void look_at(Look *look, const WsType *type, const void *object);

static void look_at_slot(Look *look, const WsField *field, WsKind kind, const void *slot)
{
  if (kind == WS_KIND_STRING) {
    look_at_text(look, field, *(char *const *)slot);
  } else if (kind == WS_KIND_OBJECT && *(void *const *)slot) {
    look_at(look, field->sub, *(void *const *)slot);
  } else if (kind == WS_KIND_MAP) {
    const WsMap *map = slot;
    for (guint i = 0; i < map->len; i++) {
      look_at_text(look, field, map->items[i].key);
      look_at_text(look, field, map->items[i].value);
    }
  } else if (kind == WS_KIND_ARRAY) {
    const WsArray *array = slot;
    gsize size = ws_kind_size(field->item_kind);
    for (guint i = 0; i < array->len; i++)
      look_at_slot(look, field, field->item_kind, (const char *)array->items + i * size);
  }
}

static void look_at(Look *look, const WsType *type, const void *object)
{
  const Plan *plan = plan_of(type);
  for (guint i = 0; i < plan->n; i++)
    look_at_slot(look, plan->fields[i], plan->fields[i]->kind, ws_field_at(plan->fields[i], object));
}

/* Its searched texts lie together, to be looked at without a walk over its fields. */
static bool is_plain(const WsType *type, const void *object)
{
  const WsResource *resource = object;
  return ws_type_is_resource(type) && resource->packed_bytes && !resource->packed_folds;
}

static bool texts_hold(const WsType *type, const void *object, const char *folded, gsize n)
{
  gsize from = ws_packed_searched_from(type);
  return ws_texts_contain((const char *)object + from, ((const WsResource *)object)->packed_searched - from, folded, n);
}

WsSearchHit ws_object_search(const WsType *type, const void *object, const char *folded)
{
  Look look = {folded, strlen(folded), is_plain(type, object), {WS_SEARCH_NONE, NULL, NULL}};
  if (look.plain && !texts_hold(type, object, folded, look.n))
    return look.hit;
  make_plans();
  look_at(&look, type, object);
  return look.hit;
}

bool ws_object_holds(const WsType *type, const void *object, const char *folded)
{
  return is_plain(type, object) ? texts_hold(type, object, folded, strlen(folded)) : ws_object_search(type, object, folded).rank != WS_SEARCH_NONE;
}
