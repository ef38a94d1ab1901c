// SPDX-License-Identifier: Apache-2.0
/* The WebSocket extension permessage-deflate, RFC 7692, without context from one message to the next: so a message is
 * compressed once for however many sockets, and a socket at rest costs nothing.
 *
 * Pure functions; any thread. Private to src/http. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* What a client offers. */
#define DEFLATE_OFFER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/* Server: the answer to what a client offers in Sec-WebSocket-Extensions, a static text; NULL: nothing of it is for us. */
const char *deflate_accept(const char *offers);
/* Client: has the server accepted what DEFLATE_OFFER says? */
bool deflate_is_accepted(const char *answer);

/* Compressed payload of a message. Caller owns. */
GBytes *deflate_message(GBytes *message);
/* The message of a compressed payload; NULL with *why: it is longer than max_bytes (*too_long) or no such payload. Memory grows
 * with what comes out. Caller owns. */
GByteArray *deflate_unpack(const char *bytes, gsize n, gsize max_bytes, bool *too_long, const char **why);
