// SPDX-License-Identifier: Apache-2.0
/* What callers without a login leave in the audit log: of calls that are alike the first has its record at
 * once, those that follow become one record with a count each minute. So nothing is lost silently, and a
 * stranger writes two records a minute, not twenty thousand.
 *
 * Alike: the same operation, the same error, about the same object, from the same place (login_guard.h). The
 * table is small: a place has so many kinds, all together have so many; what is beyond is counted as the
 * place's, or as everybody's, operation REFUSALS_MANY.
 *
 * Logins are alike whoever they name: a record of its own is written before the answer, and that takes a time
 * that would tell which users exist. Those that are counted are counted by user as far as there is room. Of
 * all kinds so many are kept for them, so that others do not blind the log to logins.
 *
 * Pure but for its lock: the time is handed in. Any thread. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct Refusals Refusals;

#define REFUSALS_MAX        256 /* kinds at a time: at most twice as many records a minute */
#define REFUSALS_PLACE_MAX  16  /* of these of one place */
#define REFUSALS_LOGINS     64  /* of these for logins alone */
#define REFUSALS_USERS_MAX                                                                                   \
  128 /* users and places of logins that are counted by user: each is a record a minute */
#define REFUSALS_MANY       "refused_calls"
#define REFUSALS_PERIOD_US  (60 * (gint64)G_USEC_PER_SEC)

/* As in an audit record; texts are borrowed. NULL: none. */
typedef struct {
  const char *operation, *kind, *error, *object, *place;
  int risk, result;
  bool login; /* by password */
} Refusal;

Refusals *refusals_new(void);
void refusals_free(Refusals *refusals); /* NULL is fine */
/* true: it is to be recorded by itself; false: it was counted. */
bool refusals_note(Refusals *refusals, const Refusal *refusal, gint64 now_us);
/* Hands out what was counted for a minute, all of it where `now` has no meaning (the end). each: `count` more like the one that was recorded.
 * Not from inside `each`. refusals_taken() ends it, before the next. */
void refusals_take(Refusals *refusals, gint64 now_us, bool all, void (*each)(const Refusal *sum, guint64 count, void *arg), void *arg);
/* What was handed out is on record, or it is not: then it counts as if it had not been handed out. */
void refusals_taken(Refusals *refusals, bool written);
guint refusals_kinds(Refusals *refusals); /* in the table now */
