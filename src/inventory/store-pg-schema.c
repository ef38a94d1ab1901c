// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL: the schema. See store-pg.h.
 *
 * Tables are as in SQLite: id, revision, body = JSON text, and for history a column per indexed field. The migrations of
 * api/schema/ are written for SQLite's JSON functions; functions of the same names in the same schema let them run here too. */
#include "inventory/store-pg.h"
#include <string.h>

/* Paths are '$.a.b'. json_extract() gives text, as comparing with text in SQLite does; a missing field is NULL in both. */
static const char json_functions[] =
    "CREATE OR REPLACE FUNCTION json_path_words(path text) RETURNS text[] LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT string_to_array(substr(path, 3), '.') $$;"
    "CREATE OR REPLACE FUNCTION json_extract(body text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT body::jsonb #>> json_path_words(path) $$;"
    "CREATE OR REPLACE FUNCTION json_type(body text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT CASE jsonb_typeof(v) WHEN 'string' THEN 'text' WHEN 'boolean' THEN v::text WHEN 'number' THEN"
    "   CASE WHEN v::text ~ '[.eE]' THEN 'real' ELSE 'integer' END ELSE jsonb_typeof(v) END"
    "   FROM (SELECT body::jsonb #> json_path_words(path)) AS t (v) $$;"
    "CREATE OR REPLACE FUNCTION json_remove(body text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT (body::jsonb #- json_path_words(path))::text $$;"
    "CREATE OR REPLACE FUNCTION json_set(body text, path text, value json) RETURNS text LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT jsonb_set(body::jsonb, json_path_words(path), coalesce(value, 'null')::jsonb)::text $$;"
    "CREATE OR REPLACE FUNCTION json_set(body text, path text, value text) RETURNS text LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT jsonb_set(body::jsonb, json_path_words(path), coalesce(to_jsonb(value), 'null'))::text $$;"
    "CREATE OR REPLACE FUNCTION json_set(body text, path text, value numeric) RETURNS text LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT jsonb_set(body::jsonb, json_path_words(path), coalesce(to_jsonb(value), 'null'))::text $$;";

const char *pg_column_type(const WsField *field)
{
  switch ((WsKind)field->kind) {
  case WS_KIND_BOOL:
    return "boolean";
  case WS_KIND_INT:
    return "bigint";
  case WS_KIND_DOUBLE:
    return "double precision";
  default:
    return "text"; /* in an index by bytes: of times that is their order */
  }
}

/* ---- whose it is ---- */

