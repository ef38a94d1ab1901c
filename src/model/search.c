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
    bool hidden = field->flags & (WS_FIELD_SECRET | WS_FIELD_INTERNAL);
    if (!hidden && ((field->flags & WS_FIELD_SEARCH) || (parts && make_plan(field->sub)->n > 0))) {
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

static bool begins(const char *text, const char *folded)
{
  g_autofree char *other = ws_text_fold(text);
  return g_str_has_prefix(other, folded);
}

static void look_at_text(WsSearchHit *hit, const WsField *field, const char *text, const char *folded)
{
  if (!text || !ws_text_contains(text, folded))
    return;
  bool name = strcmp(field->name, "name") == 0, first = begins(text, folded);
  WsSearchRank rank = first && strlen(text) == strlen(folded) ? WS_SEARCH_EXACT
                      : first                                 ? (name ? WS_SEARCH_NAME_BEGINS : WS_SEARCH_BEGINS)
                                                              : (name ? WS_SEARCH_NAME_HAS : WS_SEARCH_HAS);
  if (rank < hit->rank)
    *hit = (WsSearchHit){rank, field, text};
}

static void look(WsSearchHit *hit, const WsType *type, const void *object, const char *folded);

static void look_at_slot(WsSearchHit *hit, const WsField *field, WsKind kind, const void *slot, const char *folded)
{
  if (kind == WS_KIND_STRING) {
    look_at_text(hit, field, *(char *const *)slot, folded);
  } else if (kind == WS_KIND_OBJECT && *(void *const *)slot) {
    look(hit, field->sub, *(void *const *)slot, folded);
  } else if (kind == WS_KIND_MAP) {
    const WsMap *map = slot;
    for (guint i = 0; i < map->len; i++) {
      look_at_text(hit, field, map->items[i].key, folded);
      look_at_text(hit, field, map->items[i].value, folded);
    }
  } else if (kind == WS_KIND_ARRAY) {
    const WsArray *array = slot;
    gsize size = ws_kind_size(field->item_kind);
    for (guint i = 0; i < array->len; i++)
      look_at_slot(hit, field, field->item_kind, (const char *)array->items + i * size, folded);
  }
}

static void look(WsSearchHit *hit, const WsType *type, const void *object, const char *folded)
{
  const Plan *plan = plan_of(type);
  for (guint i = 0; i < plan->n; i++)
    look_at_slot(hit, plan->fields[i], plan->fields[i]->kind, ws_field_at(plan->fields[i], object), folded);
}

/* Most objects do not hold what is looked for anywhere, which is seen without a walk over their fields. */
static bool may_hold(const WsType *type, const void *object, const char *folded)
{
  const WsResource *resource = object;
  if (!ws_type_is_resource(type) || !resource->packed_bytes || resource->packed_folds)
    return true;
  return ws_texts_contain((const char *)object + resource->packed_texts, resource->packed_bytes - resource->packed_texts, folded,
                          strlen(folded));
}

WsSearchHit ws_object_search(const WsType *type, const void *object, const char *folded)
{
  WsSearchHit hit = {WS_SEARCH_NONE, NULL, NULL};
  if (!may_hold(type, object, folded))
    return hit;
  make_plans();
  look(&hit, type, object, folded);
  return hit;
}
