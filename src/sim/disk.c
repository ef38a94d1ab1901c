// SPDX-License-Identifier: Apache-2.0
/* The simulated disk. See disk.h; SQLite's side is described in sqlite3.h at sqlite3_io_methods and sqlite3_vfs. */
#include "sim/disk.h"
#include <sqlite3.h>
#include <string.h>

enum { SECTOR = 512, SHM_REGION = 32 * 1024, SHM_LOCKS = 8 };

/* A write or truncation that no sync has covered yet. */
typedef struct {
  gint64 offset;
  guint n;
  guint8 *bytes; /* NULL: the file was cut to `offset` */
} Pending;

typedef struct {
  char *name;
  GByteArray *seen; /* what readers get */
  GByteArray *safe; /* what is left after a power failure, besides some of what is pending */
  GArray *pending;
  bool deleted;
  /* locks of connections: SQLite's levels */
  guint n_shared;
  const void *reserved, *pending_lock, *exclusive;
  /* the WAL's index, shared by connections */
  GPtrArray *shm;
  int shm_locks[SHM_LOCKS]; /* readers; -1: exclusive */
} File;

struct SimDisk {
  sqlite3_vfs vfs;
  GPtrArray *files;
  SimMachine *machine;
  SimDiskFaults faults;
  guint64 n_failed;
};

typedef struct {
  sqlite3_file base;
  SimDisk *disk;
  File *file;
  int level;
  guint shared_slots, exclusive_slots; /* bits: what this connection holds of shm_locks */
} Open;

static File *file_of(sqlite3_file *file)
{
  return ((Open *)file)->file;
}

static SimDisk *disk_of(sqlite3_file *file)
{
  return ((Open *)file)->disk;
}

static File *find_file(SimDisk *disk, const char *name)
{
  for (guint i = 0; i < disk->files->len; i++)
    if (strcmp(((File *)disk->files->pdata[i])->name, name) == 0)
      return disk->files->pdata[i];
  return NULL;
}

static File *make_file(SimDisk *disk, const char *name)
{
  File *file = g_new0(File, 1);
  file->name = g_strdup(name);
  file->seen = g_byte_array_new();
  file->safe = g_byte_array_new();
  file->pending = g_array_new(FALSE, FALSE, sizeof(Pending));
  file->shm = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(disk->files, file);
  return file;
}

/* ---- bytes ---- */

static void put(GByteArray *to, const guint8 *bytes, guint n, gint64 offset)
{
  guint old = to->len, end = (guint)offset + n;
  if (end > old) {
    g_byte_array_set_size(to, end);
    if (offset > old)
      memset(to->data + old, 0, (gsize)offset - old);
  }
  memcpy(to->data + offset, bytes, n);
}

static void apply(GByteArray *to, const Pending *pending)
{
  if (pending->bytes)
    put(to, pending->bytes, pending->n, pending->offset);
  else if (pending->offset < to->len)
    g_byte_array_set_size(to, (guint)pending->offset);
}

static void drop_pending(File *file)
{
  for (guint i = 0; i < file->pending->len; i++)
    g_free(g_array_index(file->pending, Pending, i).bytes);
  g_array_set_size(file->pending, 0);
}

static int file_read(sqlite3_file *f, void *buffer, int n, sqlite3_int64 offset)
{
  const GByteArray *seen = file_of(f)->seen;
  gint64 there = CLAMP((gint64)seen->len - offset, 0, n);
  if (there > 0)
    memcpy(buffer, seen->data + offset, (gsize)there);
  if (there == n)
    return SQLITE_OK;
  memset((char *)buffer + there, 0, (gsize)(n - there));
  return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *f, const void *buffer, int n, sqlite3_int64 offset)
{
  SimDisk *disk = disk_of(f);
  File *file = file_of(f);
  Pending pending = {offset, (guint)n, g_memdup2(buffer, (gsize)n)};
  if (sim_chance(&disk->machine->random, disk->faults.write_fails)) {
    sim_note(disk->machine->world, "disk: no space for %s", file->name);
    disk->n_failed++;
    g_free(pending.bytes);
    return SQLITE_FULL;
  }
  sim_note_bytes(disk->machine->world, "disk: write", buffer, (gsize)n);
  put(file->seen, buffer, (guint)n, offset);
  g_array_append_val(file->pending, pending);
  return SQLITE_OK;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
  Pending pending = {size, 0, NULL};
  apply(file_of(f)->seen, &pending);
  g_array_append_val(file_of(f)->pending, pending);
  return SQLITE_OK;
}

static int file_sync(sqlite3_file *f, int flags)
{
  SimDisk *disk = disk_of(f);
  File *file = file_of(f);
  if (sim_chance(&disk->machine->random, disk->faults.sync_fails)) {
    sim_note(disk->machine->world, "disk: sync of %s fails", file->name);
    return SQLITE_IOERR_FSYNC;
  }
  for (guint i = 0; i < file->pending->len; i++)
    apply(file->safe, &g_array_index(file->pending, Pending, i));
  drop_pending(file);
  return SQLITE_OK;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
  *size = file_of(f)->seen->len;
  return SQLITE_OK;
}

