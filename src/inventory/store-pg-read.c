// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL: reading. See store-pg.h.
 *
 * Whole tables come by COPY in binary form, a row at a time, so a table is never in memory twice. */
#include "inventory/store-pg.h"
#include <string.h>

#define COPY_SIGNATURE   "PGCOPY\n\377\r\n" /* and a NUL */
#define COPY_HEADER_SIZE 19                 /* signature, flags, length of extensions */

/* ---- COPY ---- */

static guint32 get_u32(const char *at)
{
  guint32 value;

  memcpy(&value, at, sizeof value);
  return GUINT32_FROM_BE(value);
}

static guint64 get_u64(const char *at)
{
  guint64 value;

  memcpy(&value, at, sizeof value);
  return GUINT64_FROM_BE(value);
}

typedef struct {
  const char *body;
  gsize n;
  WsId id;
  Revision revision;
} Row;

/* A message is one row: number of columns, then length and value of each; -1 columns: the end. False: not what we asked for. */
static bool parse_row(const char *at, gsize n, Row *row)
{
  const gsize fixed = 2 + 4 + 8 + 4 + 8 + 4;

  if (n < fixed || at[0] != 0 || at[1] != 3 || get_u32(at + 2) != 8 || get_u32(at + 14) != 8)
    return false;
  *row = (Row){at + fixed, get_u32(at + 26), get_u64(at + 6), get_u64(at + 18)};
  return row->n == n - fixed;
}

/* The header comes in front of the first message. */
static bool skip_header(const char **at, gsize *n)
{
  gsize header;

  if (*n < COPY_HEADER_SIZE || memcmp(*at, COPY_SIGNATURE, sizeof COPY_SIGNATURE) != 0)
    return true; /* not the first one */
  header = COPY_HEADER_SIZE + get_u32(*at + 15);
  if (header > *n)
    return false;
  *at += header;
  *n -= header;
  return true;
}

static bool take_message(StorePg *pg, const char *message, gsize n, StoreRaw each, void *arg, GError **error)
{
  Row row;

  if (skip_header(&message, &n) && (n == 0 || (n == 2 && memcmp(message, "\377\377", 2) == 0)))
    return true;
  if (!parse_row(message, n, &row))
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", pg->store->path, "cause", "the server sends rows of another form", NULL);
  return each(row.id, row.revision, row.body, row.n, arg, error);
}

/* Takes the rest without looking at it, and the result. */
static bool end_copy(StorePg *pg, PGconn *conn, bool ok, const char *table, GError **error)
{
  char *message;
  PGresult *result;

  while (PQgetCopyData(conn, &message, 0) > 0)
    PQfreemem(message);
  while ((result = PQgetResult(conn))) {
    if (ok && PQresultStatus(result) != PGRES_COMMAND_OK)
      ok = pg_fail(pg, conn, result, WS_ERROR_IO_ERROR, table, error);
    PQclear(result);
  }
  return ok;
}

bool pg_copy_out(StorePg *pg, PGconn *conn, const char *table, StoreRaw each, void *arg, GError **error)
{
  g_autofree char *sql =
      g_strdup_printf("COPY (SELECT id, revision, body FROM \"%s\" ORDER BY id) TO STDOUT (FORMAT binary)", table);
  g_autoptr(PGresult) result = PQexec(conn, sql);
  bool ok = true;
  char *message;
  int n;

  if (PQresultStatus(result) != PGRES_COPY_OUT)
    return pg_fail(pg, conn, result, WS_ERROR_IO_ERROR, table, error);
  while (ok && (n = PQgetCopyData(conn, &message, 0)) > 0) {
    ok = take_message(pg, message, (gsize)n, each, arg, error);
    PQfreemem(message);
  }
  return end_copy(pg, conn, ok, table, error);
}

/* ---- facts and tables ---- */

char *pg_get_meta(Store *store, const char *name)
{
  StorePg *pg = store->db;
  const char *values[] = {name};
  g_autoptr(PGresult) result =
      pg->writer ? pg_query(pg, pg->writer, "SELECT value FROM meta WHERE name = $1", 1, values, NULL) : NULL;

  return result && PQntuples(result) == 1 ? g_strdup(PQgetvalue(result, 0, 0)) : NULL;
}

bool pg_load(Store *store, const StoreTable *table, StoreRaw each, void *arg, GError **error)
{
  StorePg *pg = store->db;

  return pg_writer(pg, true, error) && pg_copy_out(pg, pg->writer, table->type->plural, each, arg, error);
}

/* ---- history ---- */

/* The server has statistics, and chooses the index itself. */
static char *query_sql(const StoreTable *table, const StoreQuery *query)
{
  g_auto(GStrv) terms = g_new0(char *, query->n_where + 1);

  for (guint i = 0; i < query->n_where; i++)
    terms[i] = g_strdup_printf("\"%s\" = $%u::%s", query->where[i].field, i + 1,
                               pg_column_type(store_column(table, query->where[i].field)));
  return store_query_sql(table, query, terms, "", false);
}

/* A session that has died meanwhile shows it only when it is used: what fails without a word of the server is asked again. */
static PGresult *query_reader(StorePg *pg, const char *sql, guint n, const char *const *values, GError **error)
{
  if (pg->reader) {
    PGresult *result = PQexecParams(pg->reader, sql, (int)n, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
      return result;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state && !g_str_has_prefix(state, "57")) { /* 57: the server ends the session */
      pg_fail(pg, pg->reader, result, WS_ERROR_IO_ERROR, sql, error);
      PQclear(result);
      return NULL;
    }
    PQclear(result);
    PQfinish(pg->reader);
  }
  pg->reader = pg_connect(pg, true, error);
  return pg->reader ? pg_query(pg, pg->reader, sql, n, values, error) : NULL;
}

static bool give_rows(const PGresult *result, StoreRaw each, void *arg, GError **error)
{
  for (int i = 0; i < PQntuples(result); i++)
    if (!each(g_ascii_strtoull(PQgetvalue(result, i, 0), NULL, 10), g_ascii_strtoull(PQgetvalue(result, i, 1), NULL, 10),
              PQgetvalue(result, i, 2), (gsize)PQgetlength(result, i, 2), arg, error))
      return false;
  return true;
}

bool pg_history_query(Store *store, const StoreTable *table, const StoreQuery *query, StoreRaw each,
                      void *arg, GError **error)
{
  StorePg *pg = store->db;
  g_autofree char *sql = query_sql(table, query);
  g_autofree const char **values = g_new(const char *, query->n_where + 1);
  g_autoptr(PGresult) result = NULL;

  for (guint i = 0; i < query->n_where; i++)
    values[i] = query->where[i].value;
  pthread_mutex_lock(&pg->read_lock);
  result = query_reader(pg, sql, query->n_where, values, error);
  pthread_mutex_unlock(&pg->read_lock);
  return result && give_rows(result, each, arg, error);
}
