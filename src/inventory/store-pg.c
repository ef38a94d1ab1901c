// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL: addresses, connections, and who may write. See store-pg.h.
 *
 * An address is libpq's "postgresql://host/database?option=value". It stands in command lines and logs, so a password
 * in it is refused: a passfile, a service file, PGPASSFILE or the server's peer authentication give one. */
#include "inventory/store-pg.h"
#include "base/log.h"
#include <string.h>
#include <unistd.h>

#define CONNECT_S      "5"
#define OPEN_TRIES     60 /* for the server to come up, or the session of a manager that was killed to end: */
#define OPEN_WAIT_US   (G_USEC_PER_SEC / 20)
#define BACKOFF_MIN_US (G_USEC_PER_SEC / 10)
#define BACKOFF_MAX_US (5 * G_USEC_PER_SEC)
#define DEFAULT_SCHEMA "winsphere"

/* ---- small things ---- */

bool pg_fail(StorePg *pg, PGconn *conn, const PGresult *result, WsErrorCode code, const char *doing, GError **error)
{
  const char *said = result ? PQresultErrorMessage(result) : "";
  g_autofree char *text = g_strstrip(g_strdup(*said ? said : conn ? PQerrorMessage(conn) : "no connection"));
  g_autofree char *cause = g_strdup_printf("%s: %s", doing, text);
  const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

  if (g_strcmp0(state, "XX001") == 0 || g_strcmp0(state, "XX002") == 0) /* data, or an index, is corrupted */
    return ws_fail(error, WS_ERROR_DATABASE_DAMAGED, "path", pg->store->path, "cause", cause, NULL);
  if (code == WS_ERROR_IO_ERROR)
    return ws_fail(error, code, "path", pg->store->path, "cause", cause, NULL);
  return ws_fail(error, code, "cause", cause, NULL);
}

bool pg_run(StorePg *pg, PGconn *conn, const char *sql, GError **error)
{
  g_autoptr(PGresult) result = PQexec(conn, sql);
  ExecStatusType status = PQresultStatus(result);

  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
    return true;
  return pg_fail(pg, conn, result, WS_ERROR_IO_ERROR, sql, error);
}

PGresult *pg_query(StorePg *pg, PGconn *conn, const char *sql, guint n, const char *const *values, GError **error)
{
  PGresult *result = PQexecParams(conn, sql, (int)n, NULL, values, NULL, NULL, 0);

  if (PQresultStatus(result) == PGRES_TUPLES_OK)
    return result;
  pg_fail(pg, conn, result, WS_ERROR_IO_ERROR, sql, error);
  PQclear(result);
  return NULL;
}

static void hear_notice(void *arg, const char *message)
{
  ws_log(WS_LOG_DEBUG, "postgresql-notice", "text", message, NULL);
}

/* ---- addresses ---- */

bool store_address_is_server(const char *path)
{
  return g_str_has_prefix(path, "postgresql://") || g_str_has_prefix(path, "postgres://");
}

typedef struct {
  bool has_password, has_service, has_sslmode;
} Address;

static bool parse_address(StorePg *pg, Address *address, GError **error)
{
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse(pg->store->path, &message);
  g_autofree char *cause = options ? NULL : g_strdup_printf("address of the database: %s", g_strstrip(message));

  PQfreemem(message);
  if (!options)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", "postgresql://...", "cause", cause, NULL);
  *address = (Address){false};
  for (const PQconninfoOption *option = options; option->keyword; option++) {
    bool is_set = option->val && *option->val;
    address->has_password |= is_set && (strcmp(option->keyword, "password") == 0 || strcmp(option->keyword, "sslpassword") == 0);
    address->has_service |= is_set && strcmp(option->keyword, "service") == 0;
    address->has_sslmode |= is_set && strcmp(option->keyword, "sslmode") == 0;
  }
  PQconninfoFree(options);
  return true;
}

/* Before anything is logged or kept that holds it. */
static bool check_address(StorePg *pg, GError **error)
{
  Address address;

  if (!parse_address(pg, &address, error))
    return false;
  if (!address.has_password)
    return true;
  g_free(pg->store->path);
  pg->store->path = g_strdup("postgresql://...");
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", pg->store->path, "cause",
                 "a password in the address of a database can be seen by others: put it into a file that passfile=FILE, a service or "
                 "PGPASSFILE names",
                 NULL);
}

