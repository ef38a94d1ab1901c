// SPDX-License-Identifier: Apache-2.0
/* History tables: what happened (audit, events, ended tasks), written once, queried by indexed fields,
 * expired by age.
 *
 * Each indexed field of the contract is a column that holds the field's value exactly as the body's JSON has
 * it: a reference as "vol-7", a time as RFC 3339 text of fixed width, whose order is the order of time. So a
 * field that gets its index later is filled in from the bodies by SQL alone. */
#include "inventory/store-sqlite.h"
#include <string.h>

#define FEW 5000          /* rows that may be sorted for a page */
#define LOOK 5000          /* rows that are looked at in one statement, which keeps other readers waiting */
#define READ_WAIT_MS 5000 /* a reader meets the writer's locks for moments only: recovery, the end of a checkpoint */

/* ---- columns ---- */

/* Every index ends with the row's id by itself, which gives "newest first" for one value. */
static bool add_column(StoreSqlite *q, const StoreTable *table, const char *field, GError **error)
{
  const char *plural = table->type->plural;
  g_autofree char *sql = g_strdup_printf("ALTER TABLE \"%s\" ADD COLUMN \"%s\" ANY;"
                                         "UPDATE \"%s\" SET \"%s\" = json_extract(body, '$.%s');"
                                         "CREATE INDEX \"%s.%s\" ON \"%s\" (\"%s\")",
                                         plural, field, plural, field, field, plural, field, plural, field);

  return sqlite_run(q, q->db, sql, error);
}

bool sqlite_history_prepare(StoreSqlite *q, const StoreTable *table, GError **error)
{
  for (guint i = 0; i < table->n_columns; i++)
    if (sqlite3_table_column_metadata(q->db, NULL, table->type->plural, table->columns[i]->name, NULL, NULL, NULL,
                                      NULL, NULL) != SQLITE_OK &&
        !add_column(q, table, table->columns[i]->name, error))
      return false;
  return true;
}

static int bind_id(sqlite3_stmt *put, int at, const WsType *type, WsId id)
{
  char text[WS_ID_TEXT_MAX];

  if (id == 0 || !type)
    return sqlite3_bind_null(put, at);
  return sqlite3_bind_text(put, at, ws_id_format(type->prefix, id, text), -1, SQLITE_TRANSIENT);
}

static int bind_field(sqlite3_stmt *put, int at, const WsField *field, const void *object)
{
  const void *value = ws_field_at(field, object);
  char text[32];

  switch ((WsKind)field->kind) {
  case WS_KIND_BOOL:
    return sqlite3_bind_int(put, at, *(const bool *)value);
  case WS_KIND_INT:
    return *(const gint64 *)value == WS_INT_UNSET ? sqlite3_bind_null(put, at)
                                                  : sqlite3_bind_int64(put, at, *(const gint64 *)value);
  case WS_KIND_DOUBLE:
    return sqlite3_bind_double(put, at, *(const double *)value); /* NaN binds as NULL */
  case WS_KIND_STRING:
    return sqlite3_bind_text(put, at, *(char *const *)value, -1, SQLITE_STATIC); /* NULL too */
  case WS_KIND_ENUM:
    return *(const int *)value == 0
               ? sqlite3_bind_null(put, at)
               : sqlite3_bind_text(put, at, field->names[*(const int *)value - 1], -1, SQLITE_STATIC);
  case WS_KIND_REF:
    return bind_id(put, at, field->sub, *(const WsId *)value);
  case WS_KIND_ANYREF:
    return bind_id(put, at, ((const WsAnyRef *)value)->type, ((const WsAnyRef *)value)->id);
  case WS_KIND_TIME:
    return *(const gint64 *)value == 0
               ? sqlite3_bind_null(put, at)
               : sqlite3_bind_text(put, at, ws_time_format(*(const gint64 *)value, text), -1,
                                   SQLITE_TRANSIENT);
  case WS_KIND_OBJECT:
  case WS_KIND_ARRAY:
  case WS_KIND_MAP:
  case WS_KIND_ANY:
    break;
  }
  g_assert_not_reached();
}

