// SPDX-License-Identifier: Apache-2.0
/* Heads of a tar archive: the ustar format of POSIX.1-2017 (pax(1), "ustar Interchange Format"), plain files only. An archive is, for each file, one
 * head of TAR_BLOCK bytes and the file's own, filled up with zeros to whole blocks; then TAR_END_BYTES of zeros.
 *
 * A file of 8 GiB and more does not fit the eleven octal digits of its size; such a number is written in base 256 with the top bit set, as GNU tar
 * does by itself (tar manual, "Extensions"): tar, bsdtar, Python, VMware's and VirtualBox' readers take it. Pure; threads: any. */
#pragma once
#include <glib.h>

#define TAR_BLOCK     512
#define TAR_END_BYTES (2 * TAR_BLOCK)
#define TAR_NAME_MAX  100 /* bytes of a name, without its NUL */

/* name: no folder; at most TAR_NAME_MAX bytes. modified_s: since 1970; 0 when before. */
void tar_head(guint8 block[TAR_BLOCK], const char *name, guint64 bytes, gint64 modified_s);
/* With what fills it up. */
guint64 tar_whole_blocks(guint64 bytes);
