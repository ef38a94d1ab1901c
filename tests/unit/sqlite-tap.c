// SPDX-License-Identifier: Apache-2.0
#include "sqlite-tap.h"
#include <sqlite3.h>
#include <string.h>

typedef struct {
  sqlite3_file base;
  char path[256];
  sqlite3_file real[];
} TapFile;

static sqlite3_vfs vfs, *under;
static sqlite3_io_methods methods;
static Tap tap_func;
static void *tap_arg;

static sqlite3_file *real(sqlite3_file *file)
{
  return ((TapFile *)file)->real;
}

static int show(sqlite3_file *file, TapOp op)
{
  op.path = ((TapFile *)file)->path;
  return tap_func ? tap_func(&op, tap_arg) : SQLITE_OK;
}

static int tap_close(sqlite3_file *f)
{
  return real(f)->pMethods->xClose(real(f));
}

static int tap_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 offset)
{
  return real(f)->pMethods->xRead(real(f), bytes, n, offset);
}

static int tap_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 offset)
{
  int result = show(f, (TapOp){.kind = TAP_WRITE, .bytes = bytes, .n = n, .offset = offset});

  return result ? result : real(f)->pMethods->xWrite(real(f), bytes, n, offset);
}

static int tap_truncate(sqlite3_file *f, sqlite3_int64 size)
{
  int result = show(f, (TapOp){.kind = TAP_TRUNCATE, .offset = size});

  return result ? result : real(f)->pMethods->xTruncate(real(f), size);
}

static int tap_sync(sqlite3_file *f, int flags)
{
  int result = show(f, (TapOp){.kind = TAP_SYNC});

  return result ? result : real(f)->pMethods->xSync(real(f), flags);
}

static int tap_size(sqlite3_file *f, sqlite3_int64 *size)
{
  return real(f)->pMethods->xFileSize(real(f), size);
}

static int tap_lock(sqlite3_file *f, int level)
{
  return real(f)->pMethods->xLock(real(f), level);
}

static int tap_unlock(sqlite3_file *f, int level)
{
  return real(f)->pMethods->xUnlock(real(f), level);
}

static int tap_check_lock(sqlite3_file *f, int *out)
{
  return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int tap_control(sqlite3_file *f, int op, void *arg)
{
  return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int tap_sector(sqlite3_file *f)
{
  return real(f)->pMethods->xSectorSize(real(f));
}

static int tap_characteristics(sqlite3_file *f)
{
  return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int tap_shm_map(sqlite3_file *f, int page, int bytes, int extend, void volatile **out)
{
  int result = show(f, (TapOp){.kind = TAP_MAP, .offset = page});

  return result ? result : real(f)->pMethods->xShmMap(real(f), page, bytes, extend, out);
}

static int tap_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
  return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void tap_shm_barrier(sqlite3_file *f)
{
  real(f)->pMethods->xShmBarrier(real(f));
}

static int tap_shm_unmap(sqlite3_file *f, int delete)
{
  return real(f)->pMethods->xShmUnmap(real(f), delete);
}

static int tap_open(sqlite3_vfs *v, const char *name, sqlite3_file *file, int flags, int *out)
{
  TapFile *f = (TapFile *)file;
  int result;

  g_strlcpy(f->path, name ? name : "", sizeof f->path);
  f->real[0].pMethods = NULL;
  result = under->xOpen(under, name, f->real, flags, out);
  f->base.pMethods = f->real[0].pMethods ? &methods : NULL;
  return result;
}

static int tap_delete(sqlite3_vfs *v, const char *name, int sync)
{
  TapOp op = {.kind = TAP_DELETE, .path = name};
  int result = tap_func ? tap_func(&op, tap_arg) : SQLITE_OK;

  return result ? result : under->xDelete(under, name, sync);
}

void sqlite_tap_install(Tap tap, void *arg)
{
  tap_func = tap;
  tap_arg = arg;
  if (under)
    return;
  methods = (sqlite3_io_methods){
      2,
      tap_close,
      tap_read,
      tap_write,
      tap_truncate,
      tap_sync,
      tap_size,
      tap_lock,
      tap_unlock,
      tap_check_lock,
      tap_control,
      tap_sector,
      tap_characteristics,
      tap_shm_map,
      tap_shm_lock,
      tap_shm_barrier,
      tap_shm_unmap,
      NULL,
      NULL,
  };
  under = sqlite3_vfs_find(NULL);
  vfs = *under;
  vfs.zName = "tap";
  vfs.pNext = NULL;
  vfs.szOsFile = (int)sizeof(TapFile) + under->szOsFile;
  vfs.xOpen = tap_open;
  vfs.xDelete = tap_delete;
  g_assert_cmpint(sqlite3_vfs_register(&vfs, 1), ==, SQLITE_OK);
}
