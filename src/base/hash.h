// SPDX-License-Identifier: Apache-2.0
/* Hashes, passwords, random words, and forgetting secrets. OpenSSL and libargon2 beneath. Threads: any. */
#pragma once
#include "base/clock.h"
#include <stdbool.h>

/* SHA-256 in 64 lower-case hex digits; caller frees. */
char *ws_sha256_hex(const void *bytes, gsize n);
/* The same over pieces. */
typedef struct WsSha256 WsSha256;
WsSha256 *ws_sha256_new(void);
void ws_sha256_add(WsSha256 *sha, const void *bytes, gsize n);
char *ws_sha256_end(WsSha256 *sha); /* frees sha; hex, caller frees */
void ws_sha256_free(WsSha256 *sha); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsSha256, ws_sha256_free)

/* How a machine is told apart: SHA-256 of its machine-id with a salt of ours, for the id itself is nobody else's business (machine-id(5)). NULL
 * for an empty one. Caller frees. */
char *ws_machine_hash(const char *machine_id);

/* Same bytes? In a time that depends on n only. */
bool ws_equal_constant_time(const void *a, const void *b, gsize n);

/* argon2id in PHC form ("$argon2id$v=19$m=19456,t=2,p=1$..."), parameters of the OWASP password storage cheat sheet. About 30 ms of one core:
 * on a worker. `clock` gives the salt. Caller frees. */
char *ws_password_hash(WsClock *clock, const char *password, GError **error);
/* Simulators only: hash with so little memory (KiB; at least 8). What was hashed before still verifies. Before there are threads. */
void ws_password_set_memory(guint kib);
/* Against a PHC text; false for any other text. Same cost. */
bool ws_password_verify(const char *password, const char *phc);

/* `prefix` and 32 random bytes as base64url (43 characters). Caller frees. */
char *ws_token_new(WsClock *clock, const char *prefix);

/* Overwrites, then frees. NULL is fine. */
void ws_secret_free(char *text);
/* The same for a member, which becomes NULL. */
void ws_secret_clear(char **text);
