// SPDX-License-Identifier: Apache-2.0
/* The doors that stand open to people who have not logged in, and what bounds each of them.
 *
 * | door | what it costs | what bounds it |
 * |---|---|---|
 * | POST /sessions | a look at a password (argon2), a record | login_guard.h: account at address, address,
 * account; password_turns.h; refusals.h | | POST /sessions/start_oidc | a flow in memory, a question to the
 * provider, a record | 500 flows of an address, 2,000 of all, 32 questions (identity_login.c); refusals.h |
 * | POST /sessions/finish_oidc | a hash; with a state that was given out, once, a question to the provider |
 * 32 random bytes; refusals.h | | POST /enrol | a hash; with a join token, once, a certificate | 32 random
 * bytes; refusals.h | | GET /console | a hash | 32 random bytes, used once, 60 s; no record | | GET /agent,
 * /agent/stream | a look for the certificate | a certificate of the site's CA; no record | | GET
 * /identity-providers/choices, /openapi.json, /health, /ca, files of the console | an answer from memory |
 * nothing is written | | everything else | a hash of the token | 32 random bytes; refusals.h where the call
 * would have changed something |
 *
 * (tests/unit/center-strangers.py fails when the contract opens another.) Beneath all of them http/ bounds
 * connections, heads, bodies and time; the body of a call without a login has 64 KiB.
 *
 * Refused calls without a login are counted by address. Beyond `refused` of login_guard.h they are answered
 * with 429 instead of 401 or 403. A call with a right token, certificate, ticket or password
 * is never looked at here, so a site behind one NAT or proxy is not held up by what a neighbour does. Whoever
 * shows a certificate is not counted. */
#pragma once
#include "center/api/call.h"
#include "center/auth/login_guard.h"
#include "model/model.h"

typedef struct Strangers Strangers;

#define STRANGERS_BODY_MAX (64 * 1024)

Strangers *strangers_new(Center *center);
/* What was counted and is not recorded yet is: in a coroutine, before the store goes. */
void strangers_settle(Center *center);
void strangers_free(Strangers *strangers); /* NULL is fine */
/* Starts the timer that records counts and failures of users, and opens and closes the alarm login_attack.
 * Core loop. */
void strangers_start(Center *center);
void strangers_stop(Center *center);

/* ---- any thread ---- */

/* A call from there without a login was refused: counted; beyond the limit an error that says no more than
 * "not logged in" (401, 403) becomes too_many_refusals. */
void strangers_refused(Center *center, const char *address, GError **error);
bool strangers_is_over(Center *center, const char *address);
/* Is the call to be recorded by itself? error NULL: it was done. */
bool strangers_note(Center *center, const WsRoute *route, const WsType *type, WsId object, const char *address, const GError *error);

/* ---- core loop, in a coroutine ---- */

/* One try of a password. */
typedef struct {
  const char *name; /* of the account, as typed */
  const char *password;
  const char *hash; /* NULL: it has none, or there is no account; the look costs the same */
  WsId user;        /* 0: there is none of that name */
  bool usable;      /* it may log in by password: else none fits */
  bool known;       /* strangers_knows() */
} StrangersLogin;
/* Looks at it in its turn. *fits is what came out. false: WS_ERROR_LOGIN_THROTTLED,
 * WS_ERROR_TOO_MANY_REQUESTS. A failure is written to the user seconds later: a durable write before the
 * answer would tell that it exists. */
bool strangers_try(ApiCall *call, const StrangersLogin *login, bool *fits, GError **error);
/* What failed before and is not written yet counts no more. */
void strangers_logged_in(Center *center, WsId user);
/* Has the user logged in from there before, as far as its sessions and its last login say? Any thread. */
bool strangers_knows(const InvSnapshot *snap, const WsUser *user, const char *address);
/* Before anything is written for the call: a login that would be turned away is, and is about the user that it names. WS_ERROR_LOGIN_THROTTLED. */
bool strangers_admit(ApiCall *call, GError **error);
