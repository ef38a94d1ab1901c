// SPDX-License-Identifier: Apache-2.0
/* The power fails: of what was written since a file's last sync, any sectors may be on the disk and any may
 * not, in any order.
 *
 * A run is recorded below SQLite, operation by operation, with the moments of acknowledgement. Then images of
 * the disk are made as they could be found after a power failure at random moments, opened, and compared with
 * what had been acknowledged. */
#include "inventory-work.h"
#include "sqlite-tap.h"
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

/* ---- the recording ---- */

typedef struct {
  TapKind kind;
  guint file;
  gint64 n, offset;
  char *bytes;
} Op;

typedef struct {
  gsize at; /* operations recorded before it */
  guint writer;
  guint64 k;
} Ack;

typedef struct {
  GMutex lock;
  GPtrArray *names; /* of files, without directory */
  GArray *ops, *acks;
  guint checkpoints;
} Recording;

static guint file_number(Recording *r, const char *path)
{
  g_autofree char *name = g_path_get_basename(path);
  guint i;

  for (i = 0; i < r->names->len; i++)
    if (strcmp(g_ptr_array_index(r->names, i), name) == 0)
      return i;
  g_ptr_array_add(r->names, g_steal_pointer(&name));
  return i;
}

static int record(const TapOp *op, void *arg)
{
  Recording *r = arg;
  Op copy = {.kind = op->kind, .n = op->n, .offset = op->offset};

  if (op->kind == TAP_MAP)
    return 0;
  if (op->kind == TAP_WRITE)
    copy.bytes = g_memdup2(op->bytes, (gsize)op->n);
  g_mutex_lock(&r->lock);
  copy.file = file_number(r, op->path);
  g_array_append_val(r->ops, copy);
  g_mutex_unlock(&r->lock);
  return 0;
}

static void acknowledge(guint writer, guint64 k, void *arg)
{
  Recording *r = arg;
  Ack ack = {.writer = writer, .k = k};

  g_mutex_lock(&r->lock);
  ack.at = r->ops->len;
  g_array_append_val(r->acks, ack);
  g_mutex_unlock(&r->lock);
}

static int count_checkpoints(const char *point, void *arg)
{
  Recording *r = arg;

  g_mutex_lock(&r->lock);
  r->checkpoints += strcmp(point, "checkpoint") == 0;
  g_mutex_unlock(&r->lock);
  return 0;
}

static guint checkpoints(Recording *r)
{
  g_mutex_lock(&r->lock);
  guint n = r->checkpoints;
  g_mutex_unlock(&r->lock);
  return n;
}

/* Everything from a fresh database on, with checkpoints between bursts of work, and an orderly end. */
static void make_recording(Recording *r)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);

  r->names = g_ptr_array_new_with_free_func(g_free);
  r->ops = g_array_new(FALSE, FALSE, sizeof(Op));
  r->acks = g_array_new(FALSE, FALSE, sizeof(Ack));
  sqlite_tap_install(record, r);
  inv_rig_open(rig);
  store_set_fault(rig->store, count_checkpoints, r);
  for (guint burst = 1; burst <= 3; burst++) {
    g_assert_true(inv_work_run(rig, 6, acknowledge, r));
    while (checkpoints(r) < burst) /* the store makes one when it has been idle for a moment */
      ws_loop_step(rig->loop, 1000);
  }
  g_assert_true(inv_work_run(rig, 6, acknowledge, r));
  inv_rig_close(rig);
  sqlite_tap_install(NULL, NULL);
}

static void clear_recording(Recording *r)
{
  for (guint i = 0; i < r->ops->len; i++)
    g_free(g_array_index(r->ops, Op, i).bytes);
  g_array_free(r->ops, TRUE);
  g_array_free(r->acks, TRUE);
  g_ptr_array_free(r->names, TRUE);
}

/* ---- images ---- */

typedef struct {
  GByteArray *bytes;
  bool exists;
} File;

static void set_size(File *file, gsize size)
{
  gsize before = file->bytes->len;

  g_byte_array_set_size(file->bytes, (guint)size);
  if (size > before)
    memset(file->bytes->data + before, 0, size - before);
}

