// SPDX-License-Identifier: Apache-2.0
/* One-time tickets: good once, for one purpose, for so long. */
#include "base/error.h"
#include "center/tickets.h"
#include "rpc-pipe.h"

static PipeClock the_clock;
static guint n_destroyed;

static void destroy(void *value)
{
  n_destroyed++;
}

static Tickets *begin(void)
{
  pipe_clock_init(&the_clock);
  the_clock.clock.random_bytes = ws_clock_system()->random_bytes;
  n_destroyed = 0;
  return tickets_new(&the_clock.clock);
}

static void assert_refused(Tickets *tickets, const char *purpose, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(tickets_redeem(tickets, purpose, text, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TICKET_INVALID);
}

static void ticket_is_good_once(void)
{
  Tickets *tickets = begin();
  int value = 7;
  g_autofree char *text = tickets_issue(tickets, "console", 30, &value, destroy);
  g_assert_true(tickets_redeem(tickets, "console", text, NULL) == &value);
  assert_refused(tickets, "console", text);
  g_assert_cmpuint(n_destroyed, ==, 0); /* the value is the redeemer's */
  tickets_free(tickets);
}

static void expired_ticket_is_refused_also_the_second_time(void)
{
  Tickets *tickets = begin();
  int value = 7;
  g_autofree char *text = tickets_issue(tickets, "console", 30, &value, destroy);
  the_clock.now_us += 30 * (gint64)G_USEC_PER_SEC;
  assert_refused(tickets, "console", text);
  g_assert_cmpuint(n_destroyed, ==, 1);
  assert_refused(tickets, "console", text);
  the_clock.now_us -= 20 * (gint64)G_USEC_PER_SEC; /* not even when the clock could be turned back */
  assert_refused(tickets, "console", text);
  g_assert_cmpuint(n_destroyed, ==, 1);
  tickets_free(tickets);
}

static void ticket_of_another_purpose_or_of_nobody_is_refused(void)
{
  Tickets *tickets = begin();
  int value = 7;
  g_autofree char *text = tickets_issue(tickets, "console", 30, &value, destroy);
  assert_refused(tickets, "stream", text);
  assert_refused(tickets, "console", "");
  assert_refused(tickets, "console", NULL);
  assert_refused(tickets, "console", "no such ticket");
  g_assert_true(tickets_redeem(tickets, "console", text, NULL) == &value); /* who guesses at it spoils it for nobody */
  tickets_free(tickets);
}

static void what_nobody_redeemed_is_destroyed(void)
{
  Tickets *tickets = begin();
  int value = 7;
  for (guint i = 0; i < 3; i++)
    g_free(tickets_issue(tickets, "console", 30, &value, destroy));
  tickets_free(tickets);
  g_assert_cmpuint(n_destroyed, ==, 3);
}

/* Also while nobody asks for them: who counts what is under way would count them for ever. */
static void what_has_expired_is_destroyed_when_that_is_asked_for(void)
{
  Tickets *tickets = begin();
  int value = 7;
  for (guint i = 0; i < 3; i++)
    g_free(tickets_issue(tickets, "console", 30, &value, destroy));
  the_clock.now_us += 20 * (gint64)G_USEC_PER_SEC;
  g_autofree char *living = tickets_issue(tickets, "console", 30, &value, destroy);
  tickets_expire(tickets);
  g_assert_cmpuint(n_destroyed, ==, 0);
  the_clock.now_us += 10 * (gint64)G_USEC_PER_SEC;
  tickets_expire(tickets);
  g_assert_cmpuint(n_destroyed, ==, 3);
  g_assert_true(tickets_redeem(tickets, "console", living, NULL) == &value);
  tickets_free(tickets);
}

int main(int argc, char **argv)
{
#define add(name) g_test_add_func("/center/tickets/" #name, name)
  g_test_init(&argc, &argv, NULL);
  add(ticket_is_good_once);
  add(expired_ticket_is_refused_also_the_second_time);
  add(ticket_of_another_purpose_or_of_nobody_is_refused);
  add(what_nobody_redeemed_is_destroyed);
  add(what_has_expired_is_destroyed_when_that_is_asked_for);
  return g_test_run();
}