/* ---- connections ---- */

/* What the address leaves open comes before it, what it cannot change behind. Over a network nothing is sent to a server
 * whose certificate does not prove its name, unless the address or a service says otherwise. */
static PGconn *dial(StorePg *pg, GError **error)
{
  const char *keys[16], *values[16];
  guint n = 0;
  Address address;
  PGconn *conn;

  if (!parse_address(pg, &address, error))
    return NULL;
#define OPTION(key, value) (keys[n] = (key), values[n++] = (value))
  OPTION("connect_timeout", CONNECT_S);
  OPTION("keepalives_idle", "10");
  OPTION("keepalives_interval", "5");
  OPTION("keepalives_count", "3");
  OPTION("tcp_user_timeout", "20000");
  OPTION("target_session_attrs", "read-write");
  if (!address.has_service && !address.has_sslmode && !g_getenv("PGSSLMODE"))
    OPTION("sslmode", "verify-full");
  OPTION("dbname", pg->store->path);
  OPTION("client_encoding", "UTF8");
  OPTION("application_name", "wincenterd");
  OPTION(NULL, NULL);
#undef OPTION
  conn = PQconnectdbParams(keys, values, 1);
  if (PQstatus(conn) == CONNECTION_OK) {
    PQsetNoticeProcessor(conn, hear_notice, NULL);
    return conn;
  }
  pg_fail(pg, conn, NULL, WS_ERROR_IO_ERROR, "connect", error);
  PQfinish(conn);
  return NULL;
}

/* The schema that a plain search path names first; "$user" and public are what it says when nobody has chosen. */
static bool choose_schema(StorePg *pg, PGconn *conn, GError **error)
{
  g_autoptr(PGresult) result = pg_query(pg, conn, "SELECT split_part(current_setting('search_path'), ',', 1)", 0, NULL, error);
  g_autofree char *first = result ? g_strstrip(g_strdup(PQgetvalue(result, 0, 0))) : NULL;

  if (!first)
    return false;
  if (!*first || strchr(first, '"') || strcmp(first, "public") == 0)
    pg->schema = g_strconcat(DEFAULT_SCHEMA, pg->store->suffix, NULL);
  else
    pg->schema = g_strconcat(first, pg->store->suffix, NULL);
  return true;
}

/* A commit is answered once it is on the disk, also where the server's default is otherwise; a session whose client is gone
 * ends within half a minute. */