/* ---- locks of the database file ---- */

static int file_unlock(sqlite3_file *f, int level)
{
  Open *open = (Open *)f;
  File *file = open->file;
  if (open->level >= SQLITE_LOCK_SHARED && level == SQLITE_LOCK_NONE)
    file->n_shared--;
  if (level <= SQLITE_LOCK_SHARED) {
    file->reserved = file->reserved == open ? NULL : file->reserved;
    file->pending_lock = file->pending_lock == open ? NULL : file->pending_lock;
    file->exclusive = file->exclusive == open ? NULL : file->exclusive;
  }
  open->level = MIN(open->level, level);
  return SQLITE_OK;
}

static bool is_others(const void *owner, const void *me)
{
  return owner && owner != me;
}

static int file_lock(sqlite3_file *f, int level)
{
  Open *open = (Open *)f;
  File *file = open->file;
  if (level <= open->level)
    return SQLITE_OK;
  if (is_others(file->exclusive, open) || (level == SQLITE_LOCK_SHARED && is_others(file->pending_lock, open)) ||
      (level >= SQLITE_LOCK_RESERVED && is_others(file->reserved, open)))
    return SQLITE_BUSY;
  if (open->level == SQLITE_LOCK_NONE)
    file->n_shared++;
  if (level >= SQLITE_LOCK_RESERVED)
    file->reserved = open;
  open->level = MIN(level, SQLITE_LOCK_RESERVED);
  if (level < SQLITE_LOCK_EXCLUSIVE) {
    open->level = level;
    return SQLITE_OK;
  }
  file->pending_lock = open;
  if (file->n_shared > 1) {
    open->level = SQLITE_LOCK_PENDING;
    return SQLITE_BUSY;
  }
  file->exclusive = open;
  open->level = SQLITE_LOCK_EXCLUSIVE;
  return SQLITE_OK;
}

static int file_check_lock(sqlite3_file *f, int *out)
{
  *out = file_of(f)->reserved != NULL;
  return SQLITE_OK;
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
  return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *f)
{
  return SECTOR;
}

/* A write never harms what lies beside it. */
static int file_characteristics(sqlite3_file *f)
{
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- the WAL's index ---- */

static int file_shm_map(sqlite3_file *f, int region, int bytes, int extend, void volatile **out)
{
  GPtrArray *shm = file_of(f)->shm;
  g_assert(bytes == SHM_REGION);
  while (extend && shm->len <= (guint)region)
    g_ptr_array_add(shm, g_malloc0(SHM_REGION));
  *out = (guint)region < shm->len ? shm->pdata[region] : NULL;
  return SQLITE_OK;
}

static int shm_unlock(Open *open, int first, int n)
{
  for (int i = first; i < first + n; i++) {
    if (open->exclusive_slots & (1u << i))
      open->file->shm_locks[i] = 0;
    else if (open->shared_slots & (1u << i))
      open->file->shm_locks[i]--;
    open->exclusive_slots &= ~(1u << i);
    open->shared_slots &= ~(1u << i);
  }
  return SQLITE_OK;
}

static int file_shm_lock(sqlite3_file *f, int first, int n, int flags)
{
  Open *open = (Open *)f;
  int *locks = open->file->shm_locks;
  if (flags & SQLITE_SHM_UNLOCK)
    return shm_unlock(open, first, n);
  bool shared = flags & SQLITE_SHM_SHARED;
  for (int i = first; i < first + n; i++) {
    bool mine = open->shared_slots & (1u << i);
    if (shared ? locks[i] < 0 : locks[i] != 0 && !(locks[i] == 1 && mine))
      return SQLITE_BUSY;
  }
  for (int i = first; i < first + n; i++) {
    if (shared && !(open->shared_slots & (1u << i)))
      locks[i]++;
    else if (!shared)
      locks[i] = -1;
    *(shared ? &open->shared_slots : &open->exclusive_slots) |= 1u << i;
  }
  return SQLITE_OK;
}

static void file_shm_barrier(sqlite3_file *f)
{
}

static int file_shm_unmap(sqlite3_file *f, int delete)
{
  shm_unlock((Open *)f, 0, SHM_LOCKS);
  if (delete)
    g_ptr_array_set_size(file_of(f)->shm, 0);
  return SQLITE_OK;
}

static int file_close(sqlite3_file *f)
{
  file_unlock(f, SQLITE_LOCK_NONE);
  return SQLITE_OK;
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = file_close,
                                           .xRead = file_read,
                                           .xWrite = file_write,
                                           .xTruncate = file_truncate,
                                           .xSync = file_sync,
                                           .xFileSize = file_size,
                                           .xLock = file_lock,
                                           .xUnlock = file_unlock,
                                           .xCheckReservedLock = file_check_lock,
                                           .xFileControl = file_control,
                                           .xSectorSize = file_sector_size,
                                           .xDeviceCharacteristics = file_characteristics,
                                           .xShmMap = file_shm_map,
                                           .xShmLock = file_shm_lock,
                                           .xShmBarrier = file_shm_barrier,
                                           .xShmUnmap = file_shm_unmap};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
  SimDisk *disk = vfs->pAppData;
  Open *open = (Open *)f;
  g_assert(name); /* temporary files are in memory */
  File *file = find_file(disk, name);
  if ((!file || file->deleted) && !(flags & SQLITE_OPEN_CREATE)) {
    f->pMethods = NULL;
    return SQLITE_CANTOPEN;
  }
  if (!file)
    file = make_file(disk, name);
  file->deleted = false;
  *open = (Open){.base = {&methods}, .disk = disk, .file = file};
  if (out_flags)
    *out_flags = flags;
  return SQLITE_OK;
}

