// SPDX-License-Identifier: Apache-2.0
/* Chance for searches: the same numbers for the same seed on every machine; nothing secret. xoshiro256** of Blackman and Vigna (public domain
 * algorithm), seeded through splitmix64 as they advise. */
#pragma once
#include <glib.h>

typedef struct {
  guint64 s[4];
} PlanChance;

static inline void plan_chance_seed(PlanChance *c, guint64 seed)
{
  for (guint i = 0; i < 4; i++) {
    guint64 z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    c->s[i] = z ^ (z >> 31);
  }
}

static inline guint64 plan_chance_next(PlanChance *c)
{
  guint64 *s = c->s;
  guint64 x = s[1] * 5, result = ((x << 7) | (x >> 57)) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = (s[3] << 45) | (s[3] >> 19);
  return result;
}

/* Below n > 0, of 32 random bits; the unevenness is below n / 2^32 and of no matter to a search. */
static inline guint32 plan_chance_pick(guint32 bits, guint32 n)
{
  return (guint32)(((guint64)bits * n) >> 32);
}

static inline guint32 plan_chance_below(PlanChance *c, guint32 n)
{
  return plan_chance_pick((guint32)(plan_chance_next(c) >> 32), n);
}

/* In [0, 1). */
static inline double plan_chance_unit(PlanChance *c)
{
  return (double)(plan_chance_next(c) >> 11) * 0x1p-53;
}
