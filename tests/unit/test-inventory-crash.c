// SPDX-License-Identifier: Apache-2.0
/* A process that is killed, or whose sync fails: nothing acknowledged is lost, nothing half done is there.
 *
 * The program runs itself as child: it opens the database, lets writers commit and tells each acknowledged
 * transaction through a pipe. The parent kills it at a chosen or at a random moment, opens what is left, and
 * compares. */
#include "inventory-work.h"
#include "sqlite-tap.h"
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ACK_FD 3

/* ---- the child: --child PLACE N TRANSACTIONS WHERE ---- */

typedef struct {
  const char *place; /* "step": at the nth fault point of the store. "disk": at the nth operation that changes
                        a file, from the very first. "sync": the nth sync fails. "map": the index of the WAL
                        cannot grow. "never" */
  gint n;
} Plan;

static void acknowledge(guint writer, guint64 k, void *arg)
{
  guint64 message[2] = {writer, k};

  if (write(ACK_FD, message, sizeof message) != sizeof message)
    _exit(3);
}

static int die_at_step(const char *point, void *arg)
{
  if (g_atomic_int_dec_and_test(&((Plan *)arg)->n))
    kill(getpid(), SIGKILL);
  return 0;
}

static int die_at_operation(const TapOp *op, void *arg)
{
  return op->kind == TAP_MAP ? 0 : die_at_step("", arg);
}

/* SQLite extends its index of the WAL after the WAL has been synced: a commit that fails there is on the
 * disk. */
static int fail_map(const TapOp *op, void *arg)
{
  return op->kind == TAP_MAP && op->offset > 0 ? SQLITE_IOERR_SHMMAP : 0;
}

/* Large objects, one a transaction, until the WAL needs a second region in its index (after about 16 MiB). */
static int run_large(InvRig *rig)
{
  for (guint64 k = 1; k < 100; k++) {
    InvTxn *txn = inv_begin(rig->inv);
    inv_rig_pool(txn, "large")->description = g_strnfill(1 << 20, 'x');
    inv_rig_commit_ok(rig, txn);
    acknowledge(0, k, NULL);
  }
  return 0;
}

static int fail_sync(const TapOp *op, void *arg)
{
  return op->kind == TAP_SYNC && g_atomic_int_dec_and_test(&((Plan *)arg)->n) ? SQLITE_IOERR_FSYNC : 0;
}

static int run_child(char **argv)
{
  Plan plan = {argv[2], atoi(argv[3])};
  guint64 transactions = strtoull(argv[4], NULL, 10);
  g_autoptr(InvRig) rig = inv_rig_new_closed(argv[5]);

  if (strcmp(plan.place, "disk") == 0)
    sqlite_tap_install(die_at_operation, &plan);
  else if (strcmp(plan.place, "sync") == 0)
    sqlite_tap_install(fail_sync, &plan);
  else if (strcmp(plan.place, "map") == 0)
    sqlite_tap_install(fail_map, &plan);
  inv_rig_open(rig);
  if (strcmp(plan.place, "map") == 0)
    return run_large(rig);
  if (strcmp(plan.place, "step") == 0)
    store_set_fault(rig->store, die_at_step, &plan);
  return inv_work_run(rig, transactions, acknowledge, NULL) ? 0 : 2;
}

/* ---- the parent ---- */

typedef struct {
  pid_t pid;
  int acks;
} Child;

static Child start_child(const char *place, guint n, guint transactions, const char *where)
{
  g_autofree char *number = g_strdup_printf("%u", n), *count = g_strdup_printf("%u", transactions);
  const char *argv[] = {"test-inventory-crash", "--child", place, number, count, where, NULL};
  Child child;
  int pipe_fds[2];

  g_assert_cmpint(pipe(pipe_fds), ==, 0);
  child.acks = pipe_fds[0];
  child.pid = fork();
  g_assert_cmpint(child.pid, >=, 0);
  if (child.pid == 0) {
    if (pipe_fds[1] != ACK_FD)
      dup2(pipe_fds[1], ACK_FD);
    for (int fd = ACK_FD + 1; fd < 64; fd++)
      close(fd);
    execv("/proc/self/exe", (char **)argv);
    _exit(4);
  }
  close(pipe_fds[1]);
  return child;
}

