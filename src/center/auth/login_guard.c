// SPDX-License-Identifier: Apache-2.0
/* See login_guard.h. */
#include "center/auth/login_guard.h"
#include "base/hash.h"
#include <arpa/inet.h>
#include <string.h>

/* Entries of 16 bytes. Of pairs there are most: each account at each address. */
#define PAIRS     65536
#define ADDRESSES 8192
#define ACCOUNTS  8192
#define TRIES     8192
#define REFUSERS  8192

typedef struct {
  LoginGuardAttack is;
  guint64 key;
  bool told;
} Attack;

struct LoginGuard {
  WsClock *clock;
  LoginGuardLimits limits;
  guint8 secret[32];
  GMutex lock; /* guards what follows */
  Throttle *pairs, *addresses, *accounts, *tries, *refusers;
  Attack attacks[GUARD_ATTACKS_MAX];
  guint n_attacks;
};

LoginGuard *login_guard_new(WsClock *clock, const LoginGuardLimits *limits)
{
  LoginGuard *guard = g_new0(LoginGuard, 1);
  guard->clock = clock;
  guard->limits = *limits;
  clock->random_bytes(clock, guard->secret, sizeof guard->secret);
  g_mutex_init(&guard->lock);
  guard->pairs = throttle_new(PAIRS);
  guard->addresses = throttle_new(ADDRESSES);
  guard->accounts = throttle_new(ACCOUNTS);
  guard->tries = throttle_new(TRIES);
  guard->refusers = throttle_new(REFUSERS);
  return guard;
}

void login_guard_free(LoginGuard *guard)
{
  if (!guard)
    return;
  throttle_free(guard->pairs);
  throttle_free(guard->addresses);
  throttle_free(guard->accounts);
  throttle_free(guard->tries);
  throttle_free(guard->refusers);
  g_mutex_clear(&guard->lock);
  g_free(guard);
}

gsize login_guard_bytes(const LoginGuard *guard)
{
  return sizeof *guard + throttle_bytes(guard->pairs) + throttle_bytes(guard->addresses) +
         throttle_bytes(guard->accounts) + throttle_bytes(guard->tries) + throttle_bytes(guard->refusers);
}

static const char *prefix_of(const char *address, guint bytes, char *place)
{
  struct in6_addr six;
  g_strlcpy(place, address, MIN(strcspn(address, "%") + 1, INET6_ADDRSTRLEN));
  if (inet_pton(AF_INET6, place, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six))
    return place;
  memset(six.s6_addr + bytes, 0, sizeof six.s6_addr - bytes);
  return inet_ntop(AF_INET6, &six, place, INET6_ADDRSTRLEN);
}

const char *login_guard_place_of(const char *address, char *place)
{
  return prefix_of(address, 8, place);
}

const char *login_guard_site_of(const char *address, char *place)
{
  return prefix_of(address, 6, place);
}

guint64 login_guard_key(const LoginGuard *guard, const char *kind, const char *a, const char *b)
{
  WsSha256 *sha = ws_sha256_new();
  const char *const parts[] = {kind, a, b};
  ws_sha256_add(sha, guard->secret, sizeof guard->secret);
  for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
    ws_sha256_add(sha, parts[i], strlen(parts[i]) + 1);
  g_autofree char *hex = ws_sha256_end(sha);
  hex[16] = '\0';
  return g_ascii_strtoull(hex, NULL, 16);
}

/* ---- logins ---- */

typedef struct {
  guint64 pair, address, account;
  char place[INET6_ADDRSTRLEN];
  gint64 now_us;
} Keys;

static Keys keys_of(const LoginGuard *guard, const LoginGuardTry *try)
{
  Keys keys = {.now_us = ws_clock_monotonic_us(guard->clock)};
  login_guard_place_of(try->address, keys.place);
  keys.pair = login_guard_key(guard, "pair", keys.place, try->name);
  keys.address = login_guard_key(guard, "address", keys.place, "");
  keys.account = login_guard_key(guard, "account", try->name, "");
  return keys;
}

static bool is_hammered(const LoginGuard *guard, const Keys *keys)
{
  return throttle_wait_us(guard->accounts, keys->account, &guard->limits.account, keys->now_us) > 0;
}

/* At an address where it never logged in a hammered account has one try in the window. */
static bool is_strange(const LoginGuard *guard, const LoginGuardTry *try, const Keys *keys)
{
  return !try->known && is_hammered(guard, keys);
}

gint64 login_guard_wait_us(LoginGuard *guard, const LoginGuardTry *try)
{
  Keys keys = keys_of(guard, try);
  g_mutex_lock(&guard->lock);
  gint64 wait = is_strange(guard, try, &keys)
                    ? throttle_debt_us(guard->pairs, keys.pair, keys.now_us)
                    : throttle_wait_us(guard->pairs, keys.pair, &guard->limits.pair, keys.now_us);
  if (!try->known)
    wait = MAX(wait, throttle_wait_us(guard->addresses, keys.address, &guard->limits.address, keys.now_us));
  g_mutex_unlock(&guard->lock);
  return wait;
}

