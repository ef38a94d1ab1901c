// SPDX-License-Identifier: Apache-2.0
/* What a PostgreSQL server can do to the manager: sessions that end, answers that are lost, crashes, absence, and a second
 * manager. What it has in common with a file is in the other programs of the inventory, under "/on-server". */
#include "inventory-work.h"
#include "pg-server.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- helpers ---- */

static const char end_sessions[] =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'wincenterd'";

typedef struct {
  bool ended, ok;
  InvRig *rig;
  char *name;
  GError *error;
} Commit;

static void commit_pool(void *arg)
{
  Commit *c = arg;
  g_autoptr(InvTxn) txn = inv_begin(c->rig->inv);

  inv_rig_pool(txn, c->name);
  c->ok = inv_commit(txn, NULL, &c->error);
  c->ended = true;
}

static gint64 count_pools(const InvRig *rig)
{
  return inv_rig_sql_int(rig, "SELECT count(*) FROM pools");
}

static guint pools_in_memory(const InvRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);

  return inv_count(snap, &ws_type_pool);
}

/* ---- sessions that end ---- */

static void session_that_ends_while_idle_goes_unnoticed(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  WorkState acked = {{0}};

  g_assert_true(inv_work_run(rig, 2, NULL, NULL));
  pg_server_run(end_sessions);
  g_assert_true(inv_work_run(rig, 2, NULL, NULL));
  g_assert_cmpint(store_state(rig->store), ==, STORE_WRITABLE);
  acked = (WorkState){{4, 4, 4}};
  inv_work_verify(rig, &acked, NULL); /* which reads history: that session had ended too */
}

typedef struct {
  InvRig *rig;
  const char *at;
  guint left;
  PGconn *blocker;
} Cut;

/* The transaction has been sent: waits until it is committed, and takes the session away before its answer is read. */
static int cut_after_commit(const char *point, void *arg)
{
  Cut *cut = arg;

  if (strcmp(point, "sent") != 0 || cut->left == 0 || --cut->left > 0)
    return 0;
  while (count_pools(cut->rig) == 0)
    g_usleep(1000);
  pg_server_run(end_sessions);
  return 0;
}

static void commit_whose_answer_is_lost_is_found_and_not_repeated(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Cut cut = {.rig = rig, .left = 1};
  InvTxn *txn = inv_begin(rig->inv);

  store_set_fault(rig->store, cut_after_commit, &cut);
  inv_rig_pool(txn, "p");
  inv_append_history(txn, inv_rig_event("vm-1", 1));
  inv_rig_commit_ok(rig, txn);
  g_assert_cmpuint(cut.left, ==, 0);
  g_assert_cmpint(count_pools(rig), ==, 1);
  g_assert_cmpuint(pools_in_memory(rig), ==, 1);
  g_assert_cmpint(store_state(rig->store), ==, STORE_WRITABLE);
}

/* A transaction that begins now cannot commit while the blocker lives. */
static void block(Cut *cut)
{
  g_autofree char *address = pg_server_address(cut->rig->schema);

  cut->blocker = PQconnectdb(address);
  PQclear(PQexec(cut->blocker, "BEGIN"));
  PQclear(PQexec(cut->blocker, "SELECT * FROM lease FOR UPDATE"));
  g_assert_cmpstr(PQerrorMessage(cut->blocker), ==, "");
}

/* Keeps the transaction from committing, and takes its session away. */
static int cut_before_commit(const char *point, void *arg)
{
  Cut *cut = arg;

  if (cut->left == 0)
    return 0;
  if (strcmp(point, "begin") == 0) {
    block(cut);
  } else if (strcmp(point, "sent") == 0) {
    cut->left = 0;
    pg_server_run(end_sessions);
    PQfinish(cut->blocker);
  }
  return 0;
}

static void transaction_that_did_not_arrive_is_sent_again(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Cut cut = {.rig = rig, .left = 1};
  InvTxn *txn = inv_begin(rig->inv);

  store_set_fault(rig->store, cut_before_commit, &cut);
  inv_rig_pool(txn, "p");
  inv_rig_commit_ok(rig, txn);
  g_assert_cmpuint(cut.left, ==, 0);
  g_assert_cmpint(count_pools(rig), ==, 1);
}

/* ---- crashes of the server ---- */

static int crash_server(const char *point, void *arg)
{
  Cut *cut = arg;

  if (strcmp(point, cut->at) == 0 && cut->left > 0 && --cut->left == 0) {
    pg_server_crash();
    pg_server_start();
  }
  return 0;
}

