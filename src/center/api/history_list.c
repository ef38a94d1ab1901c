// SPDX-License-Identifier: Apache-2.0
/* See history_list.h.
 *
 * The page is of one revision: records that become durable while it is read belong to whoever watches from
 * there on. */
#include "center/api/history_list.h"
#include "center/api/cursor.h"
#include "center/api/page.h"
#include <string.h>

#define PAGE_MAX  10000 /* records of a page are in memory all at once */
#define PIECE     2000  /* records read at a turn; then others who wait for a worker have theirs */
#define WHERE_MAX 4     /* what is equal beyond that is seen record by record, as everything else */

typedef struct {
  ApiCall *call;
  const WsType *type;
  WsFilter *filter; /* NULL: all */
  WsFieldSet *fields;
  const char *order; /* "time", "-time", "id", "-id"; NULL: as "-id", the cursor does not name it */
  StoreWhere where[WHERE_MAX];
  StoreQuery query;
  guint limit;
  bool goes_on; /* the first piece, which is no longer than the page, was not enough */
  Revision revision;
  GPtrArray *page; /* one record more than the limit: there are more */
} History;

static void history_free(History *h)
{
  ws_filter_free(h->filter);
  ws_field_set_free(h->fields);
  if (h->page)
    g_ptr_array_unref(h->page);
  api_call_free(h->call);
  g_free(h);
}

/* ---- what is asked for ---- */

static bool is_pushed(const WsType *type, const char *path, const char *op, const char *value)
{
  const WsField *field = ws_type_field(type, path, strlen(path));
  return field && field->flags & WS_FIELD_INDEXED &&
         (field->kind == WS_KIND_STRING || field->kind == WS_KIND_ENUM) && strcmp(op, "=") == 0 && *value;
}

static void push_filter(History *h)
{
  for (guint i = 0; i < ws_filter_n_terms(h->filter) && h->query.n_where < WHERE_MAX; i++) {
    const char *path, *op, *value;
    ws_filter_nth_term(h->filter, i, &path, &op, &value);
    if (is_pushed(h->type, path, op, value))
      h->where[h->query.n_where++] = (StoreWhere){path, value};
  }
  ws_filter_time_range(h->filter, "time", &h->query.from_us, &h->query.until_us);
  h->query.from = h->query.from_us != G_MININT64;
  h->query.until = h->query.until_us != G_MAXINT64;
}

/* A range of time is read along the index of times, so it is also the order. */
static bool choose_order(History *h, const char *sort, GError **error)
{
  static const char *const orders[] = {"id", "-id", "time", "-time", NULL};
  g_autoptr(WsSort) known = sort ? ws_sort_parse(h->type, sort, error) : NULL;
  if (sort && !known)
    return false;
  if (sort && !g_strv_contains(orders, sort))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "sort", "expected",
                   "id, -id, time or -time: history is read in one of these orders", NULL);
  h->order = sort ? sort : h->query.from || h->query.until ? "-time" : NULL;
  h->query.by_time = h->order && strstr(h->order, "time");
  h->query.ascending = h->order && *h->order != '-';
  return true;
}

static void go_behind(History *h, const WsResource *record)
{
  const WsField *time = ws_type_field(h->type, "time", 4);
  h->query.after = record->id;
  h->query.after_us = *(const gint64 *)ws_field_at(time, record);
}

static bool read_cursor(History *h, const char *filter, GError **error)
{
  const char *cursor = http_call_query(h->call->http, "cursor");
  if (!cursor)
    return true;
  WsResource *place = cursor_parse(h->type, h->order, filter, cursor, error);
  if (!place)
    return false;
  go_behind(h, place);
  ws_object_free(h->type, place);
  return h->query.after != 0 || ws_fail(error, WS_ERROR_BAD_CURSOR, NULL);
}

static bool parse(History *h, GError **error)
{
  HttpCall *http = h->call->http;
  const char *filter = http_call_query(http, "filter"), *fields = http_call_query(http, "fields");
  if (filter && !(h->filter = ws_filter_parse(h->type, filter, error)))
    return false;
  if (fields && !(h->fields = ws_field_set_parse(h->type, fields, error)))
    return false;
  if (!api_read_limit(h->call, &h->limit, error))
    return false;
  h->limit = MIN(h->limit, PAGE_MAX);
  h->query.where = h->where;
  if (h->filter)
    push_filter(h);
  return choose_order(h, http_call_query(http, "sort"), error) && read_cursor(h, filter, error);
}

/* ---- reading ---- */

/* Takes the history. */
static void answer(History *h)
{
  Page page = {.type = h->type, .total = -1, .revision = h->revision};
  if (h->page->len > h->limit) {
    g_ptr_array_set_size(h->page, (gint)h->limit);
    page.next_cursor = cursor_format(h->type, h->order, http_call_query(h->call->http, "filter"),
                                     h->page->pdata[h->limit - 1]);
  }
  page.objects = g_steal_pointer(&h->page);
  page.fields = g_steal_pointer(&h->fields);
  page_answer(g_steal_pointer(&h->call), &page);
  history_free(h);
}

static void take(History *h, const WsResource *record)
{
  if (record->revision <= h->revision && (!h->filter || ws_filter_match(h->filter, record)))
    g_ptr_array_add(h->page, ws_resource_ref(record));
}

/* *ended: nothing is behind it. */
static bool read_piece(History *h, bool *ended, GError **error)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  StorePlace reached = {0};
  h->query.reached = &reached;
  h->query.limit = h->goes_on ? PIECE : MIN(h->limit + 1, PIECE);
  h->goes_on = true;
  if (!store_find_history(h->call->center->store, h->type, &h->query, rows, error))
    return false;
  for (guint i = 0; i < rows->len && h->page->len <= h->limit; i++)
    take(h, rows->pdata[i]);
  *ended = rows->len < h->query.limit && !reached.id;
  if (rows->len == h->query.limit) {
    go_behind(h, rows->pdata[rows->len - 1]);
  } else if (reached.id) {
    h->query.after = reached.id;
    h->query.after_us = reached.us;
  }
  return true;
}

static void turn(void *arg)
{
  History *h = arg;
  g_autoptr(GError) error = NULL;
  bool ended = false, ok = read_piece(h, &ended, &error);
  if (!ok)
    api_answer_error(h->call->http, h->call->request_id, h->call->lang, error, NULL);
  if (!ok || http_call_is_gone(h->call->http))
    history_free(h);
  else if (ended || h->page->len > h->limit)
    answer(h);
  else
    ws_workers_run(h->call->center->workers, NULL, turn, h);
}

void history_list(ApiCall *call)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  History *h = g_new0(History, 1);
  *h = (History){.call = call, .type = call->route->type, .revision = inv_snapshot_revision(snap)};
  h->page = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  if (!parse(h, &error)) {
    api_answer_error(call->http, call->request_id, call->lang, error, NULL);
    history_free(h);
    return;
  }
  ws_workers_run(call->center->workers, NULL, turn, h);
}