static bool set_session(StorePg *pg, PGconn *conn, bool read_only, GError **error)
{
  g_autofree char *schema = PQescapeIdentifier(conn, pg->schema, strlen(pg->schema)); /* malloc'ed, as g_free() expects */
  g_autofree char *sql = g_strdup_printf(
      "SET search_path TO %s; SET client_min_messages TO warning; SET standard_conforming_strings TO on;"
      "SET lock_timeout TO '10s'; SET idle_in_transaction_session_timeout TO '60s';"
      "SET tcp_keepalives_idle TO 10; SET tcp_keepalives_interval TO 5; SET tcp_keepalives_count TO 3;"
      "SET default_transaction_read_only TO %s;"
      "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
      schema, read_only ? "on" : "off");

  if (strcmp(PQparameterStatus(conn, "server_encoding"), "UTF8") != 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", pg->store->path, "cause", "the encoding of the database is not UTF8", NULL);
  return pg_run(pg, conn, sql, error);
}

PGconn *pg_connect(StorePg *pg, bool read_only, GError **error)
{
  PGconn *conn = dial(pg, error);

  if (conn && (pg->schema || choose_schema(pg, conn, error)) && set_session(pg, conn, read_only, error))
    return conn;
  PQfinish(conn);
  return NULL;
}

/* ---- lock and lease ---- */

static bool try_lock(StorePg *pg, PGconn *conn, bool *locked, GError **error)
{
  const char *values[] = {pg->schema};
  g_autoptr(PGresult) result =
      pg_query(pg, conn, "SELECT pg_try_advisory_lock(" PG_LOCK_CLASS ", hashtext($1))", 1, values, error);

  *locked = result && PQgetvalue(result, 0, 0)[0] == 't';
  return result != NULL;
}

/* Who has the database open, as it said itself; caller frees. */
static char *lease_holder(StorePg *pg, PGconn *conn)
{
  g_autoptr(PGresult) result =
      pg_query(pg, conn, "SELECT holder || ', since ' || to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"Z\"') FROM lease", 0,
               NULL, NULL);

  return g_strdup(result && PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "unknown");
}

/* A session that still holds the lock although it was our own: the network has lost its end. */
static void end_own_session(StorePg *pg, PGconn *conn)
{
  g_autofree char *epoch = g_strdup_printf("%" G_GUINT64_FORMAT, pg->epoch);
  const char *values[] = {pg->schema, epoch};
  g_autoptr(PGresult) result =
      pg_query(pg, conn,
               "SELECT pg_terminate_backend(l.pid) FROM pg_locks l, lease WHERE l.locktype = 'advisory' AND l.granted"
               " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
               " AND l.classid = " PG_LOCK_CLASS "::oid AND l.objid = (hashtext($1)::bigint & 4294967295)::oid"
               " AND l.pid = lease.backend AND lease.epoch = $2::bigint",
               2, values, NULL);
}

static void check_lease(StorePg *pg, PGconn *conn)
{
  g_autoptr(PGresult) result = pg_query(pg, conn, "SELECT epoch FROM lease", 0, NULL, NULL);

  if (result && PQntuples(result) == 1 && g_ascii_strtoull(PQgetvalue(result, 0, 0), NULL, 10) != pg->epoch)
    store_die(pg->store, "reconnect", "another manager has taken this database over");
}

static bool take_lock(StorePg *pg, PGconn *conn, GError **error)
{
  bool locked = false;

  for (guint i = 0; i < OPEN_TRIES; i++) {
    if (!try_lock(pg, conn, &locked, error))
      return false;
    if (locked)
      return true;
    if (pg->epoch != 0)
      end_own_session(pg, conn);
    if (!store_wait(pg->store, OPEN_WAIT_US))
      break;
  }
  if (pg->epoch != 0)
    check_lease(pg, conn);
  g_autofree char *holder = lease_holder(pg, conn);
  g_autofree char *cause = g_strdup_printf("another manager has it open (%s)", holder);
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", pg->store->path, "cause", cause, NULL);
}

/* A new epoch: from here on, what an older manager still sends fails. */
static bool take_lease(StorePg *pg, GError **error)
{
  g_autofree char *holder = g_strdup_printf("%s, process %d", g_get_host_name(), (int)getpid());
  const char *values[] = {holder};
  g_autoptr(PGresult) result = pg_query(pg, pg->writer,
                                        "UPDATE lease SET epoch = epoch + 1, number = 0, holder = $1, since = now(),"
                                        " backend = pg_backend_pid() RETURNING epoch",
                                        1, values, error);

  if (!result)
    return false;
  g_assert(PQntuples(result) == 1);
  pg->epoch = g_ascii_strtoull(PQgetvalue(result, 0, 0), NULL, 10);
  pg->number = 0;
  return true;
}

/* After a reconnect, holding the lock: is it still ours, and where does it stand? pg->number may become one more: the
 * transaction whose answer was lost. */
static bool renew_lease(StorePg *pg, PGconn *conn, GError **error)
{
  g_autofree char *epoch = g_strdup_printf("%" G_GUINT64_FORMAT, pg->epoch);
  const char *values[] = {epoch};
  g_autoptr(PGresult) result = pg_query(
      pg, conn, "UPDATE lease SET backend = pg_backend_pid() WHERE epoch = $1::bigint RETURNING number", 1, values, error);
  guint64 number;

  if (!result)
    return false;
  if (PQntuples(result) != 1)
    store_die(pg->store, "reconnect", "another manager has taken this database over");
  number = g_ascii_strtoull(PQgetvalue(result, 0, 0), NULL, 10);
  if (number < pg->number)
    store_die(pg->store, "reconnect", "the database has forgotten changes that it had acknowledged: an older copy of it answers now");
  g_assert(number <= pg->number + 1);
  pg->number = number;
  return true;
}

/* ---- the writing session ---- */

void pg_lose_writer(StorePg *pg)
{
  g_clear_pointer(&pg->writer, PQfinish);
  pg->backoff_us = 0;
  pg->next_try_us = 0;
}

static PGconn *reconnect(StorePg *pg, GError **error)
{
  g_autoptr(PGconn) conn = pg_connect(pg, false, error);

  if (conn && take_lock(pg, conn, error) && renew_lease(pg, conn, error) && pg_prepare(pg, conn, error))
    return g_steal_pointer(&conn);
  return NULL;
}

bool pg_writer(StorePg *pg, bool patient, GError **error)
{
  WsClock *clock = ws_loop_clock(pg->store->loop);
  gint64 early = pg->next_try_us - ws_clock_monotonic_us(clock);

  if (pg->writer)
    return true;
  if (early > 0 && !patient)
    return ws_fail(error, WS_ERROR_READ_ONLY, "cause", "no connection to the database", NULL);
  if (early > 0 && !store_wait(pg->store, early))
    return ws_fail(error, WS_ERROR_READ_ONLY, "cause", "no connection to the database", NULL);
  pg->writer = reconnect(pg, error);
  if (!pg->writer) {
    pg->backoff_us = CLAMP(pg->backoff_us * 2, BACKOFF_MIN_US, BACKOFF_MAX_US);
    pg->next_try_us = ws_clock_monotonic_us(clock) + pg->backoff_us;
    return false;
  }
  ws_log(WS_LOG_NOTICE, "store-reconnected", "database", pg->store->path, NULL);
  pg->backoff_us = 0;
  return true;
}

/* ---- opening and closing ---- */

/* The server may be on its way up: both may have been started together. */
static bool connect_patiently(StorePg *pg, GError **error)
{
  GError *failure = NULL;

  for (guint i = 0; i < OPEN_TRIES; i++) {
    g_clear_error(&failure);
    pg->writer = pg_connect(pg, false, &failure);
    if (pg->writer)
      return true;
    if (!strstr(ws_error_cause(failure), "starting up") || !store_wait(pg->store, OPEN_WAIT_US))
      break;
  }
  g_propagate_error(error, failure);
  return false;
}

static void warn_of_server_settings(StorePg *pg)
{
  g_autoptr(PGresult) result =
      pg_query(pg, pg->writer, "SELECT 1 WHERE current_setting('fsync') = 'off' OR current_setting('full_page_writes') = 'off'", 0, NULL, NULL);

  if (result && PQntuples(result) > 0)
    ws_log(WS_LOG_WARNING, "store-server-not-durable", "database", pg->store->path, "cause",
           "fsync or full_page_writes is off in the server: a power failure can destroy the database", NULL);
}

static bool hold_database(Store *store, GError **error)
{
  StorePg *pg = g_new0(StorePg, 1);

  store->db = pg;
  pg->store = store;
  pthread_mutex_init(&pg->read_lock, NULL);
  return check_address(pg, error) && connect_patiently(pg, error) && take_lock(pg, pg->writer, error);
}

static bool open_database(Store *store, GError **error)
{
  StorePg *pg = store->db;

  if (!pg_upgrade(pg, error) || !take_lease(pg, error) || !pg_prepare(pg, pg->writer, error))
    return false;
  warn_of_server_settings(pg);
  pg->reader = pg_connect(pg, true, error);
  return pg->reader != NULL;
}

static void close_database(Store *store)
{
  StorePg *pg = store->db;

  PQfinish(pg->writer);
  PQfinish(pg->reader);
  pthread_mutex_destroy(&pg->read_lock);
  g_free(pg->schema);
  g_free(pg);
}

const StoreBackend store_pg = {
    .hold = hold_database,
    .open = open_database,
    .close = close_database,
    .load = pg_load,
    .get_meta = pg_get_meta,
    .write = pg_write,
    .query = pg_history_query,
    .expire = pg_expire,
    .begin_view = pg_begin_view,
    .view_table = pg_view_table,
    .view_facts = pg_view_facts,
    .end_view = pg_end_view,
    .begin_fill = pg_begin_fill,
    .begin_table = pg_begin_table,
    .fill_row = pg_fill_row,
    .end_table = pg_end_table,
    .fill_fact = pg_fill_fact,
    .end_fill = pg_end_fill,
    .look = pg_look,
    .take_place = pg_take_place,
    .drop_beside = pg_drop_beside,
};
