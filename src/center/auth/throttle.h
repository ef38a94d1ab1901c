// SPDX-License-Identifier: Apache-2.0
/* How often somebody may fail: a table from a key (an account, an address) to the time until which its
 * failures count.
 *
 * Each failure counts for window / failures; so many at once are borne, then one more in that time (the
 * generic cell rate algorithm, ITU-T I.371). One time is all that a key needs, and one that has passed needs
 * no entry.
 *
 * Strangers choose the keys, so the table has its size from the beginning. It is in sets of eight; where a
 * set is full the entry that counts for the shortest time gives way: who fills the table pushes out small
 * change, not those who are throttled. Keys are hashes that nobody outside can foretell (login_guard.c), so a
 * set cannot be aimed at.
 *
 * Pure: the time is handed in. Not locked. */
#pragma once
#include <glib.h>

typedef struct Throttle Throttle;

typedef struct {
  guint failures;   /* at once, and in each window after that; 1 at least */
  gint64 window_us;
} ThrottleLimit;

/* entries: how many keys at most; rounded up to whole sets. */
Throttle *throttle_new(guint entries);
void throttle_free(Throttle *throttle); /* NULL is fine */
gsize throttle_bytes(const Throttle *throttle); /* all that it ever takes */

/* 0: may try now; else in so long. */
gint64 throttle_wait_us(const Throttle *throttle, guint64 key, const ThrottleLimit *limit, gint64 now_us);
/* So long until none of its failures counts any more. */
gint64 throttle_debt_us(const Throttle *throttle, guint64 key, gint64 now_us);
/* n failures. What is more than the limit is not counted: whoever stops is free again after one window. */
void throttle_add(Throttle *throttle, guint64 key, const ThrottleLimit *limit, guint n, gint64 now_us);
void throttle_forget(Throttle *throttle, guint64 key);
