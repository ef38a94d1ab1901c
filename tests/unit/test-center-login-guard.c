// SPDX-License-Identifier: Apache-2.0
/* Who may try a password (center/auth/login_guard.h), the table beneath (throttle.h), and what strangers
 * leave in the audit log (refusals.h): by a clock that the test sets. */
#include "center/auth/login_guard.h"
#include "center/auth/refusals.h"
#include "rpc-pipe.h"
#include <string.h>

#define SECOND_US ((gint64)G_USEC_PER_SEC)
#define WINDOW_US (300 * SECOND_US)

static PipeClock the_clock;

/* ---- the table ---- */

static const ThrottleLimit five = {5, WINDOW_US};

static void five_failures_then_one_in_each_fifth_of_the_window(void)
{
  Throttle *throttle = throttle_new(64);
  gint64 now = 1000 * SECOND_US;
  for (int i = 0; i < 5; i++) {
    g_assert_cmpint(throttle_wait_us(throttle, 7, &five, now), ==, 0);
    throttle_add(throttle, 7, &five, 1, now);
  }
  g_assert_cmpint(throttle_wait_us(throttle, 7, &five, now), ==, 60 * SECOND_US);
  g_assert_cmpint(throttle_wait_us(throttle, 8, &five, now), ==, 0);
  now += 60 * SECOND_US - 1;
  g_assert_cmpint(throttle_wait_us(throttle, 7, &five, now), ==, 1);
  now++;
  g_assert_cmpint(throttle_wait_us(throttle, 7, &five, now), ==, 0);
  throttle_add(throttle, 7, &five, 1, now);
  g_assert_cmpint(throttle_wait_us(throttle, 7, &five, now), ==, 60 * SECOND_US);
  throttle_free(throttle);
}

static void failures_beyond_the_limit_do_not_lengthen_it(void)
{
  Throttle *throttle = throttle_new(64);
  gint64 now = 0;
  throttle_add(throttle, 7, &five, 1000000, now);
  g_assert_cmpint(throttle_debt_us(throttle, 7, now), ==, WINDOW_US);
  g_assert_cmpint(throttle_debt_us(throttle, 7, now + WINDOW_US), ==, 0);
  throttle_forget(throttle, 7);
  g_assert_cmpint(throttle_wait_us(throttle, 7, &five, now), ==, 0);
  throttle_free(throttle);
}

static void strangers_cannot_make_it_grow_nor_push_out_who_is_throttled(void)
{
  Throttle *throttle = throttle_new(1000);
  gsize before = throttle_bytes(throttle);
  gint64 now = 0;
  throttle_add(throttle, G_GUINT64_CONSTANT(0xabcdef), &five, 5, now);
  for (guint64 i = 1; i <= 1000000; i++)
    throttle_add(throttle, i * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15), &five, 1, now);
  g_assert_cmpuint(throttle_bytes(throttle), ==, before);
  g_assert_cmpuint(before, <=, 1000 * 16 + 64);
  g_assert_cmpint(throttle_wait_us(throttle, G_GUINT64_CONSTANT(0xabcdef), &five, now), ==, 60 * SECOND_US);
  /* Once they count no more their places are free. */
  now += WINDOW_US;
  for (guint64 i = 1; i <= 8; i++)
    throttle_add(throttle, i, &five, 5, now);
  for (guint64 i = 1; i <= 8; i++)
    g_assert_cmpint(throttle_wait_us(throttle, i, &five, now), >, 0);
  throttle_free(throttle);
}

/* ---- the guard ---- */

static const LoginGuardLimits limits = {
    .pair = {5, WINDOW_US},
    .address = {100, WINDOW_US},
    .account = {100, 3600 * SECOND_US},
    .attack = {100, WINDOW_US},
    .refused = {1000, WINDOW_US},
};

static LoginGuard *begin(void)
{
  pipe_clock_init(&the_clock);
  the_clock.clock.random_bytes = ws_clock_system()->random_bytes;
  return login_guard_new(&the_clock.clock, &limits);
}

static void fail(LoginGuard *guard, const LoginGuardTry *try, guint n)
{
  for (guint i = 0; i < n; i++)
    login_guard_failed(guard, try);
}

