// SPDX-License-Identifier: Apache-2.0
/* Who may try a password, and who is hammering: what the manager remembers of failed logins.
 *
 * What is right, and why:
 *
 * - No account is ever locked. A lock that strangers can set is a weapon of theirs: five wrong passwords each
 * five minutes would keep any administrator out. So failures are counted for an account *at an address*; with
 * the default of 5 in 300 s whoever sits at one address has some 65 tries an hour at an account, less than
 * the 100 that NIST SP 800-63B (5.2.2) and OWASP ASVS (2.2.1) allow, and everybody else is not touched by it.
 * - Many accounts from one address (spraying) are bounded by the address's own count.
 * - An account that is hammered from many addresses (100 an hour) is not locked either, but an address where
 * it never logged in then has one try in the window instead of five. Where it did log in (its sessions, its
 * last login) nothing changes: NIST's list of known addresses.
 * - An address over its count, as that of a proxy with a sprayer behind it, still serves accounts that logged
 * in from there before, under their own count. What they are answered, Retry-After with it, is what all the
 * others there are. How long the answer takes may still tell which they are: their passwords are looked at.
 * - A right password is never counted, and wipes out what its account did wrong at that address. Not what the
 * address did: else one good account would pay for the trying of others.
 * - Whoever is turned away without a look at the password is not counted either: a program with an old
 * password that tries each second costs its neighbours nothing. It is counted apart, for the alarm.
 *
 * Other words (tokens of sessions and of the API, join tokens, tickets, states of logins) are 32 random
 * bytes: nobody guesses them, so a right one is always served. Calls without one are counted by address, and
 * beyond the limit answered with 429 (strangers.h).
 *
 * An IPv6 address counts as its /64 (RFC 6177: that much is everybody's). Nothing is kept over a restart: it
 * takes longer than what is forgotten is worth. All of it has a fixed size: 1.5 MiB. Any thread. */
#pragma once
#include "base/clock.h"
#include "base/id.h"
#include "center/auth/throttle.h"
#include <netinet/in.h>
#include <stdbool.h>

typedef struct LoginGuard LoginGuard;

typedef struct {
  ThrottleLimit pair;    /* failed logins of one account from one address */
  ThrottleLimit address; /* of all accounts from one address */
  ThrottleLimit account; /* of one account from all addresses */
  ThrottleLimit attack;  /* tries, also those turned away, of an account or from an address: more are told as
                            an attack */
  ThrottleLimit refused; /* calls without a login from one address */
} LoginGuardLimits;

LoginGuard *login_guard_new(WsClock *clock, const LoginGuardLimits *limits);
void login_guard_free(LoginGuard *guard); /* NULL is fine */
gsize login_guard_bytes(const LoginGuard *guard);

typedef struct {
  const char *name; /* of the account, as it was typed */
  const char *address;
  WsId user;  /* 0: there is none of that name */
  bool known; /* the account has logged in from that address before */
} LoginGuardTry;

/* 0: the password may be looked at; else not before so long. */
gint64 login_guard_wait_us(LoginGuard *guard, const LoginGuardTry *try);
/* The same of the address alone: what accounts that never logged in from there are told. */
gint64 login_guard_address_wait_us(LoginGuard *guard, const char *address);
void login_guard_failed(LoginGuard *guard, const LoginGuardTry *try);
void login_guard_fitted(LoginGuard *guard, const LoginGuardTry *try);
void login_guard_turned_away(LoginGuard *guard, const LoginGuardTry *try);
bool login_guard_is_hammered(LoginGuard *guard,
                             const char *name); /* from many addresses, more than the account's limit */

/* One more refused call from there. 0: within the limit; else it is over for so long. */
gint64 login_guard_refused(LoginGuard *guard, const char *address);
bool login_guard_is_over(LoginGuard *guard, const char *address); /* without counting */

/* An account or a place that is hammered; it ends one window after the last try. */
typedef struct {
  WsId user;                    /* 0: a place */
  char place[INET6_ADDRSTRLEN]; /* where it comes from; of an account the place of the try with which it began
                                 */
  guint64 tries;                /* since it began */
  bool ended;
} LoginGuardAttack;
/* What began or ended since it was last asked; caller unrefs. At most GUARD_ATTACKS_MAX are followed at a
 * time. One that began and ended between two questions is not told. */
GArray *login_guard_take_news(LoginGuard *guard);
/* Those that were told to have begun and have not ended; caller unrefs. */
GArray *login_guard_attacks(LoginGuard *guard);
#define GUARD_ATTACKS_MAX 64

/* An address, or the /64 of an IPv6 one, into `place` of INET6_ADDRSTRLEN. The link of a link-local one
 * ("%eth0") is left out. */
const char *login_guard_place_of(const char *address, char *place);
/* The same with the /48 of an IPv6 one: what one customer of a provider may have. */
const char *login_guard_site_of(const char *address, char *place);
guint64 login_guard_key(const LoginGuard *guard, const char *kind, const char *a,
                        const char *b); /* nobody outside can foretell it */
