// SPDX-License-Identifier: Apache-2.0
/* Shared inside the storage room: a pool opened for one call, files made under a temporary name, space set aside. */
#pragma once
#include "host/storage/image_header.h"
#include "host/storage/pool_reach.h"
#include "host/storage/storage.h"
#include <sys/types.h>

/* In the contract's order, as ImageFormat is. */
typedef enum { PROVISIONING_THIN = 1, PROVISIONING_LAZY, PROVISIONING_EAGER } Provisioning;

#define NEW_PREFIX ".new-"       /* with this host's tag and a dash: swept at its start */
#define UPLOAD_PREFIX ".upload-" /* kept: an upload goes on after a restart */

/* ---- the registry (pool.c); all under `lock`, which is never held over I/O ---- */
typedef struct {
  WsId id;
  char *path, *uuid;
  WsPoolNfs *nfs;  /* what we mount there; NULL: nothing, it is a local folder or somebody else's mount */
  ReachGate *gate;
  enum { NOT_TAKEN_UP, IS_BEING_TAKEN_UP, TAKEN_UP } taken_up; /* in this run: what a crash left in it is swept before anything is made there */
  bool suspended;
  guint64 prepared_at; /* see storage_pool_moment(); 0: before this start */
  guint64 reserved_bytes;
  GHashTable *names;    /* set of files that we know are there; NULL before the first look */
  guint64 changes;      /* counts changes of `names` made by calls */
  guint64 allocated_bytes; /* of its files, when last looked */
  char *filesystem;
  bool reflink;
} StoragePool;

struct Storage {
  gint refs; /* its owner's, and of threads that look at pools (pool_inspect.h) */
  char *state_dir;
  char *new_prefix; /* ".new-3f8a91c2-" */
  char **allowed_roots;
  WsClock *clock;
  GMutex lock;
  GCond file_unlocked;
  GHashTable *pools;   /* WsId -> StoragePool */
  GHashTable *busy;    /* set of "pool/file" that a call works on */
  GHashTable *uploads; /* "pool/file" -> Upload (upload.c) */
  guint64 upload_generation;
  guint64 n_prepared;
  guint64 n_probes;        /* pool_probe.c: names */
  guint probes_out;        /* threads */
  GHashTable *silent;      /* set of places whose thread is late */
  struct PoolWatch *watch; /* NULL: none */
};

/* ---- a pool in use by one call ---- */
typedef struct {
  Storage *storage;
  WsId id;
  char name[WS_ID_TEXT_MAX]; /* "pool-3", for errors */
  char *path;
  int dir_fd; /* -1: not open */
} Pool;
#define POOL_CLOSED {.dir_fd = -1}
/* Finds the pool, opens its directory and checks its identity. `verb` is for the refusal ("pool-3 cannot VERB while it is suspended"). */
bool pool_open(Storage *storage, WsId id, const char *verb, Pool *pool, GError **error);
void pool_close(Pool *pool);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pool, pool_close)

/* The contract's pattern for names that the manager gives; for what lies there already, `foreign` allows capitals. */
bool pool_check_name(const char *file, bool foreign, GError **error);
/* Opens a file of the pool; -1 with WS_ERROR_NOT_FOUND, WS_ERROR_IO_ERROR. Anything but a regular file is refused. */
int pool_open_file(const Pool *pool, const char *name, int flags, GError **error);
bool pool_has_file(const Pool *pool, const char *name);
/* Turns errno of work on `name` into an error; ENOSPC and the like become WS_ERROR_NO_CAPACITY. Always false. */
bool pool_fail(const Pool *pool, const char *name, const char *doing, int errnum, GError **error);
char *pool_file_path(const Pool *pool, const char *name);
/* The calls' own changes, so that the watcher tells nobody about them. Before the rename or unlink. */
void pool_expect(const Pool *pool, const char *file, bool present);

/* Calls on one file wait for each other. */
typedef struct {
  Storage *storage;
  char *key; /* NULL: not held */
} FileLock;
bool file_lock(const Pool *pool, const char *file, const StorageOp *op, FileLock *lock, GError **error);
void file_unlock(FileLock *lock);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FileLock, file_unlock)

/* Space set aside for what a call will write. */
typedef struct {
  Storage *storage;
  WsId pool;
  guint64 bytes; /* still set aside */
  guint64 total;
} Reservation;
bool reserve(const Pool *pool, guint64 bytes, Reservation *reservation, GError **error);
void reservation_used(Reservation *reservation, guint64 used_bytes); /* so much is on disk by now */
void reservation_release(Reservation *reservation);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reservation, reservation_release)

/* ---- a file in the making ---- */
typedef struct {
  const Pool *pool;
  char *file, *temp, *temp_path;
  int fd;         /* read and write */
  bool published;
} NewFile;
#define NEW_FILE_NONE {.fd = -1}
bool new_file_begin(const Pool *pool, const char *file, NewFile *new_file, GError **error);
/* Opens the temporary file again after a program has replaced its content. */
bool new_file_publish(NewFile *new_file, GError **error); /* syncs, gives it its name, syncs the directory */
void new_file_clear(NewFile *new_file);                   /* removes what was not published */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NewFile, new_file_clear)

