// SPDX-License-Identifier: Apache-2.0
/* A tap below the store: a VFS that becomes SQLite's default and shows every operation that can change a disk
 * before it is done. */
#pragma once
#include <glib.h>

typedef enum { TAP_WRITE, TAP_SYNC, TAP_TRUNCATE, TAP_DELETE, TAP_MAP } TapKind;

typedef struct {
  TapKind kind;
  const char *path;  /* of the file; borrowed */
  const void *bytes; /* WRITE */
  gint64 n, offset;  /* WRITE: n bytes at offset. TRUNCATE: to offset. MAP: region number offset of the shared
                        memory */
} TapOp;

/* Returns an SQLite result to inject (0: go on). On whatever thread SQLite runs. */
typedef int (*Tap)(const TapOp *op, void *arg);

/* Installs the VFS (once); a later call replaces the tap. NULL: lets everything pass. While no database is
 * open. */
void sqlite_tap_install(Tap tap, void *arg);
