// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL: transactions, in one round trip each. See store-pg.h.
 *
 * BEGIN, the fence, every row and COMMIT are sent in one go (libpq's pipeline mode) and answered in one. When the connection
 * breaks before COMMIT is answered, the outcome is unknown: nothing is said to anybody until a new session holds the lock
 * and has read the transaction's number in the lease. If it is not there, the transaction is sent again. */
#include "inventory/store-pg.h"
#include "base/log.h"
#include <poll.h>
#include <string.h>

#define TRIES       3
#define COLUMNS_MAX 32

typedef enum { PG_COMMITTED, PG_REFUSED, PG_LOST } Outcome;
/* Sends what a transaction consists of. False: `error` (the fault hook's), or the connection takes no more. */
typedef bool (*Send)(StorePg *pg, void *arg, GError **error);

/* ---- statements ---- */

static char *put_sql(const StoreTable *table)
{
  GString *names = g_string_new("id, revision, body"), *places = g_string_new("$1, $2, $3");
  g_autoptr(GString) changes = g_string_new("revision = EXCLUDED.revision, body = EXCLUDED.body");
  char *sql;

  for (guint i = 0; i < table->n_columns; i++) {
    const char *name = table->columns[i]->name;
    g_string_append_printf(names, ", \"%s\"", name);
    g_string_append_printf(places, ", $%u", i + 4);
    g_string_append_printf(changes, ", \"%s\" = EXCLUDED.\"%s\"", name, name);
  }
  sql = g_strdup_printf("INSERT INTO \"%s\" (%s) VALUES (%s) ON CONFLICT (id) DO UPDATE SET %s", table->type->plural, names->str,
                        places->str, changes->str);
  g_string_free(names, TRUE);
  g_string_free(places, TRUE);
  return sql;
}

static char *statement_name(const StoreTable *table, const char *verb, char name[static 24])
{
  g_snprintf(name, 24, "%s%u", verb, table->type->index);
  return name;
}

static bool send_prepare_tables(StorePg *pg, PGconn *conn)
{
  char name[24];

  for (guint i = 0; i < ws_n_resource_types; i++) {
    const StoreTable *table = &pg->store->tables[i];
    g_autofree char *put = put_sql(table);
    g_autofree char *drop = g_strdup_printf("DELETE FROM \"%s\" WHERE id = $1", table->type->plural);
    g_autofree char *expire =
        table->history ? g_strdup_printf("DELETE FROM \"%s\" WHERE id IN (SELECT id FROM \"%s\" WHERE \"time\" < $1"
                                         " ORDER BY \"time\" LIMIT %d)",
                                         table->type->plural, table->type->plural, STORE_EXPIRE_ROWS)
                       : NULL;
    if (!PQsendPrepare(conn, statement_name(table, "put", name), put, 0, NULL) ||
        !PQsendPrepare(conn, statement_name(table, "drop", name), drop, 0, NULL) ||
        (expire && ws_type_field(table->type, "time", 4) &&
         !PQsendPrepare(conn, statement_name(table, "expire", name), expire, 0, NULL)))
      return false;
  }
  return true;
}

/* The fence: of an older epoch it violates NOT NULL, and the transaction with it. */
static bool send_prepare(StorePg *pg, PGconn *conn)
{
  static const char *const statements[][2] = {
      {"begin", "BEGIN"},
      {"commit", "COMMIT"},
      {"rollback", "ROLLBACK"},
      {"fence", "UPDATE lease SET number = $1::bigint, epoch = CASE WHEN epoch = $2::bigint THEN epoch END"},
      {"meta", "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value"},
  };

  for (guint i = 0; i < G_N_ELEMENTS(statements); i++)
    if (!PQsendPrepare(conn, statements[i][0], statements[i][1], 0, NULL))
      return false;
  return send_prepare_tables(pg, conn) && PQpipelineSync(conn);
}

typedef struct {
  bool committed, synced; /* synced: all has been answered */
  PGresult *failed;       /* the first refusal */
  guint64 n_deleted;
} Answers;

/* Takes all answers of a pipeline. After those of each statement comes a NULL; two in a row, and the connection has lost the
 * rest (its status does not always say so). */
static void take_answers(PGconn *conn, Answers *answers)
{
  guint n_nulls = 0;

  *answers = (Answers){false};
  while (!answers->synced && n_nulls < 2) {
    PGresult *result = PQgetResult(conn);
    ExecStatusType status = PQresultStatus(result);
    n_nulls = result ? 0 : n_nulls + 1;
    answers->synced = result && status == PGRES_PIPELINE_SYNC;
    if (result && status == PGRES_COMMAND_OK) {
      answers->committed |= strcmp(PQcmdStatus(result), "COMMIT") == 0;
      if (g_str_has_prefix(PQcmdStatus(result), "DELETE"))
        answers->n_deleted += g_ascii_strtoull(PQcmdTuples(result), NULL, 10);
    }
    if (result && status == PGRES_FATAL_ERROR && !answers->failed)
      answers->failed = g_steal_pointer(&result);
    PQclear(result);
  }
}

bool pg_prepare(StorePg *pg, PGconn *conn, GError **error)
{
  Answers answers = {false};
  bool ok;

  if (PQenterPipelineMode(conn) && send_prepare(pg, conn))
    take_answers(conn, &answers);
  ok = (answers.synced && !answers.failed && PQexitPipelineMode(conn)) ||
       pg_fail(pg, conn, answers.failed, WS_ERROR_IO_ERROR, "prepare", error);
  PQclear(answers.failed);
  return ok;
}

static bool send_statement(StorePg *pg, const char *name, guint n, const char *const *values)
{
  return PQsendQueryPrepared(pg->writer, name, (int)n, values, NULL, NULL, 0) == 1;
}

/* ---- one transaction ---- */

static bool hit_fault(StorePg *pg, const char *point, GError **error)
{
  int injected = store_fault(pg->store, point);

  return injected != 0 && !ws_fail(error, WS_ERROR_READ_ONLY, "cause", g_strerror(injected), NULL);
}

/* Up to COMMIT; after an injected fault up to ROLLBACK. False: the connection takes no more. */
static bool send_transaction(StorePg *pg, guint64 number, Send send, void *arg, GError **injected)
{
  g_autofree char *number_text = g_strdup_printf("%" G_GUINT64_FORMAT, number),
                  *epoch = g_strdup_printf("%" G_GUINT64_FORMAT, pg->epoch);
  const char *fence[] = {number_text, epoch};

  if (!PQenterPipelineMode(pg->writer) || !send_statement(pg, "begin", 0, NULL) || !send_statement(pg, "fence", 2, fence))
    return false;
  if (!send(pg, arg, injected) && !*injected)
    return false;
  if (!*injected)
    hit_fault(pg, "commit", injected);
  return send_statement(pg, *injected ? "rollback" : "commit", 0, NULL) && PQpipelineSync(pg->writer);
}

/* Leaves the session ready for the next transaction, or gone. */
static void settle(StorePg *pg)
{
  if (!pg->writer)
    return;
  if (!PQexitPipelineMode(pg->writer)) {
    pg_lose_writer(pg);
    return;
  }
  if (PQtransactionStatus(pg->writer) != PQTRANS_IDLE)
    PQclear(PQexec(pg->writer, "ROLLBACK"));
  if (PQtransactionStatus(pg->writer) != PQTRANS_IDLE)
    pg_lose_writer(pg);
}

static bool is_state(const PGresult *failed, const char *prefix)
{
  return g_str_has_prefix(PQresultErrorField(failed, PG_DIAG_SQLSTATE) ?: "", prefix);
}

static void judge_refusal(StorePg *pg, const PGresult *failed)
{
  if (is_state(failed, "23502") && g_strcmp0(PQresultErrorField(failed, PG_DIAG_TABLE_NAME), "lease") == 0)
    store_die(pg->store, "write", "another manager has taken this database over; nothing of this change was written");
  if (is_state(failed, "25006") && pg->writer) /* read-only: this server has become a standby, another one takes writes */
    pg_lose_writer(pg);
}

static Outcome attempt(StorePg *pg, guint64 number, Send send, void *arg, GError **error)
{
  GError *injected = NULL;
  Answers answers = {false};

  if (hit_fault(pg, "begin", error))
    return PG_REFUSED;
  if (send_transaction(pg, number, send, arg, &injected)) {
    store_fault(pg->store, "sent");
    take_answers(pg->writer, &answers);
  }
  pg->n_deleted = answers.n_deleted;
  if (!answers.committed && answers.synced) {
    if (injected)
      g_propagate_error(error, g_steal_pointer(&injected));
    else
      pg_fail(pg, pg->writer, answers.failed, WS_ERROR_READ_ONLY, "write", error);
    if (answers.failed)
      judge_refusal(pg, answers.failed);
  }
  PQclear(answers.failed);
  g_clear_error(&injected);
  if (!answers.committed && !answers.synced)
    return PG_LOST;
  settle(pg);
  return answers.committed ? PG_COMMITTED : PG_REFUSED;
}

/* ---- what became of it ---- */

/* Until a session has the lock again: pg->number then tells. */
static void find_out(StorePg *pg)
{
  GError *error = NULL;

  ws_log(WS_LOG_WARNING, "store-connection-lost", "database", pg->store->path, "cause", PQerrorMessage(pg->writer), NULL);
  pg_lose_writer(pg);
  while (!pg_writer(pg, true, &error)) {
    if (!store_wait(pg->store, 0))
      store_die(pg->store, "shutdown", "the outcome of the last transaction is unknown: the database could not be reached again");
    g_atomic_int_set(&pg->store->stalled, 1);
    store_set_state(pg->store, error);
    g_clear_error(&error);
  }
  g_atomic_int_set(&pg->store->stalled, 0);
}

/* What a server says before it ends a session comes before the end itself. */
static bool has_ended(PGconn *conn)
{
  struct pollfd fd = {PQsocket(conn), POLLIN, 0};

  while (PQstatus(conn) == CONNECTION_OK && poll(&fd, 1, 0) > 0)
    if (!PQconsumeInput(conn))
      return true;
  return PQstatus(conn) != CONNECTION_OK;
}

/* A session that has ended before anything was sent leaves nothing unknown. */
static void notice_loss(StorePg *pg)
{
  if (!pg->writer || !has_ended(pg->writer))
    return;
  ws_log(WS_LOG_WARNING, "store-connection-lost", "database", pg->store->path, "cause", PQerrorMessage(pg->writer), NULL);
  pg_lose_writer(pg);
}

static bool run_transaction(StorePg *pg, Send send, void *arg, GError **error)
{
  for (guint i = 0; i < TRIES; i++) {
    guint64 number = pg->number + 1;
    Outcome outcome;

    notice_loss(pg);
    if (!pg_writer(pg, false, error))
      return false;
    outcome = attempt(pg, number, send, arg, error);
    if (outcome == PG_REFUSED)
      return false;
    if (outcome == PG_LOST)
      find_out(pg);
    else
      pg->number = number;
    if (pg->number == number) {
      store_fault(pg->store, "committed");
      return true;
    }
  }
  return ws_fail(error, WS_ERROR_READ_ONLY, "cause", "the connection to the database breaks at each attempt", NULL);
}

/* ---- rows ---- */

/* The field's value as text for its column; NULL: absent. `buffer` lives as long as the result. */
static const char *column_text(const WsField *field, const void *object, char buffer[static WS_ID_TEXT_MAX + 32])
{
  const void *value = ws_field_at(field, object);
  WsId id = 0;
  const WsType *type = NULL;

  switch ((WsKind)field->kind) {
  case WS_KIND_BOOL:
    return *(const bool *)value ? "t" : "f";
  case WS_KIND_INT:
    if (*(const gint64 *)value == WS_INT_UNSET)
      return NULL;
    g_snprintf(buffer, 32, "%" G_GINT64_FORMAT, *(const gint64 *)value);
    return buffer;
  case WS_KIND_DOUBLE:
    return *(const double *)value == *(const double *)value ? g_ascii_dtostr(buffer, 32, *(const double *)value) : NULL;
  case WS_KIND_STRING:
    return *(char *const *)value;
  case WS_KIND_ENUM:
    return *(const int *)value == 0 ? NULL : field->names[*(const int *)value - 1];
  case WS_KIND_TIME:
    return *(const gint64 *)value == 0 ? NULL : ws_time_format(*(const gint64 *)value, buffer);
  case WS_KIND_REF:
    id = *(const WsId *)value;
    type = field->sub;
    break;
  case WS_KIND_ANYREF:
    id = ((const WsAnyRef *)value)->id;
    type = ((const WsAnyRef *)value)->type;
    break;
  default:
    g_assert_not_reached();
  }
  return id == 0 || !type ? NULL : ws_id_format(type->prefix, id, buffer);
}

static bool send_row(StorePg *pg, const StoreRow *row)
{
  const StoreTable *table = store_table(pg->store, row->type);
  char name[24], id[24], revision[24], buffers[COLUMNS_MAX][WS_ID_TEXT_MAX + 32];
  const char *values[3 + COLUMNS_MAX];

  g_snprintf(id, sizeof id, "%" G_GUINT64_FORMAT, row->id);
  values[0] = id;
  if (!row->object)
    return send_statement(pg, statement_name(table, "drop", name), 1, values);
  g_snprintf(revision, sizeof revision, "%" G_GUINT64_FORMAT, row->revision);
  store_write_body(pg->store, row);
  values[1] = revision;
  values[2] = pg->store->body->str;
  g_assert(table->n_columns <= COLUMNS_MAX);
  for (guint i = 0; i < table->n_columns; i++)
    values[3 + i] = column_text(table->columns[i], row->object, buffers[i]);
  return send_statement(pg, statement_name(table, "put", name), 3 + table->n_columns, values);
}

static bool send_jobs(StorePg *pg, void *arg, GError **error)
{
  for (const StoreJob *job = arg; job; job = job->next) {
    for (guint i = 0; i < job->n_rows; i++)
      if (hit_fault(pg, "row", error) || !send_row(pg, &job->rows[i]))
        return false;
    for (char **meta = job->meta; meta && meta[0]; meta += 2)
      if (!send_statement(pg, "meta", 2, (const char *const *)meta))
        return false;
  }
  return true;
}

bool pg_write(Store *store, const StoreJob *first, GError **error)
{
  return run_transaction(store->db, send_jobs, (void *)first, error);
}

/* ---- expiry ---- */

typedef struct {
  const StoreTable *table;
  char before[32];
} Expire;

static bool send_expire(StorePg *pg, void *arg, GError **error)
{
  Expire *expire = arg;
  const char *values[] = {expire->before};
  char name[24];

  return send_statement(pg, statement_name(expire->table, "expire", name), 1, values);
}

bool pg_expire(Store *store, const StoreTable *table, gint64 wall_us, bool *more, GError **error)
{
  StorePg *pg = store->db;
  Expire expire = {.table = table};

  *more = false;
  ws_time_format(wall_us, expire.before);
  if (!run_transaction(pg, send_expire, &expire, error))
    return false;
  *more = pg->n_deleted == STORE_EXPIRE_ROWS;
  return true;
}
