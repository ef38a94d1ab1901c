// SPDX-License-Identifier: Apache-2.0
/* Copies of a whole database: backup files, restoring them, and moving between a file and a server.
 *
 * A backup file is one moment of the database, whichever kind it is of, and restores into either. It holds for each type
 * the rows (id, revision, body), the facts, and files that its maker adds (the site's keys); gzip around lines of text:
 *
 *     {"winsphere_backup":1,"schema":1,"program":"0.1.0","time":"...","database":"sqlite"}
 *     {"table":"vms"}             then rows "ID REVISION BYTES BODY", and {"rows":N,"sha256":"..."} of those lines
 *     {"facts":true}              the same with rows "NAME BYTES VALUE"
 *     {"file":"ca.key","bytes":N} and its bytes
 *     {"end":true,"sha256":"..."} of everything before it
 *
 * It is secret: mode 0600. Sums are over what bodies say, not over how a database lays them out, so those of a table are
 * the same in the file, in SQLite and in PostgreSQL.
 *
 * A copy is made beside the database that it will be, read back and compared, and only then takes its place; the one that
 * was there is kept under another name. A run that is cut short can be run again.
 *
 * All block for as long as it takes. Threads: copy_backup() any; the others where no manager runs. */
#pragma once
#include "inventory/store.h"

typedef struct {
  char *table; /* plural of the type; "facts" */
  guint64 n_rows;
  char *sha256;
} CopySum;

typedef struct {
  gint64 time_us;          /* wall; when the moment was */
  gint64 schema;           /* number of the last migration */
  char *program, *database; /* version that wrote it; "sqlite" or "postgresql" */
  guint64 n_rows, size_bytes; /* of the file; 0 for a move */
  char *sha256;            /* of what is in the file; NULL for a move */
  GPtrArray *sums;         /* of CopySum */
  char *kept;              /* name of the database whose place it took; NULL: none */
} CopySummary;
void copy_summary_free(CopySummary *summary); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CopySummary, copy_summary_free)

/* A file that travels with a backup. */
typedef struct {
  char *name;
  GBytes *bytes;
} CopyFile;
void copy_file_free(CopyFile *file);

/* Writes a backup of an open database; `files` (of CopyFile; may be NULL) with it. There under its name only when whole. `go_on`
 * (may be NULL) is asked now and then; false ends it with WS_ERROR_CANCELLED. */
CopySummary *copy_backup(Store *store, const char *path, const GPtrArray *files, bool (*go_on)(void *arg), void *arg,
                         GError **error);
/* Reads it all and compares its checksums: WS_ERROR_BACKUP_DAMAGED (path); WS_ERROR_VERSION_MISMATCH: of a newer program.
 * `files` (may be NULL): takes its CopyFiles. */
CopySummary *copy_verify(const char *path, GPtrArray *files, GError **error);
/* Makes the database at `address` what the backup says, older migrations brought forward. Ids and revisions go on far behind
 * those of the backup, since more had been handed out when it was lost. Refused while a manager has it open. */
CopySummary *copy_restore(const char *path, const char *address, WsLoop *loop, GError **error);
/* Moves a database; the old one stays and remembers where it went, so that no manager starts on it by mistake. Refused while
 * a manager has either open, and when there is one at `to`, unless it was itself moved away. */
CopySummary *copy_move(const char *from, const char *to, WsLoop *loop, GError **error);