static void crash_of_the_server_loses_nothing(void)
{
  static const char *const points[] = {"begin", "row", "commit", "sent", "committed"};

  for (guint i = 0; i < G_N_ELEMENTS(points); i++) {
    g_autoptr(InvRig) rig = inv_rig_new(false);
    Cut cut = {.rig = rig, .at = points[i], .left = 3};
    WorkState acked = {{4, 4, 4}};
    store_set_fault(rig->store, crash_server, &cut);
    g_assert_true(inv_work_run(rig, 4, NULL, NULL));
    g_assert_cmpuint(cut.left, ==, 0);
    inv_work_verify(rig, &acked, NULL);
    inv_rig_close(rig);
    inv_rig_open(rig);
    inv_work_verify(rig, &acked, NULL);
  }
}

/* Nothing is under way when the server goes: changes are refused at once, reading goes on, and it comes back by itself. */
static void absent_server_refuses_changes_until_it_is_back(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  g_autoptr(GPtrArray) found = g_ptr_array_new();
  InvTxn *txn = inv_begin(rig->inv), *late = inv_begin(rig->inv);
  GError *error = NULL;

  inv_rig_pool(txn, "p");
  inv_rig_commit_ok(rig, txn);
  pg_server_crash();
  txn = inv_begin(rig->inv);
  inv_rig_pool(txn, "q");
  g_assert_false(inv_rig_commit(rig, txn, NULL, &error));
  inv_rig_assert_error(&error, WS_ERROR_READ_ONLY, NULL);
  inv_txn_free(txn);
  g_assert_cmpint(store_state(rig->store), ==, STORE_READ_ONLY);
  g_assert_cmpuint(pools_in_memory(rig), ==, 1);
  g_assert_false(store_query_history(rig->store, &ws_type_event, NULL, 0, 0, 1, found, &error));
  inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  pg_server_start();
  while (store_state(rig->store) == STORE_READ_ONLY) /* meson's time limit is the only one */
    ws_loop_step(rig->loop, 100);
  inv_rig_pool(late, "r");
  inv_rig_commit_ok(rig, late);
  g_assert_cmpint(count_pools(rig), ==, 2);
}

static int crash_and_stay_away(const char *point, void *arg)
{
  Cut *cut = arg;

  if (cut->left == 0)
    return 0;
  if (strcmp(point, "begin") == 0) {
    block(cut); /* else the answer may be quicker than the crash */
  } else if (strcmp(point, "sent") == 0) {
    cut->left = 0;
    pg_server_crash();
    PQfinish(cut->blocker);
  }
  return 0;
}

/* Something is under way when the server goes: it waits for its answer; what comes later is refused. */
static void change_of_unknown_outcome_waits_for_the_server(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Cut cut = {.rig = rig, .left = 1};
  Commit first = {.rig = rig, .name = "p"}, second = {.rig = rig, .name = "q"}, third = {.rig = rig, .name = "r"};

  store_set_fault(rig->store, crash_and_stay_away, &cut);
  ws_co_start(rig->loop, commit_pool, &first);
  while (!store_is_stalled(rig->store))
    ws_loop_step(rig->loop, 10);
  g_assert_cmpint(store_state(rig->store), ==, STORE_READ_ONLY);
  g_assert_false(first.ended);
  inv_rig_run(rig, commit_pool, &second);
  g_assert_false(second.ok);
  inv_rig_assert_error(&second.error, WS_ERROR_READ_ONLY, NULL);
  g_assert_false(first.ended);
  pg_server_start();
  inv_rig_wait(rig, &first.ended);
  g_assert_no_error(first.error);
  inv_rig_run(rig, commit_pool, &third);
  g_assert_no_error(third.error);
  g_assert_cmpint(count_pools(rig), ==, 2);
  g_assert_cmpuint(pools_in_memory(rig), ==, 2);
}

/* A copy that is older than what was acknowledged answers instead: as after a failover that lost something. */
static int forget(const char *point, void *arg)
{
  InvRig *rig = arg;

  if (strcmp(point, "begin") == 0) {
    inv_rig_sql(rig, "UPDATE lease SET number = number - 1");
    pg_server_run(end_sessions);
  }
  return 0;
}

/* ---- children ---- */

typedef struct {
  pid_t pid;
  int to, from;
} Child;

