// SPDX-License-Identifier: Apache-2.0
/* Reading /proc and /sys, or a recorded copy of them.
 *
 * Every reader of this room takes the root of the tree it reads: "" on a host, a directory in tests. Files are small
 * and appear and vanish with devices; so a file that cannot be read is simply absent, never an error. Paths are printf formats,
 * begin with '/', and are below root. Threads: any. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Content without white space at both ends; NULL: absent, empty, or no UTF-8. Caller frees. */
char *tree_read(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Content as it is (at most 64 KiB), NUL-terminated; NULL: absent. */
char *tree_read_bytes(const char *root, gsize *n, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Whole content, whatever its length below 16 MiB (cpuinfo, pci.ids). NULL: absent. */
char *tree_read_long(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* A number, decimal or 0x hexadecimal; `absent` when there is none. */
gint64 tree_read_int(const char *root, gint64 absent, const char *format, ...) G_GNUC_PRINTF(3, 4);
bool tree_has(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Names in a directory in natural order (node2 before node10); empty when absent. g_strfreev(). */
char **tree_list(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Last component of what a link points to ("e1000e" for .../driver); NULL: no link. */
char *tree_link_name(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* What the path is in truth, all links followed; NULL: absent. */
char *tree_real(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* "0-3,8" as numbers, at most 65,536. */
GArray *tree_parse_cpu_list(const char *text); /* of gint64 */
/* Value of "key:" or "key :" in lines of a text, to the line's end, trimmed; NULL: absent. */
char *tree_line_value(const char *text, const char *key);