static void hammered_account_is_closed_there_and_open_elsewhere(void)
{
  LoginGuard *guard = begin();
  const LoginGuardTry there = {"admin", "192.0.2.1", 1, false}, elsewhere = {"admin", "192.0.2.2", 1, false},
                      other = {"ann", "192.0.2.1", 2, false};
  fail(guard, &there, 5);
  g_assert_cmpint(login_guard_wait_us(guard, &there), ==, 60 * SECOND_US);
  g_assert_cmpint(login_guard_wait_us(guard, &elsewhere), ==, 0);
  g_assert_cmpint(login_guard_wait_us(guard, &other), ==, 0);
  the_clock.now_us += 60 * SECOND_US;
  g_assert_cmpint(login_guard_wait_us(guard, &there), ==, 0);
  login_guard_fitted(guard, &there);
  fail(guard, &there, 4);
  g_assert_cmpint(login_guard_wait_us(guard, &there), ==, 0);
  login_guard_free(guard);
}

static void six_is_counted_by_64_bits(void)
{
  LoginGuard *guard = begin();
  char place[INET6_ADDRSTRLEN];
  const LoginGuardTry one = {"admin", "2001:db8:1:2::1", 1, false},
                      same = {"admin", "2001:db8:1:2:ffff:1:2:3", 1, false},
                      other = {"admin", "2001:db8:1:3::1", 1, false};
  fail(guard, &one, 5);
  g_assert_cmpint(login_guard_wait_us(guard, &same), >, 0);
  g_assert_cmpint(login_guard_wait_us(guard, &other), ==, 0);
  g_assert_cmpstr(login_guard_place_of("2001:db8:1:2::1", place), ==, "2001:db8:1:2::");
  g_assert_cmpstr(login_guard_place_of("192.0.2.7", place), ==, "192.0.2.7");
  g_assert_cmpstr(login_guard_place_of("::ffff:192.0.2.7", place), ==, "::ffff:192.0.2.7");
  g_assert_cmpstr(login_guard_place_of("fe80::1:2%eth0", place), ==, "fe80::");
  g_assert_cmpstr(login_guard_place_of("fe80::3:4%enp0s31f6.4000-and-a-name-that-is-far-too-long", place), ==,
                  "fe80::");
  g_assert_cmpstr(login_guard_site_of("2001:db8:1:2::1", place), ==, "2001:db8:1::");
  g_assert_cmpstr(login_guard_site_of("192.0.2.7", place), ==, "192.0.2.7");
  login_guard_free(guard);
}

static void spraying_closes_the_address_but_not_to_whom_it_knows(void)
{
  LoginGuard *guard = begin();
  for (int i = 0; i < 100; i++) {
    g_autofree char *name = g_strdup_printf("user-%d", i);
    const LoginGuardTry try = {name, "192.0.2.1", 0, false};
    g_assert_cmpint(login_guard_wait_us(guard, &try), ==, 0);
    login_guard_failed(guard, &try);
  }
  const LoginGuardTry fresh = {"ann", "192.0.2.1", 2, false}, known = {"bob", "192.0.2.1", 3, true},
                      elsewhere = {"ann", "192.0.2.9", 2, false};
  g_assert_cmpint(login_guard_wait_us(guard, &fresh), ==, 3 * SECOND_US);
  g_assert_cmpint(login_guard_address_wait_us(guard, "192.0.2.1"), ==, 3 * SECOND_US);
  g_assert_cmpint(login_guard_wait_us(guard, &known), ==, 0);
  g_assert_cmpint(login_guard_wait_us(guard, &elsewhere), ==, 0);
  fail(guard, &known, 5);
  g_assert_cmpint(login_guard_wait_us(guard, &known), >, 0);
  login_guard_free(guard);
}

static void who_is_turned_away_costs_neighbours_nothing(void)
{
  LoginGuard *guard = begin();
  const LoginGuardTry old = {"backup", "192.0.2.1", 4, false}, neighbour = {"ann", "192.0.2.1", 2, false};
  fail(guard, &old, 5);
  for (int i = 0; i < 100000; i++)
    login_guard_turned_away(guard, &old);
  g_assert_cmpint(login_guard_wait_us(guard, &neighbour), ==, 0);
  g_assert_cmpint(login_guard_wait_us(guard, &old), ==, 60 * SECOND_US);
  login_guard_free(guard);
}

