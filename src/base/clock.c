// SPDX-License-Identifier: Apache-2.0
/* The system's clock and random numbers, and times as text.
 *
 * Dates are computed here and not by gmtime_r()/timegm(): those take a lock and read the time zone, and a
 * list of 10,000 objects holds some 50,000 times. */
#include "base/clock.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define DAY_S    86400
#define SECOND   G_GINT64_CONSTANT(1000000)
#define YEAR_MAX 9999

/* ---- the system's clock ---- */

static gint64 read_clock(clockid_t id)
{
  struct timespec now;
  if (clock_gettime(id, &now) != 0)
    g_error("clock_gettime: %s", g_strerror(errno));
  return now.tv_sec * SECOND + now.tv_nsec / 1000;
}

static gint64 system_wall_us(WsClock *clock)
{
  return read_clock(CLOCK_REALTIME);
}

static gint64 system_monotonic_us(WsClock *clock)
{
  return read_clock(CLOCK_MONOTONIC);
}

static void system_random_bytes(WsClock *clock, void *buf, gsize n)
{
  for (guint8 *at = buf; n > 0;) {
    gssize got = getrandom(at, n, 0);
    if (got < 0 && errno != EINTR)
      g_error("getrandom: %s", g_strerror(errno)); /* without chance there are no secrets: stop */
    if (got > 0) {
      at += got;
      n -= (gsize)got;
    }
  }
}

WsClock *ws_clock_system(void)
{
  static WsClock clock = {
      .wall_us = system_wall_us, .monotonic_us = system_monotonic_us, .random_bytes = system_random_bytes};
  return &clock;
}

/* ---- dates ---- */

static bool is_leap(int year)
{
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int year, int month)
{
  static const guint8 days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days of all years from year 1 up to and including `year` in the Gregorian calendar. */
static gint64 days_through_year(gint64 year)
{
  return year * 365 + year / 4 - year / 100 + year / 400;
}

static gint64 days_since_1970(int year, int month, int day)
{
  gint64 days = days_through_year(year - 1) - days_through_year(1969) + day - 1;
  for (int m = 1; m < month; m++)
    days += days_in_month(year, m);
  return days;
}

static char *put_digits(char *at, gint64 value, int width, char after)
{
  for (int i = width - 1; i >= 0; i--, value /= 10)
    at[i] = (char)('0' + value % 10);
  at[width] = after;
  return at + width + 1;
}

char *ws_time_format(gint64 wall_us, char *buf)
{
  wall_us = CLAMP(wall_us, 0, days_since_1970(YEAR_MAX + 1, 1, 1) * DAY_S * SECOND - 1);
  gint64 seconds = wall_us / SECOND;
  gint64 day = seconds / DAY_S, second = seconds % DAY_S;

  /* Years that begin in March: their lengths, and those of their months, follow from a division. 719,468 days from 1 March of year 0 to
   * 1970; 146,097 in 400 years, 36,524 in 100, 1,461 in 4; months of 31, 30, 31, 30, 31 days are 153. */
  gint64 days = day + 719468, era = days / 146097, of_era = days % 146097;
  gint64 year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  gint64 of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  gint64 from_march = (5 * of_year + 2) / 153, month = from_march < 10 ? from_march + 3 : from_march - 9;
  gint64 year = era * 400 + year_of_era + (month <= 2);

  char *at = put_digits(buf, year, 4, '-');
  at = put_digits(at, month, 2, '-');
  at = put_digits(at, of_year - (153 * from_march + 2) / 5 + 1, 2, 'T');
  at = put_digits(at, second / 3600, 2, ':');
  at = put_digits(at, second / 60 % 60, 2, ':');
  at = put_digits(at, second % 60, 2, '.');
  at = put_digits(at, wall_us % SECOND, 6, 'Z');
  *at = '\0';
  return buf;
}

/* Takes exactly `width` digits and the byte `after` (NUL: none), value between min and max. */
static bool take_digits(const char **text, int width, char after, int min, int max, int *value)
{
  const char *at = *text;
  *value = 0;
  for (int i = 0; i < width; i++, at++) {
    if (*at < '0' || *at > '9')
      return false;
    *value = *value * 10 + (*at - '0');
  }
  if (*value < min || *value > max || (after && *at != after))
    return false;
  *text = at + (after ? 1 : 0);
  return true;
}

static bool take_fraction(const char **text, gint64 *us)
{
  *us = 0;
  if (**text != '.')
    return true;
  const char *at = *text + 1;
  gint64 unit = SECOND;
  for (; *at >= '0' && *at <= '9'; at++) {
    unit /= 10;
    if (unit == 0)
      return false;
    *us += (*at - '0') * unit;
  }
  bool any = at > *text + 1;
  *text = at;
  return any;
}

static bool take_offset(const char **text, gint64 *seconds)
{
  *seconds = 0;
  char sign = *(*text)++;
  if (sign == 'Z' || sign == 'z')
    return true;
  int hours, minutes;
  if ((sign != '+' && sign != '-') || !take_digits(text, 2, ':', 0, 23, &hours) ||
      !take_digits(text, 2, '\0', 0, 59, &minutes))
    return false;
  *seconds = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
  return true;
}

bool ws_time_parse(const char *text, gint64 *wall_us)
{
  int year, month, day, hour, minute, second;
  gint64 fraction_us, offset_s;
  /* A leap second (":60") counts as the first moment of the next minute, as the system's clock has it. */
  if (!take_digits(&text, 4, '-', 1969, YEAR_MAX, &year) || !take_digits(&text, 2, '-', 1, 12, &month) ||
      !take_digits(&text, 2, '\0', 1, days_in_month(year, month), &day) || (*text != 'T' && *text != 't'))
    return false;
  text++;
  if (!take_digits(&text, 2, ':', 0, 23, &hour) || !take_digits(&text, 2, ':', 0, 59, &minute) ||
      !take_digits(&text, 2, '\0', 0, 60, &second) || !take_fraction(&text, &fraction_us) ||
      !take_offset(&text, &offset_s) || *text != '\0')
    return false;
  gint64 seconds = days_since_1970(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offset_s;
  if (seconds < 0 || seconds >= days_since_1970(YEAR_MAX + 1, 1, 1) * DAY_S)
    return false;
  *wall_us = seconds * SECOND + fraction_us;
  return true;
}

/* ---- UUIDs ---- */

char *ws_uuid_new(WsClock *clock, char *buf)
{
  static const char hex[] = "0123456789abcdef";
  guint8 bytes[16];
  clock->random_bytes(clock, bytes, sizeof bytes);
  bytes[6] = (bytes[6] & 0x0F) | 0x40; /* version 4, RFC 4122 */
  bytes[8] = (bytes[8] & 0x3F) | 0x80; /* its variant */
  char *at = buf;
  for (guint i = 0; i < sizeof bytes; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      *at++ = '-';
    *at++ = hex[bytes[i] >> 4];
    *at++ = hex[bytes[i] & 15];
  }
  *at = '\0';
  return buf;
}
