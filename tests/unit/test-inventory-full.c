// SPDX-License-Identifier: Apache-2.0
/* A disk that is full, a write that fails, memory that runs out: the group is refused, the head goes back,
 * nothing is torn, and it all goes on when the trouble is over. */
#include "inventory-work.h"
#include "sqlite-tap.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static void count_ack(guint writer, guint64 k, void *arg)
{
  WorkState *acked = arg;

  g_assert_cmpuint(k, ==, acked->k[writer] + 1);
  acked->k[writer] = k;
}

/* Nothing is under way: what is published is exactly what was acknowledged. */
static void assert_exactly(InvRig *rig, const WorkState *acked)
{
  WorkState found;

  inv_work_verify(rig, acked, &found);
  for (guint i = 0; i < WORK_WRITERS; i++)
    g_assert_cmpuint(found.k[i], ==, acked->k[i]);
}

/* ---- faults at every step ---- */

typedef struct {
  guint n;       /* this one fails; 0: none any more */
  bool for_good; /* and all after it */
  int result;
  guint failed;
} Fault;

static int fail_nth(const char *point, void *arg)
{
  Fault *fault = arg;

  if (strcmp(point, "sync") == 0 || strcmp(point, "committed") == 0)
    return 0; /* fatal, and too late */
  if (fault->n == 0 || --fault->n > 0)
    return 0;
  fault->n = fault->for_good ? 1 : 0;
  fault->failed++;
  return fault->result;
}

/* Returns whether the fault came to pass. */
static bool work_with_fault(guint n, bool for_good, int result)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Fault fault = {n, for_good, result, 0};
  WorkState acked = {{0}};

  store_set_fault(rig->store, fail_nth, &fault);
  inv_work_run(rig, 3, count_ack, &acked);
  assert_exactly(rig, &acked);
  store_set_fault(rig->store, NULL, NULL);
  g_assert_true(inv_work_run(rig, 2, count_ack, &acked));
  g_assert_cmpint(store_state(rig->store), ==, STORE_WRITABLE);
  assert_exactly(rig, &acked);
  inv_rig_close(rig);
  inv_rig_open(rig);
  assert_exactly(rig, &acked);
  return fault.failed > 0;
}

static void each_step_that_fails_is_survived(gconstpointer arg)
{
  int result = GPOINTER_TO_INT(arg);
  guint n = 1;

  for (; work_with_fault(n, false, result); n += inv_rig_stride())
    work_with_fault(n, true, result);
  g_assert_cmpuint(n, >, 40);
}

/* ---- memory of SQLite ---- */

static sqlite3_mem_methods real_memory;
static gint allocations_left = -1; /* 0: the next one fails; -1: none does */
static gint allocations_fail_for_good;
static gint allocations_failed;

static bool allocation_fails(void)
{
  if (g_atomic_int_get(&allocations_left) < 0)
    return false;
  if (g_atomic_int_get(&allocations_left) > 0) {
    g_atomic_int_add(&allocations_left, -1);
    return false;
  }
  if (!g_atomic_int_get(&allocations_fail_for_good))
    g_atomic_int_set(&allocations_left, -1);
  g_atomic_int_inc(&allocations_failed);
  return true;
}

static void *failing_malloc(int n)
{
  return allocation_fails() ? NULL : real_memory.xMalloc(n);
}

static void *failing_realloc(void *old, int n)
{
  return allocation_fails() ? NULL : real_memory.xRealloc(old, n);
}

static void fail_allocations_from(gint n, bool for_good)
{
  g_atomic_int_set(&allocations_failed, 0);
  g_atomic_int_set(&allocations_fail_for_good, for_good);
  g_atomic_int_set(&allocations_left, n);
}

static bool work_with_little_memory(gint n, bool for_good)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  WorkState acked = {{0}};
  gint failed;

  fail_allocations_from(n, for_good);
  inv_work_run(rig, 2, count_ack, &acked);
  failed = g_atomic_int_get(&allocations_failed);
  fail_allocations_from(-1, false);
  assert_exactly(rig, &acked);
  g_assert_true(inv_work_run(rig, 2, count_ack, &acked));
  inv_rig_close(rig);
  inv_rig_open(rig);
  assert_exactly(rig, &acked);
  return failed > 0;
}

static void each_allocation_that_fails_in_a_commit_is_survived(void)
{
  gint n = 0;

  for (; work_with_little_memory(n, false); n += (gint)inv_rig_stride())
    work_with_little_memory(n, true);
  g_assert_cmpint(n, >, 40);
}

/* Opening gives an inventory or an error. */
static bool open_with_little_memory(InvRig *rig, gint n)
{
  GError *error = NULL;
  WsLoop *loop = ws_loop_new(ws_clock_system());
  Store *store;
  Inventory *inv;
  gint failed;

  fail_allocations_from(n, false);
  store = store_open(rig->path, loop, &error);
  inv = store ? inv_open(loop, store, &error) : NULL;
  failed = g_atomic_int_get(&allocations_failed);
  fail_allocations_from(-1, false);
  g_assert_true((inv != NULL) == (error == NULL));
  g_clear_error(&error);
  inv_close(inv);
  store_close(store);
  ws_loop_free(loop);
  return failed > 0;
}

static void each_allocation_that_fails_at_opening_is_an_error_or_nothing(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  WorkState acked = {{0}};
  gint n = 0;

  g_assert_true(inv_work_run(rig, 2, count_ack, &acked));
  inv_rig_close(rig);
  while (open_with_little_memory(rig, n))
    n += (gint)inv_rig_stride();
  g_assert_cmpint(n, >, 100);
  inv_rig_open(rig);
  assert_exactly(rig, &acked);
}