int sqlite_history_bind(const StoreTable *table, sqlite3_stmt *put, const void *object)
{
  int result = SQLITE_OK;

  for (guint i = 0; result == SQLITE_OK && i < table->n_columns; i++)
    result = bind_field(put, 4 + (int)i, table->columns[i], object);
  return result;
}

/* ---- queries ---- */

/* In memory there is one connection for all. */
bool sqlite_history_open_reader(StoreSqlite *q, GError **error)
{
  int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

  if (q->in_memory)
    return true;
  if (sqlite3_open_v2(q->store->path, &q->read_db, flags, q->vfs_name) != SQLITE_OK)
    return sqlite_fail(q, q->read_db, WS_ERROR_IO_ERROR, "open for reading", error);
  sqlite3_busy_timeout(q->read_db, READ_WAIT_MS);
  return true;
}

static void bind_term(sqlite3_stmt *rows, int at, const StoreTable *table, const StoreWhere *where)
{
  if (store_column(table, where->field)->kind == WS_KIND_BOOL)
    sqlite3_bind_int(rows, at, strcmp(where->value, "true") == 0);
  else
    sqlite3_bind_text(rows, at, where->value, -1, SQLITE_STATIC);
}

/* The types of numbers are kept in the column; the caller has text. */
static char *term_sql(const StoreTable *table, const StoreWhere *where, const char *aside, guint at)
{
  const WsField *field = store_column(table, where->field);
  bool number = field->kind == WS_KIND_INT || field->kind == WS_KIND_DOUBLE;

  return g_strdup_printf(number ? "%s\"%s\" = CAST(?%u AS NUMERIC)" : "%s\"%s\" = ?%u", aside, field->name,
                         at);
}

/* So many rows have the value; FEW + 1: more than a few. Looks at the index alone. */
static guint count_few(StoreSqlite *q, sqlite3 *db, const StoreTable *table, const StoreWhere *where)
{
  g_autofree char *term = term_sql(table, where, "", 1);
  g_autofree char *sql = g_strdup_printf("SELECT count(*) FROM (SELECT 1 FROM \"%s\" WHERE %s LIMIT %d)",
                                         table->type->plural, term, FEW + 1);
  sqlite3_stmt *count = sqlite_prepare(q, db, sql, NULL);
  guint n = FEW + 1;

  if (!count)
    return n;
  bind_term(count, 1, table, where);
  if (sqlite3_step(count) == SQLITE_ROW)
    n = (guint)sqlite3_column_int(count, 0);
  sqlite3_finalize(count);
  return n;
}

/* The term whose index is used; -1: none, the order's own is. SQLite has no statistics of these tables and
 * would take any; it would also sort all that a user ever did for one page of it. */
static int choose_term(StoreSqlite *q, sqlite3 *db, const StoreTable *table, const StoreQuery *query)
{
  int best = -1;
  guint fewest = G_MAXUINT;

  if (query->n_where == 1 && !query->by_time)
    return 0;
  for (guint i = 0; i < query->n_where; i++) {
    guint n = count_few(q, db, table, &query->where[i]);
    if (n < fewest) {
      fewest = n;
      best = (int)i;
    }
  }
  return query->by_time && fewest > FEW ? -1 : best;
}

/* What is read in the order of an index and wanted as a whole ends with the limit. */
static bool is_sieved(const StoreQuery *query, int chosen)
{
  guint n = query->n_where - (chosen >= 0 ? 1 : 0);

  return n > 0 || (!query->by_time && (query->from || query->until));
}

static bool read_place(sqlite3_stmt *row, StorePlace *place)
{
  const char *time = (const char *)sqlite3_column_text(row, 1);

  place->id = (WsId)sqlite3_column_int64(row, 0);
  place->us = 0;
  return !time || ws_time_parse(time, &place->us);
}

