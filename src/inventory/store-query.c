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

static void add_time(GString *sql, const char *aside, const char *op, gint64 us)
{
  char text[32];

  if (us > 0)
    g_string_append_printf(sql, " AND %s\"time\" %s '%s'", aside, op, ws_time_format(us, text));
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

char *store_query_sql(const StoreTable *table, const StoreQuery *query, char *const *terms, const char *aside,
                      bool by_term)
{
  GString *sql = g_string_new(NULL);
  const char *time_aside = query->by_time && !by_term ? "" : aside, *way = query->ascending ? "ASC" : "DESC";

  g_string_printf(sql, "SELECT id, revision, body FROM \"%s\" WHERE ", table->type->plural);
  add_place(sql, query, time_aside);
  for (guint i = 0; i < query->n_where; i++)
    g_string_append_printf(sql, " AND %s", terms[i]);
  add_time(sql, time_aside, ">=", query->from_us);
  add_time(sql, time_aside, "<=", query->until_us);
  if (query->by_time)
    g_string_append_printf(sql, " ORDER BY %s\"time\" %s, id %s", time_aside, way, way);
  else
    g_string_append_printf(sql, " ORDER BY id %s", way);
  g_string_append_printf(sql, " LIMIT %u", query->limit);
  return g_string_free(sql, FALSE);
}
