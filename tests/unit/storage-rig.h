// SPDX-License-Identifier: Apache-2.0
/* Storage of one host in a temporary folder, with pool 1 in it, and short forms of its calls: what the tests of src/host/storage share. */
#pragma once
#include "base/error.h"
#include "host/storage/image_header.h"
#include "host/storage/storage.h"

#define MIB (G_GINT64_CONSTANT(1) << 20)
#define STORAGE_RIG_UUID_A "0d4f7a52-6a2b-4d8e-9a35-2f6d3c1b0a01"
#define STORAGE_RIG_UUID_B "7b1e0c44-11d2-4f0c-8e57-90ab12cd34ef"

enum { QCOW2 = IMAGE_FORMAT_QCOW2, RAW = IMAGE_FORMAT_RAW, THIN = 1, LAZY = 2, EAGER = 3 };

typedef struct {
  char *top, *root, *state;
  Storage *storage;
  GMutex lock;
  GCond changed;
  GPtrArray *events; /* "appeared x", "vanished x", "state N" */
} StorageRig;

bool storage_rig_wait_for_event(StorageRig *f, const char *event, guint timeout_ms);
void storage_rig_start(StorageRig *f, bool watch);
void storage_rig_restart(StorageRig *f, bool watch);
bool storage_rig_prepare(StorageRig *f, WsId id, const char *path, const char *uuid, bool create, GError **error);
char *storage_rig_path(StorageRig *f, const char *name);
void storage_rig_set_up(StorageRig *f, gconstpointer data);
void storage_rig_tear_down(StorageRig *f, gconstpointer data);
void storage_rig_assert_code(GError *error, WsErrorCode code);
void storage_rig_assert_files(StorageRig *f, const char *expected);
bool storage_rig_create(StorageRig *f, const char *file, gint64 size, int format, int provisioning, const char *parent, const StorageOp *op, gint64 *allocated, GError **error);
void storage_rig_must_create(StorageRig *f, const char *file, gint64 size, int format, int provisioning, gint64 *allocated);
bool storage_rig_clone(StorageRig *f, const char *file, int source_format, const char *target, int format, int provisioning, gint64 size, GError **error);
/* A VM "web server" with these disks of pool 1 (a name, then its format, ...; ends with NULL) as `file`. */
bool storage_rig_export(StorageRig *f, const char *file, const StorageOp *op, WsRpcVolumeExportResult **result, GError **error, ...) G_GNUC_NULL_TERMINATED;
bool storage_rig_delete(StorageRig *f, const char *file, bool wipe, GError **error);
WsRpcVolumeInfoResult *storage_rig_info(StorageRig *f, const char *file, int format, GError **error);
bool storage_rig_resize(StorageRig *f, const char *file, int format, gint64 size, int provisioning, gint64 *now, GError **error);
void storage_rig_write_pattern(StorageRig *f, const char *file, gint64 offset, gsize n);
void storage_rig_write_random(StorageRig *f, const char *file, gsize n); /* what nothing can pack */
void storage_rig_assert_same_bytes(StorageRig *f, const char *a, const char *b);
char *storage_rig_new_name(StorageRig *f, const char *file);
int storage_rig_hold_as_qemu(StorageRig *f, const char *file, bool writing);
void storage_rig_run_tool(const char *const *argv);

/* A case; a watched one is told of changes (rig->events). */
#define TEST(name) g_test_add("/host/storage/" #name, StorageRig, NULL, storage_rig_set_up, name, storage_rig_tear_down)
#define WATCHED_TEST(name) g_test_add("/host/storage/" #name, StorageRig, "", storage_rig_set_up, name, storage_rig_tear_down)
