// SPDX-License-Identifier: Apache-2.0
/* A client of Open vSwitch's database: JSON-RPC over its unix socket (RFC 7047), as much of it as switches need.
 *
 * Calls block, with a time-out. A connection that has failed in any way is dead: every further call fails, its owner makes a new
 * one. The server's echo is answered whenever we read.
 *
 * Threads: one connection, one thread at a time. JSON values are jansson's; ops and params given to a call are taken over. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

typedef struct Ovsdb Ovsdb;

/* Connects and begins to watch the database's version and configuration counter. WS_ERROR_SWITCH_UNREACHABLE. */
Ovsdb *ovsdb_connect(const char *socket_path, GError **error);
void ovsdb_free(Ovsdb *db); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ovsdb, ovsdb_free)

/* All operations of `ops` in one transaction; results in their order (caller: json_decref). WS_ERROR_SWITCH_ERROR (`object`, `operation`
 * are for people: "vs0", "change"; cause: the server's words), WS_ERROR_SWITCH_UNREACHABLE, WS_ERROR_DEADLINE_EXCEEDED. */
json_t *ovsdb_transact(Ovsdb *db, json_t *ops, const char *object, const char *operation, GError **error);
/* The same, and waits until ovs-vswitchd has made it so. */
json_t *ovsdb_transact_and_apply(Ovsdb *db, json_t *ops, const char *object, const char *operation, GError **error);
/* Rows of one table: `where` as in the RFC (NULL: all), `columns` NULL-ended. Caller: json_decref. */
json_t *ovsdb_select(Ovsdb *db, const char *table, json_t *where, const char *const *columns, GError **error);

const char *ovsdb_version(const Ovsdb *db); /* "3.1.0", as the start scripts of Open vSwitch enter it; NULL: not entered. Borrowed */
/* The same asked of ovs-vswitchd itself, by its control socket beside the database's; NULL: no answer. Caller frees. */
char *ovsdb_ask_version(const char *socket_path);
int ovsdb_fd(const Ovsdb *db);              /* for poll: readable means ovsdb_pump() */
/* Reads what the server sends by itself. false: the connection is gone. */
bool ovsdb_pump(Ovsdb *db);

/* ---- values ---- */
json_t *ovsdb_uuid(const char *uuid);               /* ["uuid", "..."] */
json_t *ovsdb_named(const char *name);              /* ["named-uuid", "..."]: a row inserted by the same transaction */
json_t *ovsdb_set(json_t *items);                   /* array, taken over */
json_t *ovsdb_map(const char *key, ...) G_GNUC_NULL_TERMINATED; /* key, value, ... */
json_t *ovsdb_where(const char *column, const char *function, json_t *value); /* [[column, function, value]] */
/* The i-th member of a value that may be a set or a single one; NULL: there is none. Borrowed. */
json_t *ovsdb_member(json_t *value, size_t i);
/* UUID text of ["uuid", x], or NULL. Borrowed. */
const char *ovsdb_uuid_text(json_t *value);
/* Value of a key in a map column, or NULL. Borrowed. */
const char *ovsdb_map_get(json_t *map, const char *key);
