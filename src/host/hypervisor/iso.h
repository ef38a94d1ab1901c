// SPDX-License-Identifier: Apache-2.0
/* A small ISO 9660 image with long names (Joliet), made in memory: what a cloud-init seed needs, and no more.
 *
 * Made here and not by a program, so that the passwords in it pass through no other process and no temporary file. */
#pragma once
#include <glib.h>

typedef struct {
  const char *name;       /* long name, ASCII, at most 64 characters: "user-data" */
  const char *plain_name; /* ISO 9660 level 1, unique: "USERDATA.;1" */
  const void *bytes;
  gsize n;                /* at most 16 MiB */
} IsoFile;

#define ISO_MAX_FILES 8

/* Image with the files (in order of plain_name) in its root directory. volume_id: ASCII, at most 16 characters.
 * wall_us: time stamp of everything. The same input gives the same bytes. The caller frees it; wipe it when it held secrets. */
GByteArray *iso_build(const char *volume_id, const IsoFile *files, guint n, gint64 wall_us);
