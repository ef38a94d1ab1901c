// SPDX-License-Identifier: Apache-2.0
/* The layer between SQLite and the file system.
 *
 * SQLite reports a failed sync as an error of the statement and goes on. But after a failed fsync the kernel
 * may have dropped the dirty pages and report success the next time, so nothing written since the last good
 * sync can be trusted. Therefore a failed sync ends the process here, before SQLite sees it; the next start
 * replays what is really on the disk.
 *
 * The same place is the seam for tests: the fault hook is asked before each "write", "truncate" and "sync".
 *
 * It wraps the VFS that is SQLite's default when the store opens, one wrapper per store, and passes
 * everything else through. */
#include "inventory/store-sqlite.h"
#include "base/plant.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  sqlite3_file base;
  StoreSqlite *owner;
  bool is_wal;
  sqlite3_file real[]; /* the wrapped VFS's file, as long as it wants */
} StoreFile;

static StoreSqlite *owner_of(sqlite3_vfs *vfs)
{
  return (StoreSqlite *)((char *)vfs - G_STRUCT_OFFSET(StoreSqlite, vfs));
}

static sqlite3_file *real(sqlite3_file *file)
{
  return ((StoreFile *)file)->real;
}

int sqlite_fault_result(int errno_value)
{
  switch (errno_value) {
  case 0:
    return SQLITE_OK;
  case ENOSPC:
  case EDQUOT:
    return SQLITE_FULL;
  case ENOMEM:
    return SQLITE_NOMEM;
  default:
    return SQLITE_IOERR_WRITE;
  }
}

/* ---- files ---- */

static int file_close(sqlite3_file *file)
{
  return real(file)->pMethods->xClose(real(file));
}

static int file_read(sqlite3_file *file, void *buffer, int n, sqlite3_int64 offset)
{
  return real(file)->pMethods->xRead(real(file), buffer, n, offset);
}

static int file_write(sqlite3_file *file, const void *buffer, int n, sqlite3_int64 offset)
{
  StoreFile *f = (StoreFile *)file;
  int result = sqlite_fault_result(store_fault(f->owner->store, "write"));

  if (f->is_wal)
    g_atomic_int_set(&f->owner->wal_tail_synced, 0);
  return result == SQLITE_OK ? real(file)->pMethods->xWrite(real(file), buffer, n, offset) : result;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
  int result = sqlite_fault_result(store_fault(((StoreFile *)file)->owner->store, "truncate"));

  return result == SQLITE_OK ? real(file)->pMethods->xTruncate(real(file), size) : result;
}

static int file_sync(sqlite3_file *file, int flags)
{
  StoreFile *f = (StoreFile *)file;
  int injected = store_fault(f->owner->store, "sync"), result;

  if (injected != 0)
    store_die(f->owner->store, "sync", g_strerror(injected));
  errno = 0;
  result = real(file)->pMethods->xSync(real(file), flags);
  if (result != SQLITE_OK && !SIM_PLANT(store_lives_on))
    store_die(f->owner->store, "sync", errno ? g_strerror(errno) : sqlite3_errstr(result));
  if (f->is_wal)
    g_atomic_int_set(&f->owner->wal_tail_synced, 1);
  return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
  return real(file)->pMethods->xFileSize(real(file), size);
}

static int file_lock(sqlite3_file *file, int level)
{
  return real(file)->pMethods->xLock(real(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
  return real(file)->pMethods->xUnlock(real(file), level);
}

static int file_check_lock(sqlite3_file *file, int *out)
{
  return real(file)->pMethods->xCheckReservedLock(real(file), out);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
  return real(file)->pMethods->xFileControl(real(file), op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
  return real(file)->pMethods->xSectorSize(real(file));
}

static int file_characteristics(sqlite3_file *file)
{
  return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int file_shm_map(sqlite3_file *file, int page, int page_bytes, int extend, void volatile **out)
{
  return real(file)->pMethods->xShmMap(real(file), page, page_bytes, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
  return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
  real(file)->pMethods->xShmBarrier(real(file));
}

static int file_shm_unmap(sqlite3_file *file, int delete)
{
  return real(file)->pMethods->xShmUnmap(real(file), delete);
}

/* Without xFetch: version 2. Memory-mapped reading is off. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
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
    .xShmUnmap = file_shm_unmap,
};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
  StoreFile *f = (StoreFile *)file;
  StoreSqlite *q = owner_of(vfs);
  int result;

  f->owner = q;
  f->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
  f->real[0].pMethods = NULL;
  result = q->under->xOpen(q->under, name, f->real, flags, out_flags);
  f->base.pMethods = f->real[0].pMethods ? &file_methods : NULL;
  return result;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
  StoreSqlite *q = owner_of(vfs);
  int result = q->under->xDelete(q->under, name, sync_directory);

  if (result == SQLITE_IOERR_DIR_FSYNC)
    store_die(q->store, "sync of the directory", sqlite3_errstr(result));
  return result;
}

bool sqlite_vfs_register(StoreSqlite *q, GError **error)
{
  static gint number;

  q->under = sqlite3_vfs_find(q->store->stand ? q->store->stand->vfs : NULL);
  g_assert(q->under);
  /* A copy: what is not replaced here works on our structure as on the original. */
  q->vfs = *q->under;
  q->vfs_name = g_strdup_printf("winsphere-%d", g_atomic_int_add(&number, 1));
  q->vfs.zName = q->vfs_name;
  q->vfs.pNext = NULL;
  q->vfs.szOsFile = sizeof(StoreFile) + q->under->szOsFile;
  q->vfs.xOpen = vfs_open;
  q->vfs.xDelete = vfs_delete;
  if (sqlite3_vfs_register(&q->vfs, false) != SQLITE_OK)
    return ws_fail(error, WS_ERROR_INTERNAL, "cause", "SQLite takes no VFS", NULL);
  return true;
}

void sqlite_vfs_unregister(StoreSqlite *q)
{
  if (q->vfs_name)
    sqlite3_vfs_unregister(&q->vfs);
  g_clear_pointer(&q->vfs_name, g_free);
}
