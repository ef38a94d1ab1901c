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
#include "inventory/store-private.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  sqlite3_file base;
  Store *store;
  bool is_wal;
  sqlite3_file real[]; /* the wrapped VFS's file, as long as it wants */
} StoreFile;

static Store *store_of(sqlite3_vfs *vfs)
{
  return (Store *)((char *)vfs - G_STRUCT_OFFSET(Store, vfs));
}

static sqlite3_file *real(sqlite3_file *file)
{
  return ((StoreFile *)file)->real;
}

void store_die(Store *store, const char *what, const char *why)
{
  ws_log(WS_LOG_ERROR, "store-failed", "database", store->path, "during", what, "cause", why, "action",
         "the process ends; the next start replays what is on the disk", NULL);
  _exit(STORE_EXIT_STATUS);
}

int store_fault(Store *store, const char *point)
{
  return store->fault ? store->fault(point, store->fault_arg) : 0;
}

int store_fault_result(int errno_value)
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
  int result = store_fault_result(store_fault(f->store, "write"));

  if (f->is_wal)
    g_atomic_int_set(&f->store->wal_tail_synced, 0);
  return result == SQLITE_OK ? real(file)->pMethods->xWrite(real(file), buffer, n, offset) : result;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
  int result = store_fault_result(store_fault(((StoreFile *)file)->store, "truncate"));

  return result == SQLITE_OK ? real(file)->pMethods->xTruncate(real(file), size) : result;
}

static int file_sync(sqlite3_file *file, int flags)
{
  StoreFile *f = (StoreFile *)file;
  int injected = store_fault(f->store, "sync"), result;

  if (injected != 0)
    store_die(f->store, "sync", g_strerror(injected));
  errno = 0;
  result = real(file)->pMethods->xSync(real(file), flags);
  if (result != SQLITE_OK)
    store_die(f->store, "sync", errno ? g_strerror(errno) : sqlite3_errstr(result));
  if (f->is_wal)
    g_atomic_int_set(&f->store->wal_tail_synced, 1);
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
  Store *store = store_of(vfs);
  int result;

  f->store = store;
  f->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
  f->real[0].pMethods = NULL;
  result = store->under->xOpen(store->under, name, f->real, flags, out_flags);
  f->base.pMethods = f->real[0].pMethods ? &file_methods : NULL;
  return result;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
  Store *store = store_of(vfs);
  int result = store->under->xDelete(store->under, name, sync_directory);

  if (result == SQLITE_IOERR_DIR_FSYNC)
    store_die(store, "sync of the directory", sqlite3_errstr(result));
  return result;
}

bool store_vfs_register(Store *store, GError **error)
{
  static gint number;

  store->under = sqlite3_vfs_find(NULL);
  g_assert(store->under);
  /* A copy: what is not replaced here works on our structure as on the original. */
  store->vfs = *store->under;
  store->vfs_name = g_strdup_printf("winsphere-%d", g_atomic_int_add(&number, 1));
  store->vfs.zName = store->vfs_name;
  store->vfs.pNext = NULL;
  store->vfs.szOsFile = sizeof(StoreFile) + store->under->szOsFile;
  store->vfs.xOpen = vfs_open;
  store->vfs.xDelete = vfs_delete;
  if (sqlite3_vfs_register(&store->vfs, false) != SQLITE_OK)
    return ws_fail(error, WS_ERROR_INTERNAL, "cause", "SQLite takes no VFS", NULL);
  return true;
}

void store_vfs_unregister(Store *store)
{
  if (store->vfs_name)
    sqlite3_vfs_unregister(&store->vfs);
  g_clear_pointer(&store->vfs_name, g_free);
}