static void account_hammered_from_everywhere_leaves_strange_addresses_one_try(void)
{
  LoginGuard *guard = begin();
  for (int i = 0; i < 100; i++) {
    g_autofree char *address = g_strdup_printf("10.0.0.%d", i);
    fail(guard, &(LoginGuardTry){"admin", address, 1, false}, 1);
  }
  g_assert_true(login_guard_is_hammered(guard, "admin"));
  const LoginGuardTry strange = {"admin", "192.0.2.1", 1, false}, known = {"admin", "192.0.2.2", 1, true};
  g_assert_cmpint(login_guard_wait_us(guard, &strange), ==, 0);
  login_guard_failed(guard, &strange);
  g_assert_cmpint(login_guard_wait_us(guard, &strange), ==, WINDOW_US);
  fail(guard, &known, 4);
  g_assert_cmpint(login_guard_wait_us(guard, &known), ==, 0);
  login_guard_free(guard);
}

static void its_memory_is_bounded(void)
{
  LoginGuard *guard = begin();
  gsize before = login_guard_bytes(guard);
  for (int i = 0; i < 200000; i++) {
    char address[32], name[32];
    g_snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
    g_snprintf(name, sizeof name, "n%d", i);
    login_guard_failed(guard, &(LoginGuardTry){name, address, 0, false});
    login_guard_refused(guard, address);
  }
  g_assert_cmpuint(login_guard_bytes(guard), ==, before);
  g_assert_cmpuint(before, <=, 2 << 20);
  login_guard_free(guard);
}

static void refused_calls_have_a_limit_of_their_own(void)
{
  LoginGuard *guard = begin();
  for (int i = 0; i < 1000; i++)
    g_assert_cmpint(login_guard_refused(guard, "192.0.2.1"), ==, 0);
  g_assert_cmpint(login_guard_refused(guard, "192.0.2.1"), >, 0);
  g_assert_true(login_guard_is_over(guard, "192.0.2.1"));
  g_assert_false(login_guard_is_over(guard, "192.0.2.2"));
  g_assert_cmpint(login_guard_wait_us(guard, &(LoginGuardTry){"ann", "192.0.2.1", 2, false}), ==, 0);
  the_clock.now_us += SECOND_US;
  g_assert_false(login_guard_is_over(guard, "192.0.2.1"));
  login_guard_free(guard);
}

static LoginGuardAttack only(GArray *news)
{
  g_assert_cmpuint(news->len, ==, 1);
  LoginGuardAttack attack = g_array_index(news, LoginGuardAttack, 0);
  g_array_unref(news);
  return attack;
}

static void assert_no_news(LoginGuard *guard)
{
  g_autoptr(GArray) news = login_guard_take_news(guard);
  g_assert_cmpuint(news->len, ==, 0);
}

static void attack_is_told_once_and_ends_by_itself(void)
{
  LoginGuard *guard = begin();
  const LoginGuardTry try = {"nobody at all", "192.0.2.1", 0, false};
  for (int i = 0; i < 99; i++)
    login_guard_turned_away(guard, &try);
  assert_no_news(guard);
  login_guard_turned_away(guard, &try);
  LoginGuardAttack attack = only(login_guard_take_news(guard));
  g_assert_cmpstr(attack.place, ==, "192.0.2.1");
  g_assert_true(attack.user == 0 && !attack.ended);
  for (int i = 0; i < 50; i++)
    login_guard_turned_away(guard, &try);
  assert_no_news(guard);
  the_clock.now_us += WINDOW_US - 1;
  assert_no_news(guard);
  the_clock.now_us++;
  attack = only(login_guard_take_news(guard));
  g_assert_true(attack.ended);
  g_assert_cmpuint(attack.tries, ==, 150);
  assert_no_news(guard);
  login_guard_free(guard);
}