/* `luck`: the chance of each sector to have reached the disk. */
static void apply(File *file, const Op *op, GRand *rand, double luck)
{
  switch (op->kind) {
  case TAP_WRITE:
    for (gint64 done = 0; done < op->n;) {
      gint64 at = op->offset + done, n = MIN(op->n - done, SECTOR - at % SECTOR);
      if (luck >= 1 || g_rand_double(rand) < luck) {
        if (file->bytes->len < (gsize)(at + n))
          set_size(file, (gsize)(at + n));
        memcpy(file->bytes->data + at, op->bytes + done, (gsize)n);
        file->exists = true;
      }
      done += n;
    }
    break;
  case TAP_TRUNCATE:
    if (luck >= 1 || g_rand_double(rand) < luck)
      set_size(file, (gsize)op->offset);
    break;
  case TAP_DELETE:
    if (luck >= 1 || g_rand_double(rand) < luck) {
      set_size(file, 0);
      file->exists = false;
    }
    break;
  case TAP_SYNC:
    file->exists = true;
    break;
  case TAP_MAP:
    g_assert_not_reached();
  }
}

/* SQLite syncs the directory with the first sync of a new journal or WAL; that makes deletions before it
 * safe. */
static bool syncs_directory(const Recording *r, gsize at)
{
  const Op *sync = &g_array_index(r->ops, Op, at);

  if (sync->kind != TAP_SYNC || !strchr(g_ptr_array_index(r->names, sync->file), '-'))
    return false;
  for (gsize i = at; i > 0; i--) {
    const Op *op = &g_array_index(r->ops, Op, i - 1);
    if (op->file == sync->file && op->kind == TAP_SYNC)
      return false;
    if (op->file == sync->file && op->kind == TAP_DELETE)
      return true;
  }
  return true;
}

/* The position before which everything done to a file is on the disk for certain. */
static gsize safe_until(const Recording *r, guint file, gsize end)
{
  bool directory = false;

  for (gsize i = end; i > 0; i--) {
    const Op *op = &g_array_index(r->ops, Op, i - 1);
    directory |= syncs_directory(r, i - 1);
    if (op->file == file && (op->kind == TAP_SYNC || (op->kind == TAP_DELETE && directory)))
      return i;
  }
  return 0;
}

/* The disk as it may be when the power fails before operation `end`. */
static void write_image(const Recording *r, gsize end, GRand *rand, double luck, const char *dir)
{
  for (guint f = 0; f < r->names->len; f++) {
    File file = {g_byte_array_new(), false};
    gsize safe = safe_until(r, f, end);
    g_autofree char *path = g_build_filename(dir, g_ptr_array_index(r->names, f), NULL);

    for (gsize i = 0; i < end; i++) {
      const Op *op = &g_array_index(r->ops, Op, i);
      if (op->file == f)
        apply(&file, op, rand, i < safe ? 1 : luck);
    }
    if (file.exists)
      g_assert_true(g_file_set_contents(path, (const char *)file.bytes->data, file.bytes->len, NULL));
    g_byte_array_free(file.bytes, TRUE);
  }
}

static WorkState acknowledged_before(const Recording *r, gsize end)
{
  WorkState state = {{0}};

  for (guint i = 0; i < r->acks->len; i++) {
    const Ack *ack = &g_array_index(r->acks, Ack, i);
    if (ack->at <= end)
      state.k[ack->writer] = ack->k;
  }
  return state;
}

static void power_failure_loses_nothing_acknowledged(void)
{
  static const double lucks[] = {0, 0.1, 0.5, 0.9, 1};
  const char *wanted = g_getenv("POWER_IMAGES");
  guint n_images = wanted ? (guint)strtoul(wanted, NULL, 10) : 1000 / inv_rig_stride();
  g_autoptr(GRand) rand = g_rand_new_with_seed(23);
  Recording r = {.checkpoints = 0};

  make_recording(&r);
  g_assert_cmpuint(r.ops->len, >, 200);
  for (guint i = 0; i < n_images; i++) {
    g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);
    /* Every operation gets its turn, again and again. */
    gsize end = (gsize)i * 7919 % (r.ops->len + 1);
    WorkState acked = acknowledged_before(&r, end);

    write_image(&r, end, rand, lucks[i % G_N_ELEMENTS(lucks)], rig->dir);
    inv_rig_open(rig);
    inv_work_verify(rig, &acked, NULL);
  }
  g_test_message("%u images of %u operations", n_images, r.ops->len);
  clear_recording(&r);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/inventory/power/power_failure_loses_nothing_acknowledged",
                  power_failure_loses_nothing_acknowledged);
  return g_test_run();
}
