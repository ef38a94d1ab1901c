// SPDX-License-Identifier: Apache-2.0
/* Reading: one object, lists (of history: history_list.c). Answers from a snapshot; what may take longer than a millisecond goes to a worker.
 *
 * A list: `filter`, `sort`, `limit`, `cursor`, `fields`. The cursor holds the last object's sort values and id, so that it stays
 * good while objects come, go and change: the next page begins behind that place, wherever it is then. */
#include "base/log.h"
#include "center/api/call-private.h"
#include "center/api/cursor.h"
#include "center/api/history_list.h"
#include "center/api/page.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 100000
#define INLINE_MAX 200 /* objects looked at on the I/O thread itself */

static void answer_read_error(ApiCall *call, const GError *error)
{
  api_answer_error(call->http, call->request_id, call->lang, error, NULL);
}

/* ---- one object ---- */

static bool is_current(ApiCall *call, Revision revision)
{
  const char *seen = http_call_header(call->http, "if-none-match");
  g_autofree char *etag = g_strdup_printf("\"%" G_GUINT64_FORMAT "\"", revision);
  return seen && strstr(seen, etag);
}

static void answer_object(ApiCall *call, const WsType *type, const void *object)
{
  g_autoptr(GError) error = NULL;
  const WsResource *resource = object;
  const char *fields = http_call_query(call->http, "fields");
  g_autoptr(WsFieldSet) set = fields ? ws_field_set_parse(type, fields, &error) : NULL;
  if (error) {
    answer_read_error(call, error);
    return;
  }
  if (is_current(call, resource->revision)) {
    api_answer_json(call->http, call->request_id, 304, NULL, resource->revision, NULL);
    return;
  }
  GString *body = g_string_sized_new(2048);
  WsJsonWriter w = ws_json_writer(body);
  ws_object_write(type, object, WS_WRITE_CLIENT, set, &w);
  api_answer_json(call->http, call->request_id, 200, body, resource->revision, NULL);
}

static void answer_missing(ApiCall *call)
{
  g_autoptr(GError) error = NULL;
  char id[WS_ID_TEXT_MAX];
  ws_fail(&error, WS_ERROR_NOT_FOUND, "object", ws_id_format(call->route->type->prefix, call->target, id), NULL);
  answer_read_error(call, error);
}

static void read_history_object(void *arg)
{
  g_autoptr(ApiCall) call = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  if (!store_query_history(call->center->store, call->route->type, NULL, 0, call->target + 1, 1, found, &error))
    answer_read_error(call, error);
  else if (found->len && ((WsResource *)found->pdata[0])->id == call->target)
    answer_object(call, call->route->type, found->pdata[0]);
  else
    answer_missing(call);
}

void api_read_object(ApiCall *call)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  const WsType *type = call->route->type;
  if (type->flags & WS_TYPE_HISTORY) { /* not in memory: not to be looked for there */
    ws_workers_run(call->center->workers, NULL, read_history_object, call);
    return;
  }
  const void *object = inv_find(snap, type, call->target);
  if (object)
    answer_object(call, type, object);
  else
    answer_missing(call);
  api_call_free(call);
}

/* ---- lists ---- */

typedef struct {
  const WsType *type;
  InvSnapshot *snap;
  WsFilter *filter;
  WsSort *sort; /* NULL: by id */
  WsFieldSet *fields;
  void *after;  /* partial object: the place of the cursor; NULL: from the beginning */
  guint limit;
  guint total;  /* matching, before the cursor too */
  GPtrArray *page; /* borrowed from snap */
  bool more;
  bool unordered; /* they do not come by id */
} List;

