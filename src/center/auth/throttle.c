// SPDX-License-Identifier: Apache-2.0
/* See throttle.h. */
#include "center/auth/throttle.h"

#define WAYS 8 /* one cache line of keys, one of times */

typedef struct {
  guint64 keys[WAYS];  /* 0: free */
  gint64 until[WAYS];  /* failures count until then */
} Set;

struct Throttle {
  guint n_sets;
  Set sets[];
};

Throttle *throttle_new(guint entries)
{
  guint n = MAX(1, (entries + WAYS - 1) / WAYS);
  Throttle *throttle = g_malloc0(sizeof *throttle + n * sizeof(Set));
  throttle->n_sets = n;
  return throttle;
}

void throttle_free(Throttle *throttle)
{
  g_free(throttle);
}

gsize throttle_bytes(const Throttle *throttle)
{
  return sizeof *throttle + throttle->n_sets * sizeof(Set);
}

static guint64 real_key(guint64 key)
{
  return key ? key : 1;
}

static gint64 until_of(const Throttle *throttle, guint64 key)
{
  const Set *set = &throttle->sets[real_key(key) % throttle->n_sets];
  for (guint i = 0; i < WAYS; i++)
    if (set->keys[i] == real_key(key))
      return set->until[i];
  return G_MININT64;
}

/* Its own place, else a free one or one that counts no more, else that of the one that counts for the shortest time. */
static gint64 *place_of(Throttle *throttle, guint64 key, gint64 now_us)
{
  Set *set = &throttle->sets[real_key(key) % throttle->n_sets];
  guint best = 0;
  for (guint i = 0; i < WAYS; i++)
    if (set->keys[i] == real_key(key))
      return &set->until[i];
  for (guint i = 1; i < WAYS; i++)
    if (!set->keys[best])
      break;
    else if (!set->keys[i] || set->until[i] < set->until[best])
      best = i;
  set->keys[best] = real_key(key);
  set->until[best] = now_us;
  return &set->until[best];
}

gint64 throttle_wait_us(const Throttle *throttle, guint64 key, const ThrottleLimit *limit, gint64 now_us)
{
  gint64 one = limit->window_us / MAX(1, limit->failures), until = until_of(throttle, key);
  return until == G_MININT64 ? 0 : MAX(0, until - now_us - (limit->window_us - one));
}

gint64 throttle_debt_us(const Throttle *throttle, guint64 key, gint64 now_us)
{
  gint64 until = until_of(throttle, key);
  return until == G_MININT64 ? 0 : MAX(0, until - now_us);
}

void throttle_add(Throttle *throttle, guint64 key, const ThrottleLimit *limit, guint n, gint64 now_us)
{
  gint64 one = limit->window_us / MAX(1, limit->failures);
  gint64 *until = place_of(throttle, key, now_us);
  *until = MIN(MAX(*until, now_us) + one * (gint64)n, now_us + limit->window_us);
}

void throttle_forget(Throttle *throttle, guint64 key)
{
  Set *set = &throttle->sets[real_key(key) % throttle->n_sets];
  for (guint i = 0; i < WAYS; i++)
    if (set->keys[i] == real_key(key))
      set->keys[i] = 0;
}
