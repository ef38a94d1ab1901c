// SPDX-License-Identifier: Apache-2.0
/* Time and chance, passed in: production uses the system's, the simulator its own. Nothing else in src/ reads a clock
 * or draws a random number. Times are microseconds; wall times since 1970 UTC. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct WsClock WsClock;
struct WsClock {
  gint64 (*wall_us)(WsClock *clock);
  gint64 (*monotonic_us)(WsClock *clock);
  void (*random_bytes)(WsClock *clock, void *buf, gsize n); /* cryptographically strong in production; never fails */
  /* NULL for the system's clock: waiting takes real time. Else a loop that has nothing to do calls this instead of waiting:
   * the clock moves on to until_us (monotonic; G_MAXINT64: no end known), or less far if it makes something happen before. */
  void (*wait)(WsClock *clock, gint64 until_us);
};
WsClock *ws_clock_system(void); /* shared, thread-safe */

static inline gint64 ws_clock_wall_us(WsClock *c)
{
  return c->wall_us(c);
}
static inline gint64 ws_clock_monotonic_us(WsClock *c)
{
  return c->monotonic_us(c);
}

/* RFC 3339, UTC, microseconds: "2026-11-23T14:32:05.000000Z" (27 characters + NUL into buf of 32). Times outside 1970-9999 are
 * shown as the nearest one inside. */
char *ws_time_format(gint64 wall_us, char *buf);
/* Accepts any RFC 3339 offset and 0-6 fraction digits; years 1970-9999 (in UTC). A leap second is the moment after it. */
bool ws_time_parse(const char *text, gint64 *wall_us);
/* Random v4 UUID as lower-case text into buf of 37. */
char *ws_uuid_new(WsClock *clock, char *buf);
