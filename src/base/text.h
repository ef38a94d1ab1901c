// SPDX-License-Identifier: Apache-2.0
/* Sizes and time spans as people write and read them. Strict parsers: the whole text or nothing. Threads: any. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Versions such as "0.9.12": < 0, 0, > 0 as a is older than b, the same, newer. Numbers between points count, each as a number; what follows
 * them ("-3~bpo12") does not. NULL is older than all. */
int ws_version_compare(const char *a, const char *b);

#define WS_SIZE_TEXT_MAX 16
#define WS_SPAN_TEXT_MAX 32

/* "512 B", "4.0 GiB", "1023.9 MiB", "16.0 EiB" into buf of WS_SIZE_TEXT_MAX: powers of 1,024, one digit after the point, rounded
 * down, so that free space is never promised. Returns buf. */
char *ws_size_format(guint64 bytes, char *buf);

/* "8g", "8 GiB", "8192M", "1.5 TiB", "512", "512 B". Letters in any case, powers of 1,024 throughout ("GB" too: it is what is
 * meant for memory and disks here), up to 3 digits after a point. Rounded down to whole bytes.
 * Refused: nothing, a sign, more than 2^63-1 bytes, parts of a byte. */
bool ws_size_parse(const char *text, guint64 *bytes);

/* The two largest units that matter: "350 ms", "12 s", "5 min 3 s", "2 h", "3 d 4 h", into buf of WS_SPAN_TEXT_MAX. Below 1 ms:
 * "0 ms". A negative span has a minus in front. Returns buf. */
char *ws_span_format(gint64 us, char *buf);

/* "500ms", "30s", "5m" or "5min", "2h", "7d", with or without a space; several in a row from large to small ("1h 30m"). A number
 * without unit is seconds. Refused: nothing, a sign, overflow of microseconds in 63 bits. */
bool ws_span_parse(const char *text, gint64 *us);