/* Up to where this statement looks. A term that few have, of which all are sorted, bounds itself. */
static bool find_reach(StoreSqlite *q, sqlite3 *db, const StoreTable *table, const StoreQuery *query,
                       int chosen, GError **error)
{
  *query->reached = (StorePlace){0};
  if (!is_sieved(query, chosen) || (query->by_time && chosen >= 0))
    return true;
  const StoreWhere *where = chosen >= 0 ? &query->where[chosen] : NULL;
  g_autofree char *term = where ? term_sql(table, where, "", 1) : NULL;
  g_autofree char *sql = store_bound_sql(table, query, term, LOOK);
  sqlite3_stmt *row = sqlite_prepare(q, db, sql, error);

  if (!row)
    return false;
  if (where)
    bind_term(row, 1, table, where);
  if (sqlite3_step(row) == SQLITE_ROW && !read_place(row, query->reached))
    query->reached->id = 0;
  sqlite3_finalize(row);
  return true;
}

static sqlite3_stmt *prepare_query(StoreSqlite *q, sqlite3 *db, const StoreTable *table,
                                   const StoreQuery *query, GError **error)
{
  int chosen = choose_term(q, db, table, query);
  g_auto(GStrv) terms = g_new0(char *, query->n_where + 1);

  if (query->reached && !find_reach(q, db, table, query, chosen, error))
    return NULL;
  for (guint i = 0; i < query->n_where; i++)
    terms[i] = term_sql(table, &query->where[i], (int)i == chosen ? "" : "+", i + 1);
  g_autofree char *sql = store_query_sql(table, query, terms, "+", chosen >= 0);
  sqlite3_stmt *rows = sqlite_prepare(q, db, sql, error);
  for (guint i = 0; rows && i < query->n_where; i++)
    bind_term(rows, (int)i + 1, table, &query->where[i]);
  return rows;
}

bool sqlite_history_query(Store *store, const StoreTable *table, const StoreQuery *query, StoreRaw each,
                          void *arg, GError **error)
{
  StoreSqlite *q = store->db;
  pthread_mutex_t *lock = q->read_db ? &q->read_lock : &store->sql_lock;
  sqlite3 *db = q->read_db ? q->read_db : q->db;
  sqlite3_stmt *rows;
  bool ok;

  pthread_mutex_lock(lock);
  rows = prepare_query(q, db, table, query, error);
  ok = rows && sqlite_each(q, db, rows, each, arg, error);
  sqlite3_finalize(rows); /* NULL is fine */
  pthread_mutex_unlock(lock);
  return ok;
}

/* ---- expiry ---- */

bool sqlite_history_expire(Store *store, const StoreTable *table, gint64 wall_us, bool *more, GError **error)
{
  StoreSqlite *q = store->db;
  const char *plural = table->type->plural;
  g_autofree char *sql =
      g_strdup_printf("DELETE FROM \"%s\" WHERE id IN (SELECT id FROM \"%s\" WHERE \"time\" < ?1"
                      " ORDER BY \"time\" LIMIT %d)",
                      plural, plural, STORE_EXPIRE_ROWS);
  sqlite3_stmt *statement = sqlite_prepare(q, q->db, sql, error);
  char text[32];
  int result;

  *more = false;
  if (!statement)
    return false;
  sqlite3_bind_text(statement, 1, ws_time_format(wall_us, text), -1, SQLITE_STATIC);
  result = sqlite3_step(statement);
  if (result == SQLITE_DONE)
    *more = sqlite3_changes(q->db) == STORE_EXPIRE_ROWS;
  else
    sqlite_fail(q, q->db, WS_ERROR_READ_ONLY, "expire", error);
  sqlite3_finalize(statement);
  return result == SQLITE_DONE;
}