/* Reads one acknowledgement; false when the child is gone. */
static bool take_ack(Child *child, WorkState *acked)
{
  guint64 message[2];

  if (read(child->acks, message, sizeof message) != sizeof message)
    return false;
  g_assert_cmpuint(message[0], <, WORK_WRITERS);
  g_assert_cmpuint(message[1], ==, acked->k[message[0]] + 1);
  acked->k[message[0]] = message[1];
  return true;
}

/* Reads what was acknowledged until the child is gone; its wait status. */
static int collect(Child *child, WorkState *acked)
{
  int status;

  while (take_ack(child, acked))
    ;
  close(child->acks);
  g_assert_cmpint(waitpid(child->pid, &status, 0), ==, child->pid);
  return status;
}

/* Opens, compares, and asks for one more transaction of each writer: what is left must also work. */
static void verify(const char *where, const WorkState *acked, WorkState *found)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(where);

  inv_rig_open(rig);
  inv_work_verify(rig, acked, found);
  g_assert_true(inv_work_run(rig, 1, NULL, NULL));
  for (guint i = 0; i < WORK_WRITERS; i++)
    found->k[i]++;
  inv_work_verify(rig, found, found);
}

/* One child on a fresh directory. Returns whether it came to its end. */
static bool try_once(const char *place, guint n, int expected_exit)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);
  WorkState acked = {{0}}, found;
  Child child = start_child(place, n, 4, inv_rig_where(rig));
  int status = collect(&child, &acked);

  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    for (guint i = 0; i < WORK_WRITERS; i++)
      g_assert_cmpuint(acked.k[i], ==, 4);
    verify(inv_rig_where(rig), &acked, &found);
    return true;
  }
  if (expected_exit == 0)
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  else
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == expected_exit);
  verify(inv_rig_where(rig), &acked, &found);
  return false;
}

static void try_each(const char *place, int expected_exit, guint at_least)
{
  guint n = 1;

  while (!try_once(place, n, expected_exit))
    n += inv_rig_stride();
  g_assert_cmpuint(n, >, at_least); /* the places are really there */
  g_test_message("%s: %u places", place, n - 1);
}

static void killed_at_each_step_of_the_store(void)
{
  try_each("step", 0, 40);
}

static void killed_at_each_change_of_a_file(void)
{
  try_each("disk", 0, 40);
}

static void failing_sync_ends_the_process_and_replays(void)
{
  try_each("sync", 74, 5);
}

static void commit_of_unknown_outcome_ends_the_process(void)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);
  WorkState acked = {{0}};
  Child child = start_child("map", 0, 0, rig->dir);
  int status = collect(&child, &acked);

  g_assert_true(WIFEXITED(status));
  g_assert_cmpint(WEXITSTATUS(status), ==, 74);
  g_assert_cmpuint(acked.k[0], >, 3);
  inv_rig_open(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  /* It is there: reported as rolled back, it would have come back from the dead. */
  g_assert_cmpuint(inv_count(snap, &ws_type_pool), ==, acked.k[0] + 1);
}

static void killed_at_random_moments(void)
{
  const guint rounds = MAX(40 / inv_rig_stride(), 10);
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);
  g_autoptr(GRand) rand = g_rand_new_with_seed(11);
  WorkState acked = {{0}};
  guint64 total = 0;

  for (guint round = 0; round < rounds; round++) {
    Child child = start_child("never", 0, 0, inv_rig_where(rig));
    for (gint n = g_rand_int_range(rand, 0, 20); n > 0; n--)
      take_ack(&child, &acked);
    g_usleep((gulong)g_rand_int_range(rand, 0, 3000)); /* the moment is the point; nothing is waited for */
    kill(child.pid, SIGKILL);
    int status = collect(&child, &acked);
    g_assert_true(WIFSIGNALED(status));
    verify(inv_rig_where(rig), &acked, &acked);
  }
  for (guint i = 0; i < WORK_WRITERS; i++)
    total += acked.k[i];
  g_assert_cmpuint(total, >, rounds * WORK_WRITERS); /* more than what verify() adds: the children did work */
}

int main(int argc, char **argv)
{
  if (argc == 6 && strcmp(argv[1], "--child") == 0)
    return run_child(argv);
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/inventory/crash/" #name, name)
  inv_rig_add("/inventory/crash/killed_at_each_step_of_the_store", killed_at_each_step_of_the_store);
  TEST(killed_at_each_change_of_a_file);
  TEST(failing_sync_ends_the_process_and_replays);
  TEST(commit_of_unknown_outcome_ends_the_process);
  inv_rig_add("/inventory/crash/killed_at_random_moments", killed_at_random_moments);
  return g_test_run();
}