/* *version: 0 when there is nothing yet. */
static bool check_owner(StorePg *pg, gint64 *version, GError **error)
{
  const char *values[] = {pg->schema};
  g_autoptr(PGresult) tables =
      pg_query(pg, pg->writer,
               "SELECT count(*), count(*) FILTER (WHERE relname = 'lease') FROM pg_class"
               " WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND relkind = 'r'",
               1, values, error);
  g_autoptr(PGresult) result = NULL;
  char ours[24], theirs[24];

  *version = 0;
  if (!tables)
    return false;
  if (strcmp(PQgetvalue(tables, 0, 0), "0") == 0)
    return true;
  if (strcmp(PQgetvalue(tables, 0, 1), "0") == 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", pg->store->path, "cause", "not a WinSphere database", NULL);
  result = pg_query(pg, pg->writer, "SELECT schema_version FROM lease", 0, NULL, error);
  if (!result)
    return false;
  if (PQntuples(result) != 1)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", pg->store->path, "cause", "not a WinSphere database", NULL);
  *version = g_ascii_strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  if (*version <= store_schema.version)
    return true;
  g_snprintf(ours, sizeof ours, "schema %d", store_schema.version);
  g_snprintf(theirs, sizeof theirs, "schema %" G_GINT64_FORMAT, *version);
  return ws_fail(error, WS_ERROR_VERSION_MISMATCH, "ours", ours, "theirs", theirs, "cause", pg->store->path, NULL);
}

/* ---- tables ---- */

bool pg_make_base(StorePg *pg, gint64 version, GError **error)
{
  g_autofree char *schema = PQescapeIdentifier(pg->writer, pg->schema, strlen(pg->schema));
  g_autofree char *sql = g_strdup_printf(
      "CREATE SCHEMA IF NOT EXISTS %s;"
      "CREATE TABLE IF NOT EXISTS lease (one boolean PRIMARY KEY DEFAULT true CHECK (one), schema_version integer NOT NULL,"
      " epoch bigint NOT NULL, number bigint NOT NULL, holder text NOT NULL, since timestamptz NOT NULL, backend integer NOT NULL)"
      " WITH (fillfactor = 10);"
      "INSERT INTO lease VALUES (true, %d, 0, 0, '', now(), 0) ON CONFLICT DO NOTHING;"
      "CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text NOT NULL)",
      schema, (int)version);

  return pg_run(pg, pg->writer, sql, error) && pg_run(pg, pg->writer, json_functions, error);
}

static bool migrate(StorePg *pg, gint64 version, GError **error)
{
  g_autofree char *stamp = g_strdup_printf("UPDATE lease SET schema_version = %d", store_schema.version);

  for (gint64 i = version; i > 0 && i < store_schema.version; i++)
    if (!pg_run(pg, pg->writer, store_schema.migrations[i - 1], error))
      return false;
  return version == store_schema.version || pg_run(pg, pg->writer, stamp, error);
}

static bool has_column(const PGresult *present, const char *table, const char *column)
{
  for (int i = 0; i < PQntuples(present); i++)
    if (strcmp(PQgetvalue(present, i, 0), table) == 0 && strcmp(PQgetvalue(present, i, 1), column) == 0)
      return true;
  return false;
}

/* Filled in from the bodies. The index ends with the id, which gives "newest first" for one value. */
static bool add_column(StorePg *pg, const char *table, const WsField *field, GError **error)
{
  const char *name = field->name, *type = pg_column_type(field);
  const char *collate = strcmp(type, "text") == 0 ? " COLLATE \"C\"" : "";
  g_autofree char *sql = g_strdup_printf("ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s%s;"
                                         "UPDATE \"%s\" SET \"%s\" = (body::jsonb ->> '%s')::%s;"
                                         "CREATE INDEX \"%s.%s\" ON \"%s\" (\"%s\", id)",
                                         table, name, type, collate, table, name, name, type, table, name, table, name);

  return pg_run(pg, pg->writer, sql, error);
}

bool pg_make_table(StorePg *pg, const char *table, GError **error)
{
  g_autofree char *sql = g_strdup_printf(
      "CREATE TABLE IF NOT EXISTS \"%s\" (id bigint PRIMARY KEY, revision bigint NOT NULL, body text NOT NULL)", table);

  return pg_run(pg, pg->writer, sql, error);
}

static bool make_tables(StorePg *pg, GError **error)
{
  const char *values[] = {pg->schema};
  g_autoptr(PGresult) present = NULL;

  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!pg_make_table(pg, ws_resource_types[i]->plural, error))
      return false;
  present = pg_query(pg, pg->writer,
                     "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
                     " WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1) AND c.relkind = 'r'"
                     " AND a.attnum > 0 AND NOT a.attisdropped",
                     1, values, error);
  for (guint i = 0; present && i < ws_n_resource_types; i++) {
    const StoreTable *table = &pg->store->tables[i];
    for (guint k = 0; k < table->n_columns; k++)
      if (!has_column(present, table->type->plural, table->columns[k]->name) &&
          !add_column(pg, table->type->plural, table->columns[k], error))
        return false;
  }
  return present != NULL;
}

bool pg_upgrade(StorePg *pg, GError **error)
{
  gint64 version;

  if (!pg_run(pg, pg->writer, "BEGIN", error))
    return false;
  if (check_owner(pg, &version, error) && pg_make_base(pg, store_schema.version, error) && migrate(pg, version, error) && make_tables(pg, error) &&
      pg_run(pg, pg->writer, "COMMIT", error))
    return true;
  PQclear(PQexec(pg->writer, "ROLLBACK"));
  return false;
}