static void attack_that_nobody_heard_of_has_no_end_either(void)
{
  LoginGuard *guard = begin();
  const LoginGuardTry try = {"nobody at all", "192.0.2.1", 0, false};
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 100; i++)
      login_guard_turned_away(guard, &try);
    g_autoptr(GArray) untold = login_guard_attacks(guard);
    g_assert_cmpuint(untold->len, ==, 0);
    the_clock.now_us += WINDOW_US;
    assert_no_news(guard);
  }
  for (int i = 0; i < 100; i++)
    login_guard_turned_away(guard, &try);
  g_assert_false(only(login_guard_take_news(guard)).ended);
  g_assert_cmpstr(only(login_guard_attacks(guard)).place, ==, "192.0.2.1");
  the_clock.now_us += WINDOW_US;
  g_assert_true(only(login_guard_take_news(guard)).ended);
  g_autoptr(GArray) none = login_guard_attacks(guard);
  g_assert_cmpuint(none->len, ==, 0);
  login_guard_free(guard);
}

static void attack_on_an_account_names_it_and_few_are_followed(void)
{
  LoginGuard *guard = begin();
  for (int i = 0; i < 200; i++) {
    g_autofree char *address = g_strdup_printf("10.0.0.%d", i);
    login_guard_failed(guard, &(LoginGuardTry){"admin", address, 17, false});
  }
  g_assert_cmpuint(only(login_guard_take_news(guard)).user, ==, 17);
  for (int i = 0; i < 200; i++) {
    g_autofree char *address = g_strdup_printf("10.1.0.%d", i);
    for (int k = 0; k < 100; k++)
      login_guard_turned_away(guard, &(LoginGuardTry){"x", address, 0, false});
  }
  g_autoptr(GArray) news = login_guard_take_news(guard);
  g_assert_cmpuint(news->len, ==, GUARD_ATTACKS_MAX - 1);
  login_guard_free(guard);
}

/* ---- what they leave in the log ---- */

typedef struct {
  guint records;
  guint64 count;
  char *last;
} Taken;

static void take(const Refusal *sum, guint64 count, void *arg)
{
  Taken *taken = arg;
  taken->records++;
  taken->count += count;
  g_free(taken->last);
  taken->last = g_strdup_printf("%s %s %s", sum->operation, sum->error ? sum->error : "-",
                                sum->place ? sum->place : "-");
}

static Refusal refusal(const char *operation, const char *place)
{
  return (Refusal){.operation = operation,
                   .kind = "login",
                   .error = "login_failed",
                   .place = place,
                   .risk = 1,
                   .result = 3};
}

static void take_and_write(Refusals *refusals, gint64 now_us, bool all, void (*each)(const Refusal *sum, guint64 count, void *arg), void *arg)
{
  refusals_take(refusals, now_us, all, each, arg);
  refusals_taken(refusals, true);
}

static void first_at_once_then_one_count_a_minute_and_none_is_lost(void)
{
  Refusals *refusals = refusals_new();
  const Refusal one = refusal("session_create", "192.0.2.1"), other = refusal("session_create", "192.0.2.2");
  Taken taken = {0};
  g_assert_true(refusals_note(refusals, &one, 0));
  for (int i = 0; i < 20000; i++)
    g_assert_false(refusals_note(refusals, &one, 1000 * i));
  g_assert_true(refusals_note(refusals, &other, 5));
  take_and_write(refusals, REFUSALS_PERIOD_US - 1, false, take, &taken);
  g_assert_cmpuint(taken.records, ==, 0);
  take_and_write(refusals, REFUSALS_PERIOD_US, false, take, &taken);
  g_assert_cmpuint(taken.records, ==, 1);
  g_assert_cmpuint(taken.count, ==, 20000);
  g_assert_cmpstr(taken.last, ==, "session_create login_failed 192.0.2.1");
  /* It goes on: counted, no second first record. */
  g_assert_false(refusals_note(refusals, &one, REFUSALS_PERIOD_US + 1));
  take_and_write(refusals, REFUSALS_PERIOD_US + 2, true, take, &taken);
  g_assert_cmpuint(taken.count, ==, 20001);
  /* A quiet minute, and the next is a first one again. */
  take_and_write(refusals, 3 * REFUSALS_PERIOD_US, false, take, &taken);
  g_assert_cmpuint(taken.records, ==, 2);
  g_assert_cmpuint(refusals_kinds(refusals), ==, 0);
  g_assert_true(refusals_note(refusals, &one, 3 * REFUSALS_PERIOD_US));
  g_free(taken.last);
  refusals_free(refusals);
}