static void list_clear(List *list)
{
  ws_filter_free(list->filter);
  ws_sort_free(list->sort);
  ws_field_set_free(list->fields);
  if (list->after)
    ws_object_free(list->type, list->after);
  g_clear_pointer(&list->page, g_ptr_array_unref);
  g_clear_pointer(&list->snap, inv_snapshot_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(List, list_clear)

bool api_read_limit(ApiCall *call, guint *limit, GError **error)
{
  const char *text = http_call_query(call->http, "limit");
  guint64 value = LIMIT_DEFAULT;
  if (text && !g_ascii_string_to_unsigned(text, 10, 1, LIMIT_MAX, &value, NULL))
    return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", "limit", "min", "1", "max", G_STRINGIFY(LIMIT_MAX), NULL);
  *limit = value;
  return true;
}

/* What is asked about what a reference leads to is for who may read that. */
static bool may_join(ApiCall *call, const WsFilter *filter, GError **error)
{
  const WsType *type;
  for (guint n = 0; ws_filter_join(filter, n, &type); n++)
    if (!api_identity_may_read(&call->identity, type))
      return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", "read", "object", type->plural, NULL);
  return true;
}

static bool list_parse(ApiCall *call, List *list, GError **error)
{
  const char *filter = http_call_query(call->http, "filter"), *sort = http_call_query(call->http, "sort");
  const char *fields = http_call_query(call->http, "fields"), *cursor = http_call_query(call->http, "cursor");
  const WsType *type = list->type = call->route->type;
  bool history = type->flags & WS_TYPE_HISTORY; /* what it refers to may be gone, or be otherwise by now */
  if (filter && !(list->filter = (history ? ws_filter_parse : ws_filter_parse_joined)(type, filter, error)))
    return false;
  if (list->filter && !may_join(call, list->filter, error))
    return false;
  if (sort && !(list->sort = ws_sort_parse(type, sort, error)))
    return false;
  if (fields && !(list->fields = ws_field_set_parse(type, fields, error)))
    return false;
  return api_read_limit(call, &list->limit, error) &&
         (!cursor || (list->after = cursor_parse(type, sort, filter, cursor, error)));
}

static int compare(const List *list, const void *a, const void *b)
{
  const WsResource *x = a, *y = b;
  if (list->sort)
    return ws_sort_compare(list->sort, a, b);
  return x->id < y->id ? -1 : x->id > y->id;
}

static int compare_pointers(const void *a, const void *b, void *arg)
{
  return compare(arg, *(void *const *)a, *(void *const *)b);
}

/* The page while it is gathered in a foreign order: a heap with the largest on top, so that a list of 10,000 costs one
 * comparison for most objects instead of a full sort. */
static void heap_sift_down(List *list, guint i)
{
  void **h = list->page->pdata;
  for (guint n = list->page->len;;) {
    guint child = 2 * i + 1;
    if (child + 1 < n && compare(list, h[child + 1], h[child]) > 0)
      child++;
    if (child >= n || compare(list, h[child], h[i]) <= 0)
      return;
    void *t = h[i];
    h[i] = h[child];
    h[child] = t;
    i = child;
  }
}

static void heap_add(List *list, const void *object)
{
  GPtrArray *page = list->page;
  if (page->len == list->limit) {
    list->more = true;
    if (compare(list, object, page->pdata[0]) < 0) {
      page->pdata[0] = (void *)object;
      heap_sift_down(list, 0);
    }
    return;
  }
  g_ptr_array_add(page, (void *)object);
  for (guint i = page->len - 1; i > 0 && compare(list, page->pdata[(i - 1) / 2], page->pdata[i]) < 0; i = (i - 1) / 2) {
    void *t = page->pdata[i];
    page->pdata[i] = page->pdata[(i - 1) / 2];
    page->pdata[(i - 1) / 2] = t;
  }
}

/* By id they come in order: the first `limit` behind the cursor are the page. */
static bool collect(const void *object, void *arg)
{
  List *list = arg;
  if (list->filter && !ws_filter_match(list->filter, object))
    return true;
  list->total++;
  if (list->after && compare(list, object, list->after) <= 0)
    return true;
  if (list->sort || list->unordered)
    heap_add(list, object);
  else if (list->page->len < list->limit)
    g_ptr_array_add(list->page, (void *)object);
  else
    list->more = true;
  return true;
}

static void each_that_may_match(const InvSnapshot *snap, const WsType *type, const WsFilter *filter,
                                InvEach func, void *arg)
{
  const WsField *field;
  WsId ref;
  const char *text;
  if (filter && ws_filter_index_hint(filter, &field, &ref, &text))
    inv_each_by(snap, type, field, ref, text, func, arg);
  else
    inv_each(snap, type, func, arg);
}

typedef struct {
  WsFilter *filter;
  guint n;
  const WsFilter *beyond;
} Join;

static bool add_joined(const void *object, void *arg)
{
  const Join *join = arg;
  if (ws_filter_match(join->beyond, object))
    ws_filter_join_add(join->filter, join->n, ((const WsResource *)object)->id);
  return true;
}

/* The VMs of a cluster are those of its hosts: some look-ups in an index, not a walk over all VMs. */
static void list_run(List *list)
{
  const WsField *field = NULL;
  const WsType *type;
  list->page = g_ptr_array_new();
  Join join = {.filter = list->filter};
  for (; join.filter && (join.beyond = ws_filter_join(join.filter, join.n, &type)); join.n++)
    each_that_may_match(list->snap, type, join.beyond, add_joined, &join);
  g_autoptr(GArray) ids = join.n ? ws_filter_join_hint(list->filter, &field) : NULL;
  list->unordered = ids != NULL;
  for (guint i = 0; ids && i < ids->len; i++)
    inv_each_by(list->snap, list->type, field, g_array_index(ids, WsId, i), NULL, collect, list);
  if (!ids)
    each_that_may_match(list->snap, list->type, list->filter, collect, list);
  if (list->sort || list->unordered)
    g_qsort_with_data(list->page->pdata, list->page->len, sizeof(void *), compare_pointers, list);
}

/* Takes what the list has gathered, and the call. */
static void answer_page(ApiCall *call, List *list)
{
  Page page = {.type = list->type, .total = list->total};
  if (list->more && list->page->len)
    page.next_cursor = cursor_format(list->type, http_call_query(call->http, "sort"), http_call_query(call->http, "filter"),
                                     list->page->pdata[list->page->len - 1]);
  page.revision = inv_snapshot_revision(list->snap);
  page.snap = g_steal_pointer(&list->snap);
  page.objects = g_steal_pointer(&list->page);
  page.fields = g_steal_pointer(&list->fields);
  page_answer(call, &page);
}

static void read_list(void *arg)
{
  ApiCall *call = arg;
  g_autoptr(GError) error = NULL;
  g_auto(List) list = {0};
  if (list_parse(call, &list, &error)) {
    list.snap = inv_snapshot(call->center->inventory);
    list_run(&list);
    answer_page(call, &list);
    return;
  }
  answer_read_error(call, error);
  api_call_free(call);
}

void api_read_list(ApiCall *call)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  const WsType *type = call->route->type;
  const char *filter = http_call_query(call->http, "filter");
  bool looks_inside = filter && strchr(filter, '.'); /* what is referred to may be many where these are few */
  if (type->flags & WS_TYPE_HISTORY)
    history_list(call);
  else if (!looks_inside && inv_count(snap, type) <= INLINE_MAX)
    read_list(call);
  else
    ws_workers_run(call->center->workers, NULL, read_list, call);
}
