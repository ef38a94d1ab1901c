// SPDX-License-Identifier: Apache-2.0
/* Ring files. See rings.h.
 *
 * File, all numbers of this machine's byte order (a ring does not travel):
 *
 *     head      magic, columns, slots
 *     slots     RINGS_SLOTS of {id, since}: whose place it is
 *     stamps    for each level its rows' times; 0: nothing there
 *     levels    for each level its rows: RINGS_SLOTS x RINGS_COLUMNS floats, of which only as many are written as slots are in use
 *
 * Rows are written, synced, and then stamped. Holes are no blocks on the disk: a file for three VMs takes a few MiB. */
#include "center/monitor/rings.h"
#include "base/error.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x31676e6952535757 /* "WWSRing1" */

static const struct {
  gint64 step_us;
  guint rows;
} levels[RINGS_LEVELS] = {
    {20 * (gint64)G_USEC_PER_SEC, 180},   {300 * (gint64)G_USEC_PER_SEC, 288},     {1800 * (gint64)G_USEC_PER_SEC, 336},
    {7200 * (gint64)G_USEC_PER_SEC, 372}, {86400 * (gint64)G_USEC_PER_SEC, 366},
};

typedef struct {
  guint64 magic;
  guint32 columns, slots;
} Head;

typedef struct {
  guint64 id;
  gint64 since_us; /* values of before are another object's */
} Slot;

typedef float Row[RINGS_SLOTS][RINGS_COLUMNS];

typedef struct {
  int fd;
  char *path;
  guint n_used; /* slots that have ever been somebody's */
  Slot slots[RINGS_SLOTS];
  gint64 stamps[RINGS_LEVELS][RINGS_ROWS_MAX]; /* begin of the step that a row holds */
} File;

typedef struct {
  guint file, slot;
} Place;

struct Rings {
  GMutex lock;
  char *dir, *kind;
  GPtrArray *files;   /* File */
  GHashTable *places; /* id -> Place */
  GArray *free;       /* Place: whose objects are gone */
};

/* ---- where things are in a file ---- */

static goffset slot_at(guint slot)
{
  return (goffset)(sizeof(Head) + slot * sizeof(Slot));
}

static goffset stamp_at(guint level, guint row)
{
  return slot_at(RINGS_SLOTS) + (goffset)((level * RINGS_ROWS_MAX + row) * sizeof(gint64));
}

static goffset row_at(guint level, guint row)
{
  goffset at = stamp_at(RINGS_LEVELS, 0);
  for (guint i = 0; i < level; i++)
    at += (goffset)levels[i].rows * (goffset)sizeof(Row);
  return at + (goffset)row * (goffset)sizeof(Row);
}

static gint64 step_of(guint level, gint64 us)
{
  return us - us % levels[level].step_us;
}

static guint row_of(guint level, gint64 step)
{
  return (guint)(step / levels[level].step_us % levels[level].rows);
}

/* ---- bytes ---- */

static bool fail(const File *file, GError **error)
{
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", file->path, "cause", g_strerror(errno), NULL);
}

static bool write_at(const File *file, const void *bytes, gsize n, goffset at, GError **error)
{
  for (const char *p = bytes; n > 0;) {
    ssize_t done = pwrite(file->fd, p, n, at);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return fail(file, error);
    p += done;
    at += done;
    n -= (gsize)done;
  }
  return true;
}

/* What lies behind the end of the file was never written: zeros. */
static bool read_at(const File *file, void *bytes, gsize n, goffset at, GError **error)
{
  for (char *p = bytes; n > 0;) {
    ssize_t done = pread(file->fd, p, n, at);
    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0)
      return fail(file, error);
    if (done == 0) {
      memset(p, 0, n);
      return true;
    }
    p += done;
    at += done;
    n -= (gsize)done;
  }
  return true;
}

static bool sync_file(const File *file, GError **error)
{
  return fdatasync(file->fd) == 0 || fail(file, error);
}

/* ---- opening ---- */

static void file_free(gpointer data)
{
  File *file = data;
  if (file->fd >= 0)
    close(file->fd);
  g_free(file->path);
  g_free(file);
}