/* --child KIND ADDRESS: one commit, "1" to stdout, waits for a byte, one more commit, "2". */
static int run_child(char **argv)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(argv[3]);
  char byte;

  inv_rig_open(rig);
  for (guint i = 1; i <= 2; i++) {
    Commit c = {.rig = rig, .name = "child"};
    if (i == 2 && strcmp(argv[2], "forgets") == 0) {
      pg_server_use(argv[4]);
      rig->schema = g_strdup(argv[5]);
      store_set_fault(rig->store, forget, rig);
    }
    inv_rig_run(rig, commit_pool, &c);
    if (!c.ok || write(STDOUT_FILENO, i == 1 ? "1" : "2", 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1)
      return 3;
  }
  return 0;
}

static Child start_child(const char *kind, const InvRig *rig)
{
  g_autofree char *socket_dir = pg_server_dir();
  const char *argv[] = {"test-inventory-server", "--child", kind, rig->path, socket_dir, rig->schema, NULL};
  int to[2], from[2];
  Child child;

  g_assert_cmpint(pipe(to), ==, 0);
  g_assert_cmpint(pipe(from), ==, 0);
  child = (Child){fork(), to[1], from[0]};
  if (child.pid == 0) {
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    for (int fd = 3; fd < 64; fd++)
      close(fd);
    execv("/proc/self/exe", (char **)argv);
    _exit(4);
  }
  close(to[0]);
  close(from[1]);
  return child;
}

static void expect_byte(Child *child, char expected)
{
  char byte = 0;

  g_assert_cmpint(read(child->from, &byte, 1), ==, 1);
  g_assert_cmpint(byte, ==, expected);
}

