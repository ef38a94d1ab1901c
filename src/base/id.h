// SPDX-License-Identifier: Apache-2.0
/* Ids: a 64-bit number, unique within one site and never used again; in text with its type's prefix: "vm-42".
 *
 * Numbers because they are 8 bytes in memory, integer keys in SQL and short to type; the prefix (from the type's
 * contract, x-prefix) makes a reference self-explaining and typed on the wire. 0 is "none". */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef guint64 WsId;
typedef guint64 Revision; /* of the inventory; only grows */

#define WS_ID_TEXT_MAX 32 /* prefix (<= 11) + '-' + 19 digits + NUL */

/* Writes "prefix-number" into buf (WS_ID_TEXT_MAX bytes) and returns buf. */
char *ws_id_format(const char *prefix, WsId id, char *buf);
/* Strict: exactly `prefix`, '-', digits without leading zero, 1..2^63-1. false: *id untouched. */
bool ws_id_parse(const char *prefix, const char *text, WsId *id);
