// SPDX-License-Identifier: Apache-2.0
/* The statement of a history query, which is the same for both databases but for placeholders and hints.
 *
 * Records come in one total order, by id or by time and id, and begin behind a place; so a long history is
 * read piece by piece, and what is written meanwhile moves nothing. Numbers and times are written into the
 * statement; what a caller sent is always a parameter. */
#include "inventory/store-private.h"
#include <string.h>

const WsField *store_column(const StoreTable *table, const char *name)
{
  for (guint i = 0; i < table->n_columns; i++)
    if (strcmp(table->columns[i]->name, name) == 0)
      return table->columns[i];
  return NULL;
}

static void add_time(GString *sql, const char *aside, const char *op, bool bound, gint64 us)
{
  char text[32];

  if (bound)
    g_string_append_printf(sql, " AND %s\"time\" %s '%s'", aside, op, ws_time_format(us, text));
}

/* A place in the order is a bound of time already; of two the database would take either to begin or end
 * with. */
static void add_range(GString *sql, const StoreQuery *query, const char *aside)
{
  bool begins = query->by_time && query->after, ends = query->by_time && query->reached && query->reached->id;
  bool low = query->ascending ? begins && query->after_us >= query->from_us : ends;
  bool high = query->ascending ? ends : begins && query->after_us <= query->until_us;

  add_time(sql, aside, ">=", query->from && !low, query->from_us);
  add_time(sql, aside, "<=", query->until && !high, query->until_us);
}

/* Not behind that record. */
static void add_end(GString *sql, const StoreQuery *query, const StorePlace *end)
{
  const char *op = query->ascending ? "<" : ">";
  char text[32];

  if (!query->by_time) {
    g_string_append_printf(sql, " AND id %s= %" G_GUINT64_FORMAT, op, end->id);
    return;
  }
  ws_time_format(end->us, text);
  g_string_append_printf(sql, " AND \"time\" %s= '%s' AND (\"time\" %s '%s' OR id %s= %" G_GUINT64_FORMAT ")",
                         op, text, op, text, op, end->id);
}

/* Behind the record of that place. The first comparison is for the index, the second for records of one time.
 */
static void add_place(GString *sql, const StoreQuery *query, const char *aside)
{
  const char *op = query->ascending ? ">" : "<";
  char text[32];

  if (!query->by_time) {
    g_string_append_printf(sql, "id %s %" G_GUINT64_FORMAT, op,
                           query->after       ? MIN(query->after, (WsId)G_MAXINT64)
                           : query->ascending ? 0
                                              : (WsId)G_MAXINT64);
    return;
  }
  g_string_append(sql, "\"time\" IS NOT NULL");
  if (!query->after)
    return;
  ws_time_format(query->after_us, text);
  g_string_append_printf(sql,
                         " AND %s\"time\" %s= '%s' AND (\"time\" %s '%s' OR id %s %" G_GUINT64_FORMAT ")",
                         aside, op, text, op, text, op, query->after);
}

char *store_bound_sql(const StoreTable *table, const StoreQuery *query, const char *term, guint nth)
{
  GString *sql = g_string_new(NULL);
  const char *way = query->ascending ? "ASC" : "DESC";

  g_string_printf(sql, "SELECT id, \"time\" FROM \"%s\" WHERE ", table->type->plural);
  add_place(sql, query, "");
  if (term)
    g_string_append_printf(sql, " AND %s", term);
  if (query->by_time)
    add_range(sql, query, "");
  g_string_append_printf(sql, query->by_time ? " ORDER BY \"time\" %s, id %s" : " ORDER BY id %s", way, way);
  g_string_append_printf(sql, " LIMIT 1 OFFSET %u", nth - 1);
  return g_string_free(sql, FALSE);
}

char *store_query_sql(const StoreTable *table, const StoreQuery *query, char *const *terms, const char *aside,
                      bool by_term)
{
  GString *sql = g_string_new(NULL);
  const char *time_aside = query->by_time && !by_term ? "" : aside, *way = query->ascending ? "ASC" : "DESC";

  g_string_printf(sql, "SELECT id, revision, body FROM \"%s\" WHERE ", table->type->plural);
  add_place(sql, query, time_aside);
  for (guint i = 0; i < query->n_where; i++)
    g_string_append_printf(sql, " AND %s", terms[i]);
  add_range(sql, query, time_aside);
  if (query->reached && query->reached->id)
    add_end(sql, query, query->reached);
  if (query->by_time)
    g_string_append_printf(sql, " ORDER BY %s\"time\" %s, id %s", time_aside, way, way);
  else
    g_string_append_printf(sql, " ORDER BY id %s", way);
  g_string_append_printf(sql, " LIMIT %u", query->limit);
  return g_string_free(sql, FALSE);
}
