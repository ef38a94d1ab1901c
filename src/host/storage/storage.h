// SPDX-License-Identifier: Apache-2.0
/* Storage of one host: pools and the volumes in them.
 *
 * A pool is a directory below one of the allowed roots, marked with its identity (a file that holds its UUID); so an empty
 * mount point is not taken for the pool that should be mounted there. A volume is a file in it. The rules:
 *
 *   - Every file is opened beneath its pool's directory, with no symbolic link on the way; names come from the manager and
 *     are checked here again.
 *   - A file has its name only when it is whole: it is made as ".new-TAG-NAME", TAG being this host's own (uploads: ".upload-NAME"), synced, then renamed.
 *     What a crash leaves under such a name is swept at that host's next start; uploads stay, they go on where they were.
 *   - Every call may be repeated. Calls on one file wait for each other; a repeated one finds its work done.
 *   - Space is reserved before it is written, so a pool that cannot hold the result is refused at once; when it fills up
 *     all the same, what was made is removed.
 *   - Nothing is probed: the caller says what format a file has. Only uploads are looked at, by image_header.h; qemu-img
 *     runs confined (qemu_img.h).
 *   - A file that a QEMU has open is neither resized, wiped nor deleted (QEMU's own locks are asked).
 *
 * Threads: any; calls block (disks, qemu-img): workers only. `op` is how a long one reports and is stopped; NULL is fine.
 * Sizes are bytes. Errors, beside those named: WS_ERROR_NOT_FOUND (pool, file), WS_ERROR_WRONG_STATE (pool suspended or
 * unreachable), WS_ERROR_NO_CAPACITY, WS_ERROR_IN_USE, WS_ERROR_IO_ERROR, WS_ERROR_CANCELLED, WS_ERROR_PROGRAM_*. */
#pragma once
#include "base/clock.h"
#include "model/model.h"

typedef struct Storage Storage;

typedef struct {
  void (*progress)(gint64 done_bytes, gint64 total_bytes, void *arg); /* any thread; may be NULL */
  void *arg;
  volatile gint *cancel; /* non-zero: stop and undo; may be NULL */
} StorageOp;

typedef struct {
  const char *state_dir;            /* the agent's own, exists; holds pools.json and our tag */
  const char *const *allowed_roots; /* absolute, NULL-ended; pools lie below one of them */
  WsClock *clock;
  guint watch_interval_ms;          /* 0: 2,000; how often pools are looked at beside the kernel's own hints */
  /* A pool's state or size changed, or files came or went without a call of ours (names, NULL-ended, may be NULL). On the
   * watch thread; must not block. NULL: no watching. */
  void (*changed)(WsId pool, const WsPoolStatus *status, const char *const *appeared, const char *const *vanished, void *arg);
  void *changed_arg;
} StorageConfig;

/* Takes up the pools of the last run and sweeps what a crash left in them. One that is not reachable is no error. */
Storage *storage_new(const StorageConfig *config, GError **error);
void storage_free(Storage *storage); /* no call may be running; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Storage, storage_free)

/* ---- pools ---- */
bool storage_pool_prepare(Storage *storage, const WsRpcPoolPrepare *params, WsPoolStatus **status, GError **error);
bool storage_pool_refresh(Storage *storage, WsId pool, WsRpcPoolRefreshResult **result, GError **error);
bool storage_pool_remove(Storage *storage, WsId pool, bool keep, GError **error); /* keep: others use it */
/* How often a pool has been prepared: a moment, for storage_pool_keep(). */
guint64 storage_pool_moment(Storage *storage);
/* Forgets all but these, and those that were prepared after the moment at which the list came. */
bool storage_pool_keep(Storage *storage, const WsRpcPoolKeep *params, guint64 came_at, GError **error);

/* Whether a place can be used as a pool, or could be: what was found, good and bad. Leaves nothing behind
 * (pool_probe.h), and ends within a minute whatever hangs. Errors only for parameters that make no sense:
 * WS_ERROR_BAD_VALUE, WS_ERROR_REQUIRED, WS_ERROR_OUT_OF_RANGE. */