static int end_child(Child *child)
{
  char byte;
  int status;

  g_assert_cmpint(write(child->to, "x", 1), ==, 1);
  g_assert_cmpint(read(child->from, &byte, 1), ==, 0); /* says no more */
  g_assert_cmpint(waitpid(child->pid, &status, 0), ==, child->pid);
  close(child->to);
  close(child->from);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- two managers ---- */

static InvRig *rig_with_child(const char *kind, Child *child)
{
  InvRig *rig = inv_rig_new_closed(NULL);

  *child = start_child(kind, rig);
  expect_byte(child, '1');
  return rig;
}

static void assert_refused(const InvRig *rig, const char *cause)
{
  WsLoop *loop = ws_loop_new(ws_clock_system());
  GError *error = NULL;

  g_assert_null(store_open(rig->path, loop, &error));
  g_assert_nonnull(strstr(ws_error_cause(error), cause));
  inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  ws_loop_free(loop);
}

static void second_manager_is_refused_and_told_who_is_there(void)
{
  Child child;
  g_autoptr(InvRig) rig = rig_with_child("steady", &child);
  g_autofree char *process = g_strdup_printf("%s, process %d", g_get_host_name(), (int)child.pid);

  assert_refused(rig, process);
  g_assert_cmpint(write(child.to, "x", 1), ==, 1);
  expect_byte(&child, '2'); /* undisturbed */
  g_assert_cmpint(end_child(&child), ==, 0);
  inv_rig_open(rig); /* and afterwards it is free */
  g_assert_cmpuint(pools_in_memory(rig), ==, 2);
}

/* However the lease went to somebody else while this manager was held up: what it sends under the old epoch fails. */
static void write_under_an_old_epoch_fails_and_ends_the_process(void)
{
  Child child;
  g_autoptr(InvRig) rig = rig_with_child("steady", &child);

  inv_rig_sql(rig, "UPDATE lease SET epoch = epoch + 1");
  g_assert_cmpint(end_child(&child), ==, 74);
  g_assert_cmpint(count_pools(rig), ==, 1);
}

/* Its session ended, another manager came, and then it goes on: as after a pause or a partition. */
static void manager_that_lost_its_session_to_another_ends(void)
{
  Child child;
  g_autoptr(InvRig) rig = rig_with_child("steady", &child);

  g_assert_cmpint(kill(child.pid, SIGSTOP), ==, 0);
  pg_server_run(end_sessions);
  inv_rig_open(rig);
  g_assert_cmpuint(pools_in_memory(rig), ==, 1);
  g_assert_cmpint(kill(child.pid, SIGCONT), ==, 0);
  g_assert_cmpint(end_child(&child), ==, 74);
  g_assert_cmpint(count_pools(rig), ==, 1);
  InvTxn *txn = inv_begin(rig->inv);
  inv_rig_pool(txn, "mine");
  inv_rig_commit_ok(rig, txn);
}

static void database_that_forgot_what_it_acknowledged_ends_the_process(void)
{
  Child child;
  g_autoptr(InvRig) rig = rig_with_child("forgets", &child);

  g_assert_cmpint(end_child(&child), ==, 74);
}

/* ---- addresses ---- */

static void password_in_an_address_is_refused_and_not_repeated(void)
{
  WsLoop *loop = ws_loop_new(ws_clock_system());
  static const char *const addresses[] = {"postgresql://u:sesame@127.0.0.1:1/d", "postgres://127.0.0.1:1/d?password=sesame",
                                          "postgresql://127.0.0.1:1/d?sslpassword=sesame", "postgresql://127.0.0.1:port/d?password=sesame"};

  for (guint i = 0; i < G_N_ELEMENTS(addresses); i++) {
    GError *error = NULL;
    g_assert_null(store_open(addresses[i], loop, &error));
    g_assert_null(strstr(error->message, "sesame"));
    inv_rig_assert_error(&error, WS_ERROR_IO_ERROR, NULL);
  }
  ws_loop_free(loop);
}

/* ---- migrations ---- */

/* The forms of statements that tools/apigen/stored.py writes for SQLite. */
static void migrations_run_on_a_server_too(void)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);
  static const char rows[] = "DELETE FROM pools; INSERT INTO pools VALUES (1, 1, '{\"id\":1,\"size\":5,\"mood\":\"bad\",\"inner\":{\"word\":\"x\"}}')";
  static const struct {
    const char *sql, *body;
  } cases[] = {
      {"UPDATE \"pools\" SET body = json_remove(body, '$.size')", "{\"id\": 1, \"mood\": \"bad\", \"inner\": {\"word\": \"x\"}}"},
      {"UPDATE \"pools\" SET body = json_remove(body, '$.inner.word')", "{\"id\": 1, \"mood\": \"bad\", \"size\": 5, \"inner\": {}}"},
      {"UPDATE \"pools\" SET body = json_set(body, '$.tone', json('\"low\"')) WHERE json_type(body, '$.tone') IS NULL",
       "{\"id\": 1, \"mood\": \"bad\", \"size\": 5, \"tone\": \"low\", \"inner\": {\"word\": \"x\"}}"},
      {"UPDATE \"pools\" SET body = json_set(body, '$.size', json('7')) WHERE json_type(body, '$.size') IS NULL",
       "{\"id\": 1, \"mood\": \"bad\", \"size\": 5, \"inner\": {\"word\": \"x\"}}"},
      {"UPDATE \"pools\" SET body = json_set(body, '$.mood', 'good') WHERE json_extract(body, '$.mood') = 'bad'",
       "{\"id\": 1, \"mood\": \"good\", \"size\": 5, \"inner\": {\"word\": \"x\"}}"},
  };

  inv_rig_open(rig);
  inv_rig_close(rig);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *query = g_strdup_printf("SELECT CASE WHEN body::jsonb = '%s' THEN 1 ELSE 0 END FROM pools", cases[i].body);
    inv_rig_sql(rig, rows);
    inv_rig_sql(rig, cases[i].sql);
    g_test_message("%s", cases[i].sql);
    g_assert_cmpint(inv_rig_sql_int(rig, query), ==, 1);
  }
}

int main(int argc, char **argv)
{
  if (argc == 6 && strcmp(argv[1], "--child") == 0)
    return run_child(argv);
  g_test_init(&argc, &argv, NULL);
#define TEST(name) inv_rig_add_on_server("/inventory/server/" #name, name)
  TEST(session_that_ends_while_idle_goes_unnoticed);
  TEST(commit_whose_answer_is_lost_is_found_and_not_repeated);
  TEST(transaction_that_did_not_arrive_is_sent_again);
  TEST(crash_of_the_server_loses_nothing);
  TEST(absent_server_refuses_changes_until_it_is_back);
  TEST(change_of_unknown_outcome_waits_for_the_server);
  TEST(second_manager_is_refused_and_told_who_is_there);
  TEST(write_under_an_old_epoch_fails_and_ends_the_process);
  TEST(manager_that_lost_its_session_to_another_ends);
  TEST(database_that_forgot_what_it_acknowledged_ends_the_process);
  TEST(migrations_run_on_a_server_too);
  g_test_add_func("/inventory/server/password_in_an_address_is_refused_and_not_repeated",
                  password_in_an_address_is_refused_and_not_repeated);
  return g_test_run();
}
