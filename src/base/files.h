// SPDX-License-Identifier: Apache-2.0
/* Whole small files: read with a limit, written so that the old or the new one is there whatever happens. Threads: any; blocks. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* The file's bytes, NUL-terminated; *n (may be NULL) their number. WS_ERROR_IO_ERROR (path), WS_ERROR_TOO_LARGE. Caller frees. */
char *ws_file_read(const char *path, gsize max_bytes, gsize *n, GError **error);
/* A temporary file beside it with `mode` from its first moment on, synced, renamed over it, the directory synced. WS_ERROR_IO_ERROR. */
bool ws_file_write(const char *path, const void *bytes, gsize n, guint mode, GError **error);
/* Removes what a ws_file_write() to this path left behind that was cut short by the process's end. While nobody else writes it. */
void ws_file_drop_unfinished(const char *path);
/* Syncs the directory that `path` is in: a name that was made, renamed or deleted there is so for good. WS_ERROR_IO_ERROR. */
bool ws_directory_sync(const char *path, GError **error);