/* ---- a folder in the making: hidden in the pool, named after this host, swept at its start ---- */
typedef struct {
  const Pool *in;
  Pool pool; /* the folder, as a pool's directory is */
  char *name;
} HiddenFolder;
#define HIDDEN_FOLDER_NONE {.pool = POOL_CLOSED}
/* `what` and `file` name it; one of that name is of a call that was cut short, and goes. `in` is borrowed. */
bool hidden_folder_begin(const Pool *in, const char *what, const char *file, HiddenFolder *folder, GError **error);
void hidden_folder_clear(HiddenFolder *folder); /* with all that is in it */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HiddenFolder, hidden_folder_clear)

/* ---- blocks (blocks.c): long loops over a file's bytes; progress counts from op's `base` ---- */
typedef struct {
  const Pool *pool;
  const char *name; /* for errors */
  const StorageOp *op;
  Reservation *reservation; /* may be NULL */
  guint64 done, total;      /* what is reported */
} Blocks;
bool blocks_fill(Blocks *blocks, int fd, guint64 from, guint64 to, Provisioning provisioning, GError **error);
bool blocks_zero(Blocks *blocks, int fd, GError **error);
bool blocks_copy(Blocks *blocks, int in, int out, guint64 bytes, GError **error);
char *blocks_sha256(Blocks *blocks, int fd, guint64 bytes, GError **error); /* hex; caller frees */
bool op_is_cancelled(const StorageOp *op, GError **error); /* true: error set */
void op_progress(const StorageOp *op, guint64 done, guint64 total);

bool file_write_all(int fd, const void *buf, gsize n, guint64 offset); /* false: errno */
guint64 file_allocated_bytes(int fd);
/* Does another process (a QEMU) have the image open at all, or for writing? */
bool image_is_in_use(int fd, bool for_writing_only);
/* As above, as an error naming the file. */
bool image_check_unused(const Pool *pool, const char *file, int fd, bool for_writing_only, GError **error);

/* Small facts kept with a file (user.winsphere.NAME). Best effort: file systems without attributes lose them. value NULL removes. */
void storage_set_attribute(int fd, const char *name, const char *value);
gssize storage_get_attribute(int fd, const char *name, char *buf, gsize n); /* length, NUL-terminated; -1: absent */

/* ---- what a file is (volume.c) ---- */
typedef struct {
  guint64 size_bytes;  /* what the guest sees */
  guint64 chain_bytes; /* on disk, with all files below it */
  ImageHeader header;  /* for raw: format and sizes only */
} VolumeFacts;
/* Takes `format` as given. Checks a qcow2's chain: every file below it is a plain name in this pool with its format written down. */
bool volume_measure(const Pool *pool, const char *file, int fd, ImageFormat format, VolumeFacts *facts, GError **error);
/* Space that a new file of this kind needs at once. */
guint64 volume_need_bytes(ImageFormat format, Provisioning provisioning, guint64 size_bytes);
bool image_read_fd(const Pool *pool, const char *file, int fd, ImageHeader *header, GError **error);
/* The header must be what `declared` says and refer to nothing else. */
bool image_check_upload(const Pool *pool, const char *file, int fd, ImageFormat declared, VolumeFacts *facts, GError **error);
/* Grows the file blocks->name, which is open as fd; as it was after an error. */
bool volume_grow(Blocks *blocks, int fd, ImageFormat format, guint64 old_bytes, guint64 new_bytes, Provisioning provisioning,
                 GError **error);

/* ---- copies (volume_copy.c) ---- */
typedef struct {
  const Pool *source_pool;
  const char *source_file; /* its name there */
  int source_fd;
  const VolumeFacts *source;
  const Pool *pool;
  const char *file;
  ImageFormat format;
  Provisioning provisioning;
  guint64 size_bytes; /* of the copy; 0: as the source */
  const StorageOp *op;
} VolumeCopy;
/* Makes `file` a copy of what a guest would see in the source: reserves, copies or converts, grows, publishes. */
bool volume_copy(const VolumeCopy *copy, guint64 *size_bytes, guint64 *allocated_bytes, GError **error);

/* ---- registry (pool_registry.c, pool.c) ---- */
StoragePool *storage_pool_new(WsId id, const char *path, const char *uuid, WsPoolNfs *nfs, bool suspended); /* takes nfs over */
void storage_pool_free(void *data);
bool registry_load(Storage *storage, GError **error);
bool registry_save(Storage *storage, GError **error);
bool registry_load_tag(Storage *storage, GError **error); /* drawn at the first start */
StoragePool *storage_find_pool(Storage *storage, WsId id); /* under lock */
/* Once for each run, when the folder is reached for the first time. false: another call is at it. */
bool pool_take_up(Storage *storage, WsId id, int dir_fd);
WsPoolStatus *pool_look(Storage *storage, WsId id);        /* NULL: no such pool */
WsPoolStatus *pool_silent(Storage *storage, WsId id);      /* the same, of one that does not answer: without asking it */
Storage *storage_ref(Storage *storage);
void storage_unref(Storage *storage);
struct stat;
/* Calls `each` for every file that may be a volume (not for names with a leading dot); returns the space all take. */
guint64 pool_list(int dir_fd, void (*each)(const char *name, const struct stat *st, void *arg), void *arg);
void upload_free(gpointer upload); /* for the table of uploads */