static void what_could_not_be_written_is_handed_out_again(void)
{
  Refusals *refusals = refusals_new();
  const Refusal one = refusal("session_create", "192.0.2.1");
  Refusal ann = one;
  ann.object = "user-2";
  ann.login = true;
  Taken taken = {0};
  g_assert_true(refusals_note(refusals, &one, 0));
  g_assert_false(refusals_note(refusals, &one, 1));
  g_assert_false(refusals_note(refusals, &ann, 2));
  refusals_take(refusals, REFUSALS_PERIOD_US + 2, false, take, &taken);
  g_assert_cmpuint(taken.count, ==, 2);
  g_assert_false(refusals_note(refusals, &one, REFUSALS_PERIOD_US + 3)); /* while it is written */
  refusals_taken(refusals, false);
  /* However long it takes: a quiet minute does not make it forgotten. */
  taken.count = 0;
  refusals_take(refusals, 9 * REFUSALS_PERIOD_US, false, take, &taken);
  g_assert_cmpuint(taken.count, ==, 3);
  g_assert_false(refusals_note(refusals, &one, 9 * REFUSALS_PERIOD_US));
  refusals_taken(refusals, true);
  taken.count = 0;
  take_and_write(refusals, 11 * REFUSALS_PERIOD_US, false, take, &taken);
  g_assert_cmpuint(taken.count, ==, 1);
  take_and_write(refusals, 13 * REFUSALS_PERIOD_US, false, take, &taken);
  g_assert_cmpuint(taken.count, ==, 1);
  g_assert_cmpuint(refusals_kinds(refusals), ==, 0);
  g_free(taken.last);
  refusals_free(refusals);
}

static void kinds_and_places_without_end_stay_few_records(void)
{
  Refusals *refusals = refusals_new();
  Taken taken = {0};
  guint64 noted = 0, firsts = 0;
  for (int place = 0; place < 500; place++)
    for (int kind = 0; kind < 40; kind++) {
      g_autofree char *operation = g_strdup_printf("operation_%d", kind),
                      *address = g_strdup_printf("10.0.%d.1", place);
      const Refusal one = refusal(operation, address);
      firsts += refusals_note(refusals, &one, 0);
      noted++;
    }
  g_assert_cmpuint(refusals_kinds(refusals), <=, REFUSALS_MAX + 1);
  take_and_write(refusals, REFUSALS_PERIOD_US, false, take, &taken);
  g_assert_cmpuint(firsts, <=, REFUSALS_MAX + 1);
  g_assert_cmpuint(taken.records, <=, REFUSALS_MAX + 1);
  g_assert_cmpuint(firsts + taken.count, ==, noted);
  g_free(taken.last);
  refusals_free(refusals);
}

static void place_that_does_everything_takes_no_room_from_others(void)
{
  Refusals *refusals = refusals_new();
  for (int kind = 0; kind < 1000; kind++) {
    g_autofree char *operation = g_strdup_printf("operation_%d", kind);
    const Refusal one = refusal(operation, "192.0.2.1");
    refusals_note(refusals, &one, 0);
  }
  g_assert_cmpuint(refusals_kinds(refusals), <=, REFUSALS_PLACE_MAX + 1);
  const Refusal other = refusal("vm_delete", "192.0.2.2");
  g_assert_true(refusals_note(refusals, &other, 0));
  refusals_free(refusals);
}

static Refusal login_of(const char *user, const char *place)
{
  Refusal login = refusal("session_create", place);
  login.object = user;
  login.login = true;
  return login;
}

static void take_users(const Refusal *sum, guint64 count, void *arg)
{
  g_string_append_printf(arg, "%s %" G_GUINT64_FORMAT "\n", sum->object ? sum->object : "-", count);
}

