// SPDX-License-Identifier: Apache-2.0
/* Whose password is looked at next. A look is argon2: some 30 ms of a core and 19 MiB, and anybody may ask
 * for one. So
 *
 * - few are looked at at a time, on threads of their own (center->passwords): nobody else waits for them;
 * - one account at one address is looked at one after the other: what a look found is counted before the next
 * one begins, so many at once are no more tries than one by one;
 * - who waits is served by turns of the places they come from (start-time fair queueing: Goyal, Vin, Cheng
 * 1996): a place that sends a thousand has one served for each one of everybody else;
 * - an account that logged in from its place before goes ahead of all that did not, with one try at a time: a
 *   crowd of places with one try each cannot shut out whoever works there;
 * - the line is short, and when it is full the place that has the most in it loses its last.
 *
 * Core loop, in a coroutine. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct PasswordTurns PasswordTurns;

#define PASSWORD_WAITING_MAX 256 /* some 4 s for two cores */

PasswordTurns *password_turns_new(guint running_max);
void password_turns_free(PasswordTurns *turns); /* with the coroutines that wait already gone; NULL is fine */

/* Returns when it is the caller's turn, who ends it by password_turn_end(). `place` and `pair`: keys of
 * login_guard.h. known: the account logged in from there before. false: the line is full of others who have
 * waited less often: WS_ERROR_TOO_MANY_REQUESTS. */
bool password_turn_take(PasswordTurns *turns, guint64 place, guint64 pair, bool known, GError **error);
void password_turn_end(PasswordTurns *turns, guint64 pair);
