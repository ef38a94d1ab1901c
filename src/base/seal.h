// SPDX-License-Identifier: Apache-2.0
/* Secrets at rest: short texts sealed with AES-256-GCM under a key that lies in a file of its own, so that whoever gets a copy of the database
 * alone (a backup, a disk that went back to its maker) has no passwords.
 *
 * The key is the process's: it is set once, before the database is opened, and never changes. Without one (the simulator, programs that only
 * read files) texts stay as they are. A sealed text is "sealed:1:" and base64 of nonce (12 bytes), cipher text and tag (16 bytes); the name of
 * its field is authenticated with it. Threads: ws_seal_load() before any other; the rest any. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define WS_SEAL_KEY_BYTES 32

/* Reads the key from the file, or makes it (mode 0600, durable) when there is none. WS_ERROR_IO_ERROR; WS_ERROR_BAD_VALUE: not a key, or others may read it. */
bool ws_seal_load(const char *path, GError **error);
/* Forgets the key. */
void ws_seal_unload(void);
/* Where the key lies; NULL: none is loaded. */
const char *ws_seal_path(void);

bool ws_seal_is_sealed(const char *text);
/* Sealed, or a copy when no key is loaded. Caller frees. */
char *ws_seal(const char *text, const char *name);
/* The text again; a copy of one that was never sealed, which is counted. NULL: WS_ERROR_SECRETS_SEALED: there is no key, it is another one, or the text was
 * changed. Caller wipes and frees. */
char *ws_unseal(const char *text, const char *name, GError **error);
/* How many texts that were not sealed ws_unseal() has seen since a key was loaded: of an older version, to be written anew. */
guint ws_seal_n_plain(void);
