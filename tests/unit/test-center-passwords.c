// SPDX-License-Identifier: Apache-2.0
/* Whose password is looked at next (center/auth/password_turns.h): few at a time, one of an account at an address, by turns of the places. */
#include "base/error.h"
#include "base/loop.h"
#include "center/auth/password_turns.h"

typedef struct {
  guint64 place, pair;
  bool known;
  bool served, refused, ended;
  guint order; /* as which it was served; from 1 */
  WsCo *co;
} Try;

static WsLoop *loop;
static PasswordTurns *turns;
static guint n_served;

static void run(void *arg)
{
  Try *try = arg;
  g_autoptr(GError) error = NULL;
  try->co = ws_co_self();
  if (!password_turn_take(turns, try->place, try->pair, try->known, &error)) {
    g_assert_error(error, WS_ERROR, WS_ERROR_TOO_MANY_REQUESTS);
    try->refused = true;
    return;
  }
  try->order = ++n_served;
  try->served = true;
  ws_co_yield(); /* it is looked at */
  password_turn_end(turns, try->pair);
  try->ended = true;
}

static void begin(guint running_max)
{
  loop = ws_loop_new(ws_clock_system());
  turns = password_turns_new(running_max);
  n_served = 0;
}

static void settle(void)
{
  for (int i = 0; i < 4; i++)
    ws_loop_step(loop, 0);
}

static Try *start(guint64 place, guint64 pair, bool known)
{
  Try *try = g_new0(Try, 1);
  try->place = place;
  try->pair = pair;
  try->known = known;
  ws_co_start(loop, run, try);
  return try;
}

static void finish(Try *try)
{
  ws_co_wake(try->co);
  settle();
  g_assert_true(try->ended);
}

static void end(GPtrArray *tries)
{
  bool more = true;
  while (more) {
    more = false;
    for (guint i = 0; i < tries->len; i++) {
      Try *try = tries->pdata[i];
      if (try->served && !try->ended) {
        finish(try);
        more = true;
      }
    }
  }
  g_ptr_array_free(tries, TRUE);
  password_turns_free(turns);
  ws_loop_free(loop);
}

static Try *add(GPtrArray *tries, guint64 place, guint64 pair)
{
  g_ptr_array_add(tries, start(place, pair, false));
  return tries->pdata[tries->len - 1];
}

static Try *add_known(GPtrArray *tries, guint64 place, guint64 pair)
{
  g_ptr_array_add(tries, start(place, pair, true));
  return tries->pdata[tries->len - 1];
}

static void few_at_a_time_and_one_of_a_pair(void)
{
  GPtrArray *tries = g_ptr_array_new_with_free_func(g_free);
  begin(2);
  Try *one = add(tries, 1, 11), *same = add(tries, 1, 11), *other = add(tries, 1, 12), *third = add(tries, 2, 21);
  settle();
  g_assert_true(one->served && !same->served && other->served && !third->served);
  finish(other);
  g_assert_true(third->served && !same->served); /* its account is being looked at from there */
  finish(one);
  g_assert_true(same->served);
  end(tries);
}

static void place_with_a_thousand_is_served_by_turns(void)
{
  GPtrArray *tries = g_ptr_array_new_with_free_func(g_free);
  begin(1);
  for (guint i = 0; i < 200; i++)
    add(tries, 1, 1000 + i);
  Try *first = add(tries, 2, 21), *second = add(tries, 2, 22);
  for (guint i = 0; i < 4; i++)
    for (guint k = 0; k < tries->len; k++) {
      Try *try = tries->pdata[k];
      if (try->served && !try->ended) {
        finish(try);
        break;
      }
    }
  g_assert_cmpuint(first->order, <=, 3);
  g_assert_cmpuint(second->order, <=, 5);
  g_assert_cmpuint(second->order, >, first->order);
  end(tries);
}

static void full_line_puts_out_the_last_of_the_longest(void)
{
  GPtrArray *tries = g_ptr_array_new_with_free_func(g_free);
  begin(1);
  for (guint i = 0; i < 1 + PASSWORD_WAITING_MAX; i++)
    add(tries, 1, 1000 + i);
  Try *last = tries->pdata[tries->len - 1];
  Try *more = add(tries, 1, 9999), *other = add(tries, 2, 21);
  settle();
  g_assert_true(more->refused); /* its place has the whole line */
  g_assert_true(last->refused && !other->refused);
  finish(tries->pdata[0]);
  Try *next = tries->pdata[1];
  finish(next->served ? next : other);
  g_assert_cmpuint(other->order, >, 0);
  g_assert_cmpuint(other->order, <=, 3);
  end(tries);
}

/* Each has one: none has more than its share, and all together have the whole line. */
static void crowd_of_places_does_not_shut_out_whom_the_manager_knows(void)
{
  GPtrArray *tries = g_ptr_array_new_with_free_func(g_free);
  begin(1);
  for (guint i = 0; i < 1 + PASSWORD_WAITING_MAX; i++)
    add(tries, 1 + i, 1000 + i);
  Try *strange = add(tries, 5000, 50001), *known = add_known(tries, 5001, 50011);
  settle();
  g_assert_true(strange->refused && !known->refused);
  /* One try of it at a time goes ahead. */
  Try *same = add_known(tries, 5001, 50011);
  settle();
  g_assert_true(same->refused);
  finish(tries->pdata[0]);
  g_assert_cmpuint(known->order, ==, 2);
  finish(known);
  Try *next = tries->pdata[1];
  g_assert_cmpuint(next->order, ==, 3);
  end(tries);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/center-passwords/few_at_a_time_and_one_of_a_pair", few_at_a_time_and_one_of_a_pair);
  g_test_add_func("/center-passwords/place_with_a_thousand_is_served_by_turns", place_with_a_thousand_is_served_by_turns);
  g_test_add_func("/center-passwords/full_line_puts_out_the_last_of_the_longest", full_line_puts_out_the_last_of_the_longest);
  g_test_add_func("/center-passwords/crowd_of_places_does_not_shut_out_whom_the_manager_knows",
                  crowd_of_places_does_not_shut_out_whom_the_manager_knows);
  return g_test_run();
}