static bool read_tables(File *file, bool *ours, GError **error)
{
  Head head;
  if (!read_at(file, &head, sizeof head, 0, error) || !read_at(file, file->slots, sizeof file->slots, slot_at(0), error) ||
      !read_at(file, file->stamps, sizeof file->stamps, stamp_at(0, 0), error))
    return false;
  *ours = head.magic == MAGIC && head.columns == RINGS_COLUMNS && head.slots == RINGS_SLOTS;
  for (guint i = 0; i < RINGS_SLOTS; i++)
    if (file->slots[i].id)
      file->n_used = i + 1;
  return true;
}

static bool begin_file(File *file, GError **error)
{
  const Head head = {MAGIC, RINGS_COLUMNS, RINGS_SLOTS};
  memset(file->slots, 0, sizeof file->slots);
  memset(file->stamps, 0, sizeof file->stamps);
  file->n_used = 0;
  return write_at(file, &head, sizeof head, 0, error) && sync_file(file, error);
}

static bool open_fd(File *file, GError **error)
{
  file->fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  return file->fd >= 0 || fail(file, error);
}

/* One that is not ours is kept for whoever wants to know what happened. */
static bool put_aside(File *file, GError **error)
{
  g_autofree char *aside = g_strconcat(file->path, ".bad", NULL);
  ws_log(WS_LOG_WARNING, "history-file-bad", "path", file->path, "kept_as", aside, NULL);
  close(file->fd);
  return (g_rename(file->path, aside) == 0 || fail(file, error)) && open_fd(file, error);
}

static File *open_file(Rings *rings, guint number, GError **error)
{
  File *file = g_new0(File, 1);
  file->path = g_strdup_printf("%s/%s-%u.ring", rings->dir, rings->kind, number);
  bool ours = false;
  bool ok = open_fd(file, error);
  bool empty = ok && lseek(file->fd, 0, SEEK_END) == 0;
  ok = ok && (empty || read_tables(file, &ours, error)) && (empty || ours || put_aside(file, error)) && (ours || begin_file(file, error));
  if (ok)
    return file;
  file_free(file);
  return NULL;
}

static const Slot *slot_of(const Rings *rings, Place place)
{
  return &((const File *)rings->files->pdata[place.file])->slots[place.slot];
}

static void set_place(Rings *rings, WsId id, Place place)
{
  g_hash_table_insert(rings->places, g_memdup2(&id, sizeof id), g_memdup2(&place, sizeof place));
}

/* An object that had left its place and came back (a restored database) has two: the later one counts. */
static void note_place(Rings *rings, Place place)
{
  WsId id = slot_of(rings, place)->id;
  const Place *other = g_hash_table_lookup(rings->places, &id);
  Place spare = place;
  if (other && slot_of(rings, *other)->since_us < slot_of(rings, place)->since_us)
    spare = *other;
  if (other)
    g_array_append_val(rings->free, spare);
  if (!other || spare.file != place.file || spare.slot != place.slot)
    set_place(rings, id, place);
}

static void note_places(Rings *rings, guint number)
{
  const File *file = rings->files->pdata[number];
  for (guint i = 0; i < file->n_used; i++)
    if (file->slots[i].id)
      note_place(rings, (Place){number, i});
    else
      g_array_append_val(rings->free, ((Place){number, i}));
}

Rings *rings_open(const char *dir, const char *kind, GError **error)
{
  Rings *rings = g_new0(Rings, 1);
  g_mutex_init(&rings->lock);
  rings->dir = g_strdup(dir);
  rings->kind = g_strdup(kind);
  rings->files = g_ptr_array_new_with_free_func(file_free);
  rings->places = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  rings->free = g_array_new(FALSE, FALSE, sizeof(Place));
  for (guint number = 0;; number++) {
    g_autofree char *path = g_strdup_printf("%s/%s-%u.ring", dir, kind, number);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
      return rings;
    File *file = open_file(rings, number, error);
    if (!file) {
      rings_free(rings);
      return NULL;
    }
    g_ptr_array_add(rings->files, file);
    note_places(rings, number);
  }
}

void rings_free(Rings *rings)
{
  if (!rings)
    return;
  g_ptr_array_unref(rings->files);
  g_hash_table_unref(rings->places);
  g_array_unref(rings->free);
  g_free(rings->dir);
  g_free(rings->kind);
  g_mutex_clear(&rings->lock);
  g_free(rings);
}

/* ---- places ---- */

