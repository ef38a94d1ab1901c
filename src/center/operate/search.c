// SPDX-License-Identifier: Apache-2.0
/* Search over everything: one walk over all objects that the caller may read, on a worker. The best hits are kept in a list that never grows
 * beyond what is asked for. */
#include "center/api/view.h"
#include "center/verbs.h"
#include "model/texts.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MAX     1000

typedef struct {
  const WsResource *object;
  WsSearchHit hit;
} Found;

typedef struct {
  const char *folded;
  const WsType *type;
  WsId id; /* what is looked for reads as the id of one of them; 0: it does not */
  GArray *best; /* Found, best first */
  guint limit;
  gint64 total;
} Search;

static const char *name_of(const WsType *type, const void *object)
{
  const WsField *field = ws_type_field(type, "name", 4);
  return field && field->kind == WS_KIND_STRING ? *(char *const *)ws_field_at(field, object) : NULL;
}

static void keep(Search *search, const Found *found)
{
  guint at = search->best->len;
  while (at > 0 && g_array_index(search->best, Found, at - 1).hit.rank > found->hit.rank)
    at--;
  if (at >= search->limit)
    return;
  g_array_insert_val(search->best, at, *found);
  if (search->best->len > search->limit)
    g_array_set_size(search->best, search->limit);
}

/* Nothing that comes now can be better than the worst of what is kept, so that it is only counted. */
static bool is_settled(const Search *search)
{
  return search->best->len == search->limit && g_array_index(search->best, Found, search->limit - 1).hit.rank == WS_SEARCH_EXACT;
}

static bool look_at(const void *object, void *arg)
{
  Search *search = arg;
  Found found = {.object = object};
  if (is_settled(search)) {
    search->total += found.object->id == search->id || ws_object_holds(search->type, object, search->folded);
    return true;
  }
  found.hit = ws_object_search(search->type, object, search->folded);
  if (found.object->id == search->id)
    found.hit = (WsSearchHit){WS_SEARCH_EXACT, NULL, NULL};
  if (found.hit.rank == WS_SEARCH_NONE)
    return true;
  search->total++;
  keep(search, &found);
  return true;
}

static bool is_wanted(char **types, const WsType *type)
{
  return !types || g_strv_contains((const char *const *)types, type->plural);
}

static bool check_types(char **types, GError **error)
{
  for (char **name = types; name && *name; name++)
    if (!ws_type_by_plural(*name))
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "types", "expected", "plural names of types, such as vms,hosts", NULL);
  return true;
}

static WsSearchMatch *part_of(const Found *found)
{
  const WsType *type = found->object->type;
  WsSearchMatch *part = ws_search_match_new();
  char id[WS_ID_TEXT_MAX];
  part->object = (WsAnyRef){type, found->object->id};
  part->kind = g_strdup(type->plural);
  part->name = g_strdup(name_of(type, found->object));
  part->field = g_strdup(found->hit.field ? found->hit.field->name : "id");
  part->value = g_strdup(found->hit.field ? found->hit.value : ws_id_format(type->prefix, found->object->id, id));
  return part;
}

bool search_everything(const ApiView *view, void **result, GError **error)
{
  const char *q = api_view_query(view, "q"), *list = api_view_query(view, "types");
  gint64 limit;
  if (!q || !*q)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "q", NULL);
  if (strlen(q) > 255 || !g_utf8_validate(q, -1, NULL))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "q", "expected", "a text of at most 255 bytes", NULL);
  g_auto(GStrv) types = list ? g_strsplit(list, ",", -1) : NULL;
  if (!check_types(types, error) || !api_view_query_int(view, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &limit, error))
    return false;
  g_autofree char *folded = ws_text_fold(q);
  Search search = {.folded = folded, .best = g_array_new(FALSE, FALSE, sizeof(Found)), .limit = (guint)limit};
  for (guint i = 0; i < ws_n_resource_types; i++) {
    search.type = ws_resource_types[i];
    if (!ws_id_parse(search.type->prefix, folded, &search.id))
      search.id = 0;
    if (!(search.type->flags & WS_TYPE_HISTORY) && is_wanted(types, search.type) && api_view_may_read(view, search.type))
      inv_each(view->snap, search.type, look_at, &search);
  }
  WsSearchResult *answer = ws_search_result_new();
  for (guint i = 0; i < search.best->len; i++)
    ws_array_add(&answer->items, part_of(&g_array_index(search.best, Found, i)));
  answer->total = search.total;
  g_array_unref(search.best);
  *result = answer;
  return true;
}