static void log_of_logins_does_not_tell_by_its_time_who_exists(void)
{
  Refusals *refusals = refusals_new();
  const Refusal nobody = login_of(NULL, "192.0.2.1"), ann = login_of("user-2", "192.0.2.1"),
                bob = login_of("user-3", "192.0.2.1");
  g_autoptr(GString) sums = g_string_new(NULL);
  g_assert_true(refusals_note(refusals, &nobody, 0));
  g_assert_false(refusals_note(refusals, &ann, 10));
  g_assert_false(refusals_note(refusals, &bob, 10));
  g_assert_false(refusals_note(refusals, &bob, 11));
  take_and_write(refusals, REFUSALS_PERIOD_US, false, take_users, sums);
  g_assert_cmpstr(sums->str, ==, ""); /* what was counted of users is younger */
  /* The kind lives on just as it would had they named nobody. */
  g_assert_false(refusals_note(refusals, &nobody, REFUSALS_PERIOD_US + 5));
  take_and_write(refusals, REFUSALS_PERIOD_US + 11, false, take_users, sums);
  g_assert_nonnull(strstr(sums->str, "user-2 1\n"));
  g_assert_nonnull(strstr(sums->str, "user-3 2\n"));
  g_string_truncate(sums, 0);
  take_and_write(refusals, 2 * REFUSALS_PERIOD_US, false, take_users, sums);
  g_assert_cmpstr(sums->str, ==, "- 1\n");
  take_and_write(refusals, 3 * REFUSALS_PERIOD_US + 11, false, take_users, sums);
  g_assert_true(refusals_note(refusals, &ann, 3 * REFUSALS_PERIOD_US + 12));
  refusals_free(refusals);
}

static void users_without_end_are_counted_together(void)
{
  Refusals *refusals = refusals_new();
  Taken taken = {0};
  for (int i = 0; i < 10000; i++) {
    g_autofree char *user = g_strdup_printf("user-%d", i);
    const Refusal one = login_of(user, "192.0.2.1");
    g_assert_true(refusals_note(refusals, &one, 0) == (i == 0));
  }
  take_and_write(refusals, REFUSALS_PERIOD_US, false, take, &taken);
  g_assert_cmpuint(taken.count, ==, 9999);
  g_assert_cmpuint(taken.records, ==, REFUSALS_USERS_MAX + 1);
  g_free(taken.last);
  refusals_free(refusals);
}

static void others_leave_room_for_logins(void)
{
  Refusals *refusals = refusals_new();
  for (int place = 0; place < 40; place++)
    for (int kind = 0; kind < REFUSALS_PLACE_MAX; kind++) {
      g_autofree char *operation = g_strdup_printf("operation_%d", kind),
                      *address = g_strdup_printf("10.0.%d.1", place);
      const Refusal one = refusal(operation, address);
      refusals_note(refusals, &one, 0);
    }
  const Refusal login = login_of("user-2", "192.0.2.1");
  g_assert_true(refusals_note(refusals, &login, 1));
  g_assert_false(refusals_note(refusals, &login, 2));
  refusals_free(refusals);
}

#define add(test) g_test_add_func("/center-guard/" #test, test)

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  add(five_failures_then_one_in_each_fifth_of_the_window);
  add(failures_beyond_the_limit_do_not_lengthen_it);
  add(strangers_cannot_make_it_grow_nor_push_out_who_is_throttled);
  add(hammered_account_is_closed_there_and_open_elsewhere);
  add(six_is_counted_by_64_bits);
  add(spraying_closes_the_address_but_not_to_whom_it_knows);
  add(who_is_turned_away_costs_neighbours_nothing);
  add(account_hammered_from_everywhere_leaves_strange_addresses_one_try);
  add(its_memory_is_bounded);
  add(refused_calls_have_a_limit_of_their_own);
  add(attack_is_told_once_and_ends_by_itself);
  add(attack_that_nobody_heard_of_has_no_end_either);
  add(attack_on_an_account_names_it_and_few_are_followed);
  add(first_at_once_then_one_count_a_minute_and_none_is_lost);
  add(what_could_not_be_written_is_handed_out_again);
  add(kinds_and_places_without_end_stay_few_records);
  add(place_that_does_everything_takes_no_room_from_others);
  add(log_of_logins_does_not_tell_by_its_time_who_exists);
  add(users_without_end_are_counted_together);
  add(others_leave_room_for_logins);
  return g_test_run();
}