bool storage_pool_check(Storage *storage, const WsRpcPoolCheck *params, WsRpcPoolCheckResult **result,
                        GError **error);

/* Absolute path of a file of a pool, for libvirt. The file must be there and the pool usable. Caller frees. */
char *storage_volume_path(Storage *storage, WsId pool, const char *file, GError **error);
/* The pool and file that an absolute path names; false: it lies in no pool. *file is borrowed from path. */
bool storage_find_volume(Storage *storage, const char *path, WsId *pool, const char **file);

/* ---- leases: who may run a VM whose disks lie in a pool (lease.c, docs/leases.md) ---- */
typedef struct {
  gint64 generation; /* 0: nobody had it yet */
  bool held;         /* the holder may be running it */
  char holder[40];   /* UUID of the host's agent */
  char host[65];     /* its name, for people; no line feed */
} StorageLease;
/* The record of one VM in one pool, locked against all hosts that share the pool until it is closed. */
typedef struct StorageLeaseFile StorageLeaseFile;
/* make: an absent one is made. Waits up to 10 s for another host's lock. NULL: WS_ERROR_NOT_FOUND (pool, or record), WS_ERROR_WRONG_STATE (the
 * pool cannot be reached), WS_ERROR_IO_ERROR (also: the record is damaged, the file system does not lock). */
StorageLeaseFile *storage_lease_open(Storage *storage, WsId pool, const char *uuid, bool make, GError **error);
const StorageLease *storage_lease_get(const StorageLeaseFile *file); /* borrowed */
bool storage_lease_put(StorageLeaseFile *file, const StorageLease *lease, GError **error); /* durable on return */
bool storage_lease_remove(StorageLeaseFile *file, GError **error);
void storage_lease_close(StorageLeaseFile *file); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageLeaseFile, storage_lease_close)

/* ---- volumes ---- */
bool storage_volume_create(Storage *storage, const WsRpcVolumeCreate *params, const StorageOp *op,
                           WsRpcVolumeCreateResult **result, GError **error);
bool storage_volume_resize(Storage *storage, const WsRpcVolumeResize *params, const StorageOp *op,
                           WsRpcVolumeResizeResult **result, GError **error);
bool storage_volume_clone(Storage *storage, const WsRpcVolumeClone *params, const StorageOp *op,
                          WsRpcVolumeCloneResult **result, GError **error);
bool storage_volume_delete(Storage *storage, const WsRpcVolumeDelete *params, const StorageOp *op, GError **error);
bool storage_volume_wipe(Storage *storage, const WsRpcVolumeWipe *params, const StorageOp *op, GError **error);
bool storage_volume_info(Storage *storage, const WsRpcVolumeInfo *params, WsRpcVolumeInfoResult **result, GError **error);
bool storage_volume_checksum(Storage *storage, const WsRpcVolumeChecksum *params, const StorageOp *op,
                             WsRpcVolumeChecksumResult **result, GError **error);

/* ---- images ---- */
bool storage_image_inspect(Storage *storage, const WsRpcImageInspect *params, WsRpcImageInspectResult **result, GError **error);
bool storage_image_import(Storage *storage, const WsRpcImageImport *params, const StorageOp *op,
                          WsRpcImageImportResult **result, GError **error);

/* ---- uploads: open, then one sink after the other until all is there, then finish ---- */
#define STORAGE_CHUNK_BYTES (8 << 20) /* most that one write takes */

bool storage_upload_open(Storage *storage, const WsRpcVolumeUploadOpen *params, WsRpcVolumeUploadOpenResult **result,
                         GError **error);
bool storage_upload_finish(Storage *storage, const WsRpcVolumeUploadFinish *params, const StorageOp *op,
                           WsRpcVolumeUploadFinishResult **result, GError **error);
bool storage_upload_abort(Storage *storage, const WsRpcVolumeUploadAbort *params, GError **error);