/* Whose objects are not among the samples. */
static void find_free(Rings *rings, const RingsSample *samples, guint n)
{
  g_autoptr(GHashTable) here = g_hash_table_new(g_int64_hash, g_int64_equal);
  for (guint i = 0; i < n; i++)
    g_hash_table_add(here, (gpointer)&samples[i].id);
  GHashTableIter iter;
  gpointer id, place;
  g_hash_table_iter_init(&iter, rings->places);
  while (g_hash_table_iter_next(&iter, &id, &place))
    if (!g_hash_table_contains(here, id)) {
      g_array_append_val(rings->free, *(Place *)place);
      g_hash_table_iter_remove(&iter);
    }
}

static bool next_place(Rings *rings, Place *place, GError **error)
{
  if (rings->free->len) {
    *place = g_array_index(rings->free, Place, rings->free->len - 1);
    g_array_set_size(rings->free, rings->free->len - 1);
    return true;
  }
  guint number = rings->files->len;
  const File *last = number ? rings->files->pdata[number - 1] : NULL;
  if (!last || last->n_used == RINGS_SLOTS) {
    File *file = open_file(rings, number, error);
    if (!file)
      return false;
    g_ptr_array_add(rings->files, file);
    *place = (Place){number, 0};
    return true;
  }
  *place = (Place){number - 1, last->n_used};
  return true;
}

/* The place is the object's on the disk before a value of it is. One that has it since a time to come (the clock was wrong) has it from now. */
static bool give_place(Rings *rings, WsId id, gint64 since_us, GError **error)
{
  const Place *held = g_hash_table_lookup(rings->places, &id);
  Place place = held ? *held : (Place){0};
  if (held && slot_of(rings, place)->since_us <= since_us)
    return true;
  if (!held && !next_place(rings, &place, error))
    return false;
  File *file = rings->files->pdata[place.file];
  file->slots[place.slot] = (Slot){id, since_us};
  if (!write_at(file, &file->slots[place.slot], sizeof(Slot), slot_at(place.slot), error)) {
    file->slots[place.slot] = (Slot){0};
    g_hash_table_remove(rings->places, &id);
    g_array_append_val(rings->free, place);
    return false;
  }
  file->n_used = MAX(file->n_used, place.slot + 1);
  set_place(rings, id, place);
  return true;
}

/* ---- writing a step ---- */

static bool write_row(File *file, guint level, gint64 step, Row *row, GError **error)
{
  guint at = row_of(level, step);
  if (file->stamps[level][at]) { /* what stood there goes first, lest half of it show under either time */
    file->stamps[level][at] = 0;
    if (!write_at(file, &file->stamps[level][at], sizeof(gint64), stamp_at(level, at), error))
      return false;
  }
  if (!write_at(file, row, file->n_used * sizeof (*row)[0], row_at(level, at), error) || !sync_file(file, error) ||
      !write_at(file, &step, sizeof step, stamp_at(level, at), error))
    return false;
  file->stamps[level][at] = step;
  return true;
}

static void forget(Row *row)
{
  for (guint i = 0; i < RINGS_SLOTS; i++)
    for (guint c = 0; c < RINGS_COLUMNS; c++)
      (*row)[i][c] = NAN;
}

typedef struct {
  double sums[RINGS_SLOTS][RINGS_COLUMNS];
  guint16 counts[RINGS_SLOTS][RINGS_COLUMNS];
  Row row;
} Mean;

/* The coarser step from the finer ones in it. A finer one from before an object had its place is not its own. */
static bool add_up(File *file, guint level, gint64 step, Mean *mean, GError **error)
{
  gint64 end = step + levels[level].step_us;
  memset(mean->sums, 0, sizeof mean->sums);
  memset(mean->counts, 0, sizeof mean->counts);
  for (guint r = 0; r < levels[level - 1].rows; r++) {
    gint64 finer = file->stamps[level - 1][r];
    if (finer < step || finer >= end || !finer)
      continue;
    if (!read_at(file, mean->row, file->n_used * sizeof mean->row[0], row_at(level - 1, r), error))
      return false;
    for (guint i = 0; i < file->n_used; i++)
      for (guint c = 0; c < RINGS_COLUMNS; c++)
        if (finer >= file->slots[i].since_us && !isnan(mean->row[i][c])) {
          mean->sums[i][c] += (double)mean->row[i][c];
          mean->counts[i][c]++;
        }
  }
  for (guint i = 0; i < file->n_used; i++)
    for (guint c = 0; c < RINGS_COLUMNS; c++)
      mean->row[i][c] = mean->counts[i][c] ? (float)(mean->sums[i][c] / mean->counts[i][c]) : NAN;
  return true;
}

