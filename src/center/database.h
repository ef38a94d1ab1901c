// SPDX-License-Identifier: Apache-2.0
/* Which database the manager uses, and what is done to it while no manager runs: moving it, restoring a backup, making one.
 *
 * The address is the option --database, else the file `database` in the data directory, else the file winsphere.db there. */
#pragma once
#include "inventory/copy.h"

#define CENTER_SECRETS_KEY "secrets.key" /* in the data directory: what the database's passwords are sealed with (base/seal.h) */

/* Caller frees. `option` may be NULL. */
char *center_database_address(const char *data_dir, const char *option, GError **error);

/* The site's keys and certificates, to travel with a backup: of CopyFile. */
GPtrArray *center_key_files(const char *data_dir, GError **error);

/* The newest backup in `data_dir`/backups that is whole, reading them; NULL: none. Blocks. Caller frees. */
char *center_newest_backup(const char *data_dir);

/* Each prints what it did, table by table. They refuse while a manager has the database open. */
bool center_database_backup(const char *data_dir, const char *option, const char *path, GError **error);
/* Database and keys; what was there is kept beside. */
bool center_database_restore(const char *data_dir, const char *option, const char *path, GError **error);
/* To an address, or "file": winsphere.db in the data directory. The manager uses the new one from then on. */
bool center_database_move(const char *data_dir, const char *option, const char *to, GError **error);