gint64 login_guard_address_wait_us(LoginGuard *guard, const char *address)
{
  Keys keys = keys_of(guard, &(LoginGuardTry){.name = "", .address = address});
  g_mutex_lock(&guard->lock);
  gint64 wait = throttle_wait_us(guard->addresses, keys.address, &guard->limits.address, keys.now_us);
  g_mutex_unlock(&guard->lock);
  return wait;
}

bool login_guard_is_hammered(LoginGuard *guard, const char *name)
{
  Keys keys = {.account = login_guard_key(guard, "account", name, ""),
               .now_us = ws_clock_monotonic_us(guard->clock)};
  g_mutex_lock(&guard->lock);
  bool is = is_hammered(guard, &keys);
  g_mutex_unlock(&guard->lock);
  return is;
}

/* ---- attacks ---- */

static void count_try(LoginGuard *guard, guint64 key, WsId user, const Keys *keys)
{
  throttle_add(guard->tries, key, &guard->limits.attack, 1, keys->now_us);
  for (guint i = 0; i < guard->n_attacks; i++)
    if (guard->attacks[i].key == key) {
      guard->attacks[i].is.tries++;
      return;
    }
  if (guard->n_attacks == GUARD_ATTACKS_MAX ||
      throttle_wait_us(guard->tries, key, &guard->limits.attack, keys->now_us) == 0)
    return;
  Attack *attack = &guard->attacks[guard->n_attacks++];
  *attack = (Attack){.is = {.user = user, .tries = guard->limits.attack.failures}, .key = key};
  g_strlcpy(attack->is.place, keys->place, sizeof attack->is.place);
}

/* Accounts that do not exist are no object to raise an alarm on: their address tells of them. */
static void count_tries(LoginGuard *guard, const LoginGuardTry *try, const Keys *keys)
{
  count_try(guard, keys->address, 0, keys);
  if (try->user)
    count_try(guard, keys->account, try->user, keys);
}

GArray *login_guard_take_news(LoginGuard *guard)
{
  GArray *news = g_array_new(FALSE, FALSE, sizeof(LoginGuardAttack));
  gint64 now = ws_clock_monotonic_us(guard->clock);
  g_mutex_lock(&guard->lock);
  for (guint i = 0; i < guard->n_attacks; i++) {
    Attack *attack = &guard->attacks[i];
    attack->is.ended = throttle_debt_us(guard->tries, attack->key, now) == 0;
    if (attack->told == attack->is.ended)
      g_array_append_val(news, attack->is);
    attack->told = true;
    if (attack->is.ended)
      guard->attacks[i--] = guard->attacks[--guard->n_attacks];
  }
  g_mutex_unlock(&guard->lock);
  return news;
}

GArray *login_guard_attacks(LoginGuard *guard)
{
  GArray *attacks = g_array_new(FALSE, FALSE, sizeof(LoginGuardAttack));
  g_mutex_lock(&guard->lock);
  for (guint i = 0; i < guard->n_attacks; i++)
    if (guard->attacks[i].told)
      g_array_append_val(attacks, guard->attacks[i].is);
  g_mutex_unlock(&guard->lock);
  return attacks;
}

void login_guard_failed(LoginGuard *guard, const LoginGuardTry *try)
{
  Keys keys = keys_of(guard, try);
  g_mutex_lock(&guard->lock);
  throttle_add(guard->pairs, keys.pair, &guard->limits.pair,
               is_strange(guard, try, &keys) ? guard->limits.pair.failures : 1, keys.now_us);
  throttle_add(guard->addresses, keys.address, &guard->limits.address, 1, keys.now_us);
  throttle_add(guard->accounts, keys.account, &guard->limits.account, 1, keys.now_us);
  count_tries(guard, try, &keys);
  g_mutex_unlock(&guard->lock);
}

void login_guard_fitted(LoginGuard *guard, const LoginGuardTry *try)
{
  Keys keys = keys_of(guard, try);
  g_mutex_lock(&guard->lock);
  throttle_forget(guard->pairs, keys.pair);
  g_mutex_unlock(&guard->lock);
}

void login_guard_turned_away(LoginGuard *guard, const LoginGuardTry *try)
{
  Keys keys = keys_of(guard, try);
  g_mutex_lock(&guard->lock);
  count_tries(guard, try, &keys);
  g_mutex_unlock(&guard->lock);
}

/* ---- calls without a login ---- */

static gint64 count_refused(LoginGuard *guard, const char *address, guint n)
{
  char place[INET6_ADDRSTRLEN];
  guint64 key = login_guard_key(guard, "refused", login_guard_place_of(address, place), "");
  gint64 now = ws_clock_monotonic_us(guard->clock);
  g_mutex_lock(&guard->lock);
  gint64 wait = throttle_wait_us(guard->refusers, key, &guard->limits.refused, now);
  if (n && !wait)
    throttle_add(guard->refusers, key, &guard->limits.refused, n, now);
  g_mutex_unlock(&guard->lock);
  return wait;
}

gint64 login_guard_refused(LoginGuard *guard, const char *address)
{
  return count_refused(guard, address, 1);
}

bool login_guard_is_over(LoginGuard *guard, const char *address)
{
  return count_refused(guard, address, 0) > 0;
}