/* A directory's entries are safe at once. */
static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
  File *file = find_file(vfs->pAppData, name);
  if (!file || file->deleted)
    return SQLITE_IOERR_DELETE_NOENT;
  file->deleted = true;
  drop_pending(file);
  g_byte_array_set_size(file->seen, 0);
  g_byte_array_set_size(file->safe, 0);
  return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
  File *file = find_file(vfs->pAppData, name);
  *out = file && !file->deleted && (flags != SQLITE_ACCESS_EXISTS || file->seen->len > 0);
  return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
  g_strlcpy(out, name, (gsize)n);
  return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
  SimDisk *disk = vfs->pAppData;
  disk->machine->clock.random_bytes(&disk->machine->clock, out, (gsize)n);
  return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
  return us;
}

static int vfs_time64(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
  SimDisk *disk = vfs->pAppData;
  *out = ws_clock_wall_us(&disk->machine->clock) / 1000 + G_GINT64_CONSTANT(210866760000000); /* from noon, 24 Nov 4714 BC */
  return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
  sqlite3_int64 ms;
  vfs_time64(vfs, &ms);
  *out = (double)ms / 86400000.0;
  return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *out)
{
  return 0;
}

SimDisk *sim_disk_new(void)
{
  SimDisk *disk = g_new0(SimDisk, 1);
  disk->files = g_ptr_array_new();
  disk->faults.delay_us = 500;
  disk->vfs = (sqlite3_vfs){.iVersion = 2,
                            .szOsFile = sizeof(Open),
                            .mxPathname = 512,
                            .zName = SIM_DISK_VFS,
                            .pAppData = disk,
                            .xOpen = vfs_open,
                            .xDelete = vfs_delete,
                            .xAccess = vfs_access,
                            .xFullPathname = vfs_full_path,
                            .xRandomness = vfs_randomness,
                            .xSleep = vfs_sleep,
                            .xCurrentTime = vfs_time,
                            .xGetLastError = vfs_last_error,
                            .xCurrentTimeInt64 = vfs_time64};
  sqlite3_vfs_register(&disk->vfs, true); /* the default: SQLite draws its own chance from there */
  return disk;
}

void sim_disk_set_machine(SimDisk *disk, SimMachine *machine)
{
  disk->machine = machine;
}

void sim_disk_forget_chance(SimDisk *disk)
{
  sqlite3_randomness(0, NULL);
}

/* ---- crashes and faults ---- */

/* Each sector of each write by itself: together every picture that a disk may leave. */
static void lose_power(SimDisk *disk, File *file)
{
  SimRandom *random = &disk->machine->random;
  guint style = (guint)sim_below(random, 4); /* all, nothing, whole writes, sectors */
  for (guint i = 0; i < file->pending->len; i++) {
    const Pending *p = &g_array_index(file->pending, Pending, i);
    if (style == 0 || (style >= 2 && (!p->bytes || style == 2) && sim_chance(random, 0.5)))
      apply(file->safe, p);
    else if (style == 3 && p->bytes)
      for (guint at = 0; at < p->n; at += SECTOR)
        if (sim_chance(random, 0.5))
          put(file->safe, p->bytes + at, MIN(SECTOR, p->n - at), p->offset + at);
  }
  drop_pending(file);
  g_byte_array_set_size(file->seen, 0);
  if (file->safe->len)
    g_byte_array_append(file->seen, file->safe->data, file->safe->len);
}

void sim_disk_crash(SimDisk *disk, bool power_lost)
{
  for (guint i = 0; i < disk->files->len; i++) {
    File *file = disk->files->pdata[i];
    file->n_shared = 0;
    file->reserved = file->pending_lock = file->exclusive = NULL;
    memset(file->shm_locks, 0, sizeof file->shm_locks);
    file->shm = g_ptr_array_new_with_free_func(g_free); /* the old one is still mapped by connections that nobody closes */
    if (power_lost)
      lose_power(disk, file);
  }
}

void sim_disk_set_faults(SimDisk *disk, const SimDiskFaults *faults)
{
  disk->faults = *faults;
}

void sim_disk_swap_faults(SimDisk *disk, SimDiskFaults *faults)
{
  SimDiskFaults were = disk->faults;
  disk->faults = *faults;
  *faults = were;
}

guint64 sim_disk_n_failed(SimDisk *disk)
{
  return disk->n_failed;
}

gint64 sim_disk_delay_us(SimDisk *disk)
{
  return sim_delay(&disk->machine->random, disk->faults.delay_us, disk->faults.delay_most_us);
}
