// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL: views, filling, and taking the place of another database. See StoreBackend.
 *
 * A database is a schema here: one is filled beside the other, and two renames in one transaction put it into its place. */
#include "inventory/store-pg.h"
#include <string.h>

/* ---- views ---- */

void *pg_begin_view(Store *store, GError **error)
{
  StorePg *pg = store->db;
  PGconn *view = pg_connect(pg, true, error);

  /* A snapshot is taken with the first query. */
  if (view && pg_run(pg, view, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM meta", error))
    return view;
  PQfinish(view);
  return NULL;
}

bool pg_view_table(Store *store, void *view, const char *table, StoreRaw each, void *arg, GError **error)
{
  return pg_copy_out(store->db, view, table, each, arg, error);
}

bool pg_view_facts(Store *store, void *view, StoreFact each, void *arg, GError **error)
{
  g_autoptr(PGresult) result =
      pg_query(store->db, view, "SELECT name, value FROM meta ORDER BY name COLLATE \"C\"", 0, NULL, error);

  for (int i = 0; result && i < PQntuples(result); i++)
    if (!each(PQgetvalue(result, i, 0), PQgetvalue(result, i, 1), arg, error))
      return false;
  return result != NULL;
}

void pg_end_view(Store *store, void *view)
{
  PQfinish(view);
}

/* ---- filling ---- */

bool pg_begin_fill(Store *store, gint64 schema, GError **error)
{
  StorePg *pg = store->db;

  return pg_run(pg, pg->writer, "BEGIN", error) && pg_make_base(pg, schema, error);
}

static bool put_copy(StorePg *pg, const char *bytes, gsize n, GError **error)
{
  return PQputCopyData(pg->writer, bytes, (int)n) == 1 || pg_fail(pg, pg->writer, NULL, WS_ERROR_IO_ERROR, "fill", error);
}

bool pg_begin_table(Store *store, const char *table, GError **error)
{
  static const char header[19] = "PGCOPY\n\377\r\n"; /* and a NUL, no flags, no extension */
  StorePg *pg = store->db;
  g_autofree char *sql = g_strdup_printf("COPY \"%s\" (id, revision, body) FROM STDIN (FORMAT binary)", table);
  g_autoptr(PGresult) result = pg_make_table(pg, table, error) ? PQexec(pg->writer, sql) : NULL;

  if (!result)
    return false;
  if (PQresultStatus(result) != PGRES_COPY_IN)
    return pg_fail(pg, pg->writer, result, WS_ERROR_IO_ERROR, table, error);
  return put_copy(pg, header, sizeof header, error);
}

static char *put_u32(char *at, guint32 value)
{
  value = GUINT32_TO_BE(value);
  memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

static char *put_u64(char *at, guint64 value)
{
  value = GUINT64_TO_BE(value);
  memcpy(put_u32(at, sizeof value), &value, sizeof value);
  return at + 4 + sizeof value;
}

/* Number of columns; then length and value of each. */
bool pg_fill_row(Store *store, WsId id, Revision revision, const char *body, gsize n, GError **error)
{
  char head[30] = {0, 3}, *at = head + 2;

  at = put_u64(at, id);
  at = put_u64(at, revision);
  put_u32(at, (guint32)n);
  return put_copy(store->db, head, sizeof head, error) && put_copy(store->db, body, n, error);
}

static bool end_copy(StorePg *pg, GError **error)
{
  PGresult *result;
  bool ok = PQputCopyEnd(pg->writer, NULL) == 1;

  while ((result = PQgetResult(pg->writer))) {
    if (ok && PQresultStatus(result) != PGRES_COMMAND_OK)
      ok = pg_fail(pg, pg->writer, result, WS_ERROR_IO_ERROR, "fill", error);
    PQclear(result);
  }
  return ok;
}

bool pg_end_table(Store *store, GError **error)
{
  StorePg *pg = store->db;

  return put_copy(pg, "\377\377", 2, error) && end_copy(pg, error);
}

bool pg_fill_fact(Store *store, const char *name, const char *value, GError **error)
{
  StorePg *pg = store->db;
  const char *values[] = {name, value};
  g_autoptr(PGresult) result =
      pg_query(pg, pg->writer, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value RETURNING 1",
               2, values, error);

  return result != NULL;
}

/* ANALYZE: the planner knows nothing yet of what is there. */
bool pg_end_fill(Store *store, GError **error)
{
  StorePg *pg = store->db;

  return pg_run(pg, pg->writer, "COMMIT", error) && pg_run(pg, pg->writer, "ANALYZE", error);
}

/* ---- places ---- */

static bool exists(StorePg *pg, const char *schema, bool *answer, GError **error)
{
  const char *values[] = {schema};
  g_autoptr(PGresult) result = pg_query(
      pg, pg->writer, "SELECT 1 FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) LIMIT 1", 1, values, error);

  *answer = result && PQntuples(result) > 0;
  return result != NULL;
}

bool pg_look(Store *store, bool *occupied, GError **error)
{
  StorePg *pg = store->db;
  g_autoptr(PGresult) moved = NULL;

  if (!exists(pg, pg->schema, occupied, error))
    return false;
  if (!*occupied)
    return true;
  moved = pg_query(pg, pg->writer, "SELECT 1 FROM meta WHERE name = '" STORE_MOVED_TO "' AND value <> ''", 0, NULL, NULL);
  *occupied = !moved || PQntuples(moved) == 0;
  return true;
}

/* The new one's lease continues the old one's: a manager of that one, held up somewhere, must not fit by chance. */
static char *take_place_sql(StorePg *pg, const char *kept, const char *beside, bool had_lease)
{
  g_autofree char *now = PQescapeIdentifier(pg->writer, pg->schema, strlen(pg->schema)),
                  *then = kept ? PQescapeIdentifier(pg->writer, kept, strlen(kept)) : NULL,
                  *new = PQescapeIdentifier(pg->writer, beside, strlen(beside));
  GString *sql = g_string_new("BEGIN;");

  if (had_lease)
    g_string_append_printf(sql, "UPDATE %s.lease SET epoch = greatest(epoch, (SELECT max(epoch) FROM %s.lease)) + 1;", new, now);
  if (kept)
    g_string_append_printf(sql, "ALTER SCHEMA %s RENAME TO %s;", now, then);
  else
    g_string_append_printf(sql, "DROP SCHEMA IF EXISTS %s;", now); /* empty */
  g_string_append_printf(sql, "ALTER SCHEMA %s RENAME TO %s; COMMIT", new, now);
  return g_string_free(sql, FALSE);
}

bool pg_take_place(Store *store, const char *stamp, char **kept, GError **error)
{
  StorePg *pg = store->db;
  g_autofree char *beside = g_strconcat(pg->schema, STORE_BESIDE, NULL), *sql = NULL;
  g_autoptr(PGresult) lease = NULL;
  bool occupied;

  *kept = NULL;
  if (!exists(pg, pg->schema, &occupied, error))
    return false;
  if (occupied)
    *kept = g_strdup_printf("%s_%s", pg->schema, stamp);
  lease = pg_query(pg, pg->writer, "SELECT epoch FROM lease", 0, NULL, NULL);
  sql = take_place_sql(pg, *kept, beside, lease && PQntuples(lease) > 0);
  if (pg_run(pg, pg->writer, sql, error))
    return true;
  PQclear(PQexec(pg->writer, "ROLLBACK"));
  return false;
}

bool pg_drop_beside(Store *store, GError **error)
{
  StorePg *pg = store->db;
  g_autofree char *beside = g_strconcat(pg->schema, STORE_BESIDE, NULL),
                  *name = PQescapeIdentifier(pg->writer, beside, strlen(beside)),
                  *sql = g_strdup_printf("DROP SCHEMA IF EXISTS %s CASCADE", name);

  return pg_run(pg, pg->writer, sql, error);
}