typedef struct UploadSink UploadSink;
/* A newer sink of the same upload makes older ones fail: the stream that was thought dead cannot write any more. */
UploadSink *storage_upload_sink(Storage *storage, WsId pool, const char *file, GError **error);
guint64 upload_sink_received(const UploadSink *sink); /* on disk; the next byte has this offset */
/* n <= STORAGE_CHUNK_BYTES. What is there already is skipped; a gap, or more than the announced total, is WS_ERROR_BAD_VALUE.
 * On true all up to offset + n is on disk. */
bool upload_sink_write(UploadSink *sink, guint64 offset, const void *bytes, gsize n, GError **error);
void upload_sink_free(UploadSink *sink); /* the upload stays; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UploadSink, upload_sink_free)

/* ---- downloads ---- */
typedef struct DownloadSource DownloadSource;
/* Refuses a linked child (its bytes alone are no image) and a file that a QEMU writes. */
DownloadSource *storage_download_source(Storage *storage, WsId pool, const char *file, gint format, GError **error);
guint64 download_source_bytes(const DownloadSource *source);
/* *n: wanted, then got (less only at the end). */
bool download_source_read(DownloadSource *source, guint64 offset, void *buf, gsize *n, GError **error);
void download_source_free(DownloadSource *source); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DownloadSource, download_source_free)

/* ---- a VM as one file (volume_export.c) ---- */
/* One of its disks, as it lies in the file. */
typedef struct {
  const char *name;
  guint64 bytes;      /* of it there */
  guint64 size_bytes; /* that the guest sees */
} ExportedDisk;
/* Writes the descriptor, for `name`.ovf; longer numbers make it longer, and nothing else of `disks` does. Caller frees. */
typedef char *(*ExportDescribe)(const WsRpcVolumeExport *params, const ExportedDisk *disks, guint n);
bool storage_volume_export(Storage *storage, const WsRpcVolumeExport *params, ExportDescribe describe, const StorageOp *op,
                           WsRpcVolumeExportResult **result, GError **error);

/* ---- a volume that goes to another host: the file and those below it, byte for byte, holes left out ---- */
#define STORAGE_PIECE_BYTES ((gsize)4 << 20) /* most that one piece holds */

typedef struct {
  guint file;        /* 0: the volume itself; then what it builds on, downwards */
  guint64 offset;
  const void *bytes; /* borrowed */
  gsize n;           /* 0: there is no more */
} VolumePiece;

/* ---- where it leaves (volume_leave.c) ---- */
typedef struct VolumeLeave VolumeLeave;
/* Held against being written until it is freed: no QEMU can start on it. WS_ERROR_IN_USE: one writes it now. */
VolumeLeave *storage_leave(Storage *storage, WsId pool, const char *file, gint format, GError **error);
guint volume_leave_n_files(const VolumeLeave *leave);
/* Name (borrowed), size and what of it is no hole. */
const char *volume_leave_file(const VolumeLeave *leave, guint i, guint64 *bytes, guint64 *data_bytes);
bool volume_leave_next(VolumeLeave *leave, VolumePiece *piece, GError **error); /* good until the next call */
void volume_leave_free(VolumeLeave *leave); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeLeave, volume_leave_free)

/* ---- where it arrives (volume_arrive.c) ---- */
typedef struct VolumeArrival VolumeArrival;
/* `file` is its name when it is whole; one of that name is of an earlier try and goes. */
VolumeArrival *storage_arrive(Storage *storage, WsId pool, const char *file, gint format, gint provisioning, guint64 size_bytes,
                              const StorageOp *op, GError **error);
/* The files in the order of volume_leave_file(), before their pieces. */
bool volume_arrival_file(VolumeArrival *arrival, const char *name, guint64 bytes, guint64 data_bytes, GError **error);
/* digest: SHA-256 of its bytes as they left, in hex. WS_ERROR_CHECKSUM_MISMATCH. */
bool volume_arrival_piece(VolumeArrival *arrival, const VolumePiece *piece, const char *digest, GError **error);
/* All is there: synced, read back and compared, made what it shall be, named. Once. */
bool volume_arrival_finish(VolumeArrival *arrival, gint source_format, const StorageOp *op, gint64 *allocated_bytes, GError **error);
void volume_arrival_free(VolumeArrival *arrival); /* removes what has no name yet; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeArrival, volume_arrival_free)