/* ---- starting without room ---- */

static int refuse_writes(const TapOp *op, void *arg)
{
  return op->kind == TAP_WRITE && *(bool *)arg ? SQLITE_FULL : 0;
}

static bool report(InvRig *rig)
{
  g_autoptr(InvTxn) txn = inv_begin(rig->inv);
  g_autoptr(InvSnapshot) head = inv_head(rig->inv);
  const WsPool *pool = NULL;

  for (WsId id = 1; !pool; id++)
    pool = inv_find(head, &ws_type_pool, id);
  ((WsPool *)inv_edit(txn, pool))->capacity_bytes++;
  return inv_rig_commit(rig, txn, NULL, NULL);
}

static void start_without_room_reads_and_later_writes(void)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL), after = NULL;
  WorkState acked = {{0}};
  bool full = false;
  Revision last;

  sqlite_tap_install(refuse_writes, &full);
  inv_rig_open(rig);
  g_assert_true(inv_work_run(rig, 3, count_ack, &acked));
  inv_rig_close(rig);

  full = true;
  inv_rig_open(rig);
  g_assert_cmpint(store_state(rig->store), ==, STORE_READ_ONLY);
  assert_exactly(rig, &acked);
  g_assert_false(report(rig)); /* there is no revision in reserve */
  g_assert_false(inv_work_run(rig, 1, count_ack, &acked));
  assert_exactly(rig, &acked);

  full = false;
  g_assert_true(inv_work_run(rig, 1, count_ack, &acked));
  for (guint i = 0; i < 10; i++)
    g_assert_true(report(rig));
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  last = inv_snapshot_revision(snap);
  after = inv_rig_copy(rig); /* as if killed now */
  assert_exactly(after, &acked);
  g_autoptr(InvSnapshot) reopened = inv_snapshot(after->inv);
  g_assert_cmpuint(inv_snapshot_revision(reopened), >=, last);
  g_assert_cmpuint(inv_new_id(after->inv), >=, inv_new_id(rig->inv));
  inv_rig_close(after);
  inv_rig_close(rig);
  sqlite_tap_install(NULL, NULL);
}

/* ---- a file system that is really full ---- */

static void fill(const char *path)
{
  static char block[4096];
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

  g_assert_cmpint(fd, >=, 0);
  while (write(fd, block, sizeof block) > 0)
    ;
  g_assert_cmpint(errno, ==, ENOSPC);
  close(fd);
}

/* In a process of its own: --full DIR. */
static int run_on_full_disk(const char *dir)
{
  g_autofree char *ballast = g_build_filename(dir, "ballast", NULL);
  WorkState acked = {{0}};
  g_autoptr(InvRig) rig = NULL;

  if ((geteuid() != 0 && unshare(CLONE_NEWUSER) != 0) || unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=700") != 0)
    return 77;
  rig = inv_rig_new_closed(dir);
  inv_rig_open(rig);
  g_assert_true(inv_work_run(rig, 5, count_ack, &acked));
  for (guint round = 0; round < 3; round++) {
    fill(ballast);
    g_assert_false(inv_work_run(rig, 10000, count_ack, &acked));
    g_assert_cmpint(store_state(rig->store), ==, STORE_READ_ONLY);
    assert_exactly(rig, &acked);
    g_assert_false(inv_work_run(rig, 1, count_ack, &acked));
    g_assert_true(report(rig)); /* what needs no disk goes on */
    if (round == 1) {           /* a restart finds everything, also while the disk is full */
      inv_rig_close(rig);
      fill(ballast);
      inv_rig_open(rig);
      assert_exactly(rig, &acked);
    }
    g_assert_cmpint(unlink(ballast), ==, 0);
    g_assert_true(inv_work_run(rig, 5, count_ack, &acked));
    g_assert_cmpint(store_state(rig->store), ==, STORE_WRITABLE);
    assert_exactly(rig, &acked);
  }
  inv_rig_close(rig);
  inv_rig_open(rig);
  assert_exactly(rig, &acked);
  return 0;
}

static void full_disk_refuses_changes_until_there_is_room_again(void)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);
  const char *argv[] = {"test-inventory-full", "--full", rig->dir, NULL};
  pid_t pid = fork();
  int status;

  if (pid == 0) {
    execv("/proc/self/exe", (char **)argv);
    _exit(4);
  }
  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    g_test_skip("no right to mount a small file system");
    return;
  }
  g_assert_true(WIFEXITED(status));
  g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

int main(int argc, char **argv)
{
  sqlite3_mem_methods failing;

  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
  failing = real_memory;
  failing.xMalloc = failing_malloc;
  failing.xRealloc = failing_realloc;
  sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
  if (argc == 3 && strcmp(argv[1], "--full") == 0)
    return run_on_full_disk(argv[2]);
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/inventory/full/" #name, name)
  TEST(start_without_room_reads_and_later_writes);
  TEST(full_disk_refuses_changes_until_there_is_room_again);
  inv_rig_add_data("/inventory/full/each_step_that_fails_for_room_is_survived", GINT_TO_POINTER(ENOSPC),
                       each_step_that_fails_is_survived);
  inv_rig_add_data("/inventory/full/each_step_that_fails_for_the_disk_is_survived", GINT_TO_POINTER(EIO),
                       each_step_that_fails_is_survived);
  TEST(each_allocation_that_fails_in_a_commit_is_survived);
  TEST(each_allocation_that_fails_at_opening_is_an_error_or_nothing);
  return g_test_run();
}
