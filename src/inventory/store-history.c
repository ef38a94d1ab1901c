// SPDX-License-Identifier: Apache-2.0
/* History tables: what happened (audit, events, ended tasks), written once, queried by indexed fields,
 * expired by age.
 *
 * Each indexed field of the contract is a column that holds the field's value exactly as the body's JSON has
 * it: a reference as "vol-7", a time as RFC 3339 text of fixed width, whose order is the order of time. So a
 * field that gets its index later is filled in from the bodies by SQL alone. */
#include "inventory/store-private.h"
#include "base/log.h"
#include <string.h>

/* ---- columns ---- */

/* Every index ends with the row's id by itself, which gives "newest first" for one value. */
static bool add_column(Store *store, const StoreTable *table, const char *field, GError **error)
{
  const char *plural = table->type->plural;
  g_autofree char *sql = g_strdup_printf("ALTER TABLE \"%s\" ADD COLUMN \"%s\" ANY;"
                                         "UPDATE \"%s\" SET \"%s\" = json_extract(body, '$.%s');"
                                         "CREATE INDEX \"%s.%s\" ON \"%s\" (\"%s\")",
                                         plural, field, plural, field, field, plural, field, plural, field);

  return store_sql_exec(store, store->db, sql, error);
}

bool store_history_prepare(Store *store, StoreTable *table, GError **error)
{
  table->columns = g_new(const WsField *, table->type->n_fields);
  for (guint i = 0; i < table->type->n_fields; i++) {
    const WsField *field = &table->type->fields[i];
    if (!(field->flags & (WS_FIELD_INDEXED | WS_FIELD_UNIQUE)))
      continue;
    g_assert(field->kind != WS_KIND_ARRAY && field->kind != WS_KIND_OBJECT && field->kind != WS_KIND_MAP);
    table->columns[table->n_columns++] = field;
    if (sqlite3_table_column_metadata(store->db, NULL, table->type->plural, field->name, NULL, NULL, NULL,
                                      NULL, NULL) != SQLITE_OK &&
        !add_column(store, table, field->name, error))
      return false;
  }
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

int store_history_bind(const StoreTable *table, sqlite3_stmt *put, const void *object)
{
  int result = SQLITE_OK;

  for (guint i = 0; result == SQLITE_OK && i < table->n_columns; i++)
    result = bind_field(put, 4 + (int)i, table->columns[i], object);
  return result;
}

/* ---- queries ---- */

/* In memory there is one connection for all. */
bool store_history_open_reader(Store *store, GError **error)
{
  int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

  if (store->in_memory)
    return true;
  if (sqlite3_open_v2(store->path, &store->read_db, flags, store->vfs_name) != SQLITE_OK)
    return store_sql_fail(store, store->read_db, WS_ERROR_IO_ERROR, "open for reading", error);
  return true;
}

static const StoreTable *history_table(Store *store, const WsType *type)
{
  const StoreTable *table = &store->tables[type->index];

  g_assert(table->type == type && table->history);
  return table;
}

static const WsField *find_column(const StoreTable *table, const char *name)
{
  for (guint i = 0; i < table->n_columns; i++)
    if (strcmp(table->columns[i]->name, name) == 0)
      return table->columns[i];
  return NULL;
}

static sqlite3_stmt *prepare_query(Store *store, sqlite3 *db, const WsType *type, const StoreWhere *where,
                                   guint n_where, GError **error)
{
  const StoreTable *table = history_table(store, type);
  g_autoptr(GString) sql = g_string_new(NULL);

  g_string_printf(sql, "SELECT body FROM \"%s\" WHERE id < ?1", type->plural);
  for (guint i = 0; i < n_where; i++) {
    const WsField *field = find_column(table, where[i].field);
    if (!field) {
      ws_fail(error, WS_ERROR_UNKNOWN_FIELD, "field", where[i].field, NULL);
      return NULL;
    }
    /* The types of numbers are kept in the column; the caller has text. */
    bool number = field->kind == WS_KIND_INT || field->kind == WS_KIND_DOUBLE;
    g_string_append_printf(sql, number ? " AND \"%s\" = CAST(?%u AS NUMERIC)" : " AND \"%s\" = ?%u",
                           field->name, i + 3);
  }
  g_string_append(sql, " ORDER BY id DESC LIMIT ?2");
  return store_sql_prepare(store, db, sql->str, error);
}

static bool run_query(Store *store, sqlite3 *db, const WsType *type, const StoreWhere *where, guint n_where,
                      WsId before, guint limit, GPtrArray *into, GError **error)
{
  sqlite3_stmt *rows = prepare_query(store, db, type, where, n_where, error);
  int result;

  if (!rows)
    return false;
  sqlite3_bind_int64(rows, 1, before == 0 ? G_MAXINT64 : (sqlite3_int64)MIN(before, (WsId)G_MAXINT64));
  sqlite3_bind_int64(rows, 2, limit);
  for (guint i = 0; i < n_where; i++) {
    bool is_bool = find_column(history_table(store, type), where[i].field)->kind == WS_KIND_BOOL;
    if (is_bool)
      sqlite3_bind_int(rows, 3 + (int)i, strcmp(where[i].value, "true") == 0);
    else
      sqlite3_bind_text(rows, 3 + (int)i, where[i].value, -1, SQLITE_STATIC);
  }
  while ((result = sqlite3_step(rows)) == SQLITE_ROW) {
    void *object = ws_object_parse(type, (const char *)sqlite3_column_text(rows, 0),
                                   (gsize)sqlite3_column_bytes(rows, 0), WS_PARSE_STORED, error);
    if (!object)
      break;
    g_ptr_array_add(into, object);
  }
  if (result != SQLITE_DONE && result != SQLITE_ROW)
    store_sql_fail(store, db, WS_ERROR_IO_ERROR, type->plural, error);
  sqlite3_finalize(rows);
  return result == SQLITE_DONE;
}

bool store_query_history(Store *store, const WsType *type, const StoreWhere *where, guint n_where,
                         WsId before, guint limit, GPtrArray *into, GError **error)
{
  pthread_mutex_t *lock = store->read_db ? &store->read_lock : &store->sql_lock;
  bool ok;

  pthread_mutex_lock(lock);
  ok = run_query(store, store->read_db ? store->read_db : store->db, type, where, n_where, before, limit,
                 into, error);
  pthread_mutex_unlock(lock);
  return ok;
}

/* ---- expiry ---- */

bool store_history_expire(Store *store, const WsType *type, gint64 wall_us, bool *more, GError **error)
{
  g_autofree char *sql =
      g_strdup_printf("DELETE FROM \"%s\" WHERE id IN (SELECT id FROM \"%s\" WHERE \"time\" < ?1"
                      " ORDER BY \"time\" LIMIT %d)",
                      type->plural, type->plural, STORE_EXPIRE_ROWS);
  sqlite3_stmt *statement = store_sql_prepare(store, store->db, sql, error);
  char text[32];
  int result;

  *more = false;
  if (!statement)
    return false;
  sqlite3_bind_text(statement, 1, ws_time_format(wall_us, text), -1, SQLITE_STATIC);
  result = sqlite3_step(statement);
  if (result == SQLITE_DONE)
    *more = sqlite3_changes(store->db) == STORE_EXPIRE_ROWS;
  else
    store_sql_fail(store, store->db, WS_ERROR_READ_ONLY, "expire", error);
  sqlite3_finalize(statement);
  return result == SQLITE_DONE;
}