/* Coarser steps that are over and were not made yet; also those that ended while nobody was there to make them. A stamp from the time to come
 * (the clock was wrong) is as good as none. */
static bool roll_up(File *file, guint level, gint64 now_us, Mean *mean, GError **error)
{
  for (guint r = 0; r < levels[level - 1].rows; r++) {
    gint64 finer = file->stamps[level - 1][r], step = step_of(level, finer);
    gint64 made = file->stamps[level][row_of(level, step)];
    if (!finer || step + levels[level].step_us > now_us || (made >= step && made <= now_us))
      continue;
    if (!add_up(file, level, step, mean, error) || !write_row(file, level, step, &mean->row, error))
      return false;
  }
  return true;
}

static bool take_file(File *file, guint number, gint64 step, GHashTable *places, const RingsSample *samples, guint n, Mean *mean, GError **error)
{
  forget(&mean->row);
  for (guint i = 0; i < n; i++) {
    const Place *place = g_hash_table_lookup(places, &samples[i].id);
    if (place && place->file == number)
      memcpy(mean->row[place->slot], samples[i].values, sizeof samples[i].values);
  }
  if (!write_row(file, 0, step, &mean->row, error))
    return false;
  for (guint level = 1; level < RINGS_LEVELS; level++)
    if (!roll_up(file, level, step + levels[0].step_us, mean, error))
      return false;
  return true;
}

bool rings_take(Rings *rings, gint64 now_us, const RingsSample *samples, guint n, GError **error)
{
  gint64 step = step_of(0, now_us) - levels[0].step_us; /* the one that is over */
  if (step <= 0)
    return true;
  g_autofree Mean *mean = g_new(Mean, 1);
  g_mutex_lock(&rings->lock);
  find_free(rings, samples, n);
  bool ok = true;
  for (guint i = 0; ok && i < n; i++)
    ok = give_place(rings, samples[i].id, step, error);
  for (guint f = 0; ok && f < rings->files->len; f++)
    ok = take_file(rings->files->pdata[f], f, step, rings->places, samples, n, mean, error);
  g_mutex_unlock(&rings->lock);
  return ok;
}

/* ---- reading ---- */

/* The finest level that still has what was at `from_us`, but for less than a step. */
static guint level_for(gint64 now_us, gint64 from_us)
{
  guint level = 0;
  while (level + 1 < RINGS_LEVELS && from_us <= now_us - (gint64)(levels[level].rows + 1) * levels[level].step_us)
    level++;
  return level;
}

static bool read_steps(const File *file, guint slot, guint level, RingsSeries *series, GError **error)
{
  for (guint i = 0; i < series->n; i++) {
    gint64 step = series->from_us + i * series->step_us;
    guint row = row_of(level, step);
    for (guint c = 0; c < RINGS_COLUMNS; c++)
      series->values[i][c] = NAN;
    /* A coarser step in whose middle an object got its place has only its own values: see add_up(). */
    bool own = step + series->step_us > file->slots[slot].since_us;
    if (file->stamps[level][row] == step && own &&
        !read_at(file, series->values[i], sizeof series->values[i], row_at(level, row) + (goffset)(slot * sizeof series->values[i]), error))
      return false;
  }
  return true;
}

bool rings_read(Rings *rings, WsId id, gint64 now_us, gint64 from_us, gint64 to_us, RingsSeries *series, GError **error)
{
  guint level = level_for(now_us, from_us);
  gint64 step = levels[level].step_us, oldest = now_us - (gint64)levels[level].rows * step;
  gint64 first = step_of(level, MAX(MAX(from_us, oldest), step) + step - 1);
  gint64 end = MIN(to_us, now_us);
  *series = (RingsSeries){.from_us = first, .step_us = step, .n = end > first ? (guint)((end - first) / step) : 0};
  series->values = g_malloc0_n(MAX(series->n, 1), sizeof series->values[0]);
  g_mutex_lock(&rings->lock);
  const Place *place = g_hash_table_lookup(rings->places, &id);
  bool ok = true;
  if (place)
    ok = read_steps(rings->files->pdata[place->file], place->slot, level, series, error);
  else
    series->n = 0;
  g_mutex_unlock(&rings->lock);
  if (!ok)
    g_clear_pointer(&series->values, g_free);
  return ok;
}
