// SPDX-License-Identifier: Apache-2.0
/* One-time tickets: a random word that opens one thing, once, for a short while (a console, a byte stream of an agent).
 *
 * Kept in memory only: a restart voids them all. Any thread. */
#pragma once
#include "center/center.h"

Tickets *tickets_new(WsClock *clock);
void tickets_free(Tickets *tickets);
/* Makes one that is worth `value` (taken over; destroyed if the ticket expires unused). Caller frees the text. */
char *tickets_issue(Tickets *tickets, const char *purpose, guint life_s, void *value, GDestroyNotify destroy);
/* Destroys what expired tickets were worth: for one who counts them. */
void tickets_expire(Tickets *tickets);
/* The value of a living ticket of that purpose, which is thereby used up; NULL: WS_ERROR_TICKET_INVALID. */
void *tickets_redeem(Tickets *tickets, const char *purpose, const char *text, GError **error);
