// SPDX-License-Identifier: Apache-2.0
/* A real PostgreSQL server for tests: a cluster of its own on a Unix socket in a private directory, run by a user without
 * rights, gone with the process. One per test program, started when first asked for. */
#pragma once
#include <glib.h>
#include <libpq-fe.h>
#include <stdbool.h>

/* False: there is no PostgreSQL on this machine (scripts/install-deps installs it): skip, and say so. */
bool pg_server_get(void);
/* The same, but on a disk, in a directory of its own there, and it syncs: for measuring. */
bool pg_server_get_on_disk(const char *parent);
/* Address of the database, tables in `schema`. Caller frees. */
char *pg_server_address(const char *schema);
/* Runs SQL as the owner of everything; asserts success. */
void pg_server_run(const char *sql);
/* First column of the first row as text; caller frees. */
char *pg_server_query(const char *sql);
/* A fresh name for a schema; caller frees. */
char *pg_server_new_schema(void);

/* For a child of the program that started it: uses the server there, and leaves it alone at the end. */
char *pg_server_dir(void); /* caller frees */
void pg_server_use(const char *server_dir);

/* As a crash of the server: no session is told, nothing is finished. start() waits until it answers again. */
void pg_server_crash(void);
void pg_server_start(void);
