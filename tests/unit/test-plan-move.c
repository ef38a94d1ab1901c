// SPDX-License-Identifier: Apache-2.0
/* Every pair of what two hosts may have of a moving VM, as a table; and the rule behind it, tried on all of them. */
#include "plan/move.h"
#include <glib.h>
#include <string.h>

static const char *const domains[] = {"?", "absent", "off", "gone", "run", "paused", "in", "out", "post", "post!", "crash"};
#define N_DOMAINS G_N_ELEMENTS(domains)
static const char *const verdicts[] = {"", "start", "wait", "ask", "release", "end", "resume", "drop", "stayed", "went", "ended", "TWICE"};

/* Rows: the source; columns: the target, in the order of `domains`. Begun, held, not paused before, nobody at work. */
static const char *const held[N_DOMAINS] = {
  /* ?       */ "ask    ask    ask    ask    went   ask     ask    ask    wait   ask    went",
  /* absent  */ "ask    ask    ask    ask    went   ask     ask    ask    ask    ask    went",
  /* off     */ "ask    ended  ended  ended  went   drop    drop   drop   ask    ask    went",
  /* gone    */ "ask    ended  went   ended  went   release wait   wait   wait   ask    went",
  /* run     */ "stayed stayed stayed stayed TWICE  drop    drop   drop   ask    ask    TWICE",
  /* paused  */ "stayed stayed stayed stayed end    drop    drop   drop   ask    ask    end",
  /* in      */ "resume resume resume resume end    end     wait   wait   ask    ask    end",
  /* out     */ "resume resume resume resume end    end     wait   wait   ask    ask    end",
  /* post    */ "ask    end    end    end    end    ask     ask    ask    wait   ask    end",
  /* post!   */ "ask    end    end    end    end    ask     ask    ask    wait   ask    end",
  /* crash   */ "stayed stayed stayed stayed TWICE  drop    drop   drop   ask    ask    TWICE",
};

static void table_holds(void)
{
  for (guint source = 0; source < N_DOMAINS; source++) {
    g_autoptr(GRegex) spaces = g_regex_new(" +", 0, 0, NULL);
    g_auto(GStrv) row = g_regex_split(spaces, held[source], 0);
    g_assert_cmpuint(g_strv_length(row), ==, N_DOMAINS);
    for (guint target = 0; target < N_DOMAINS; target++) {
      PlanMoveSight sight = {source, target, false, true, false, true};
      const char *said = verdicts[plan_move_verdict(&sight)];
      if (strcmp(said, row[target]) != 0)
        g_error("source %s, target %s: %s, not %s", domains[source], domains[target], said, row[target]);
    }
  }
}

static PlanMoveVerdict ask(PlanMoveDomain source, PlanMoveDomain target, bool working, bool begun, bool was_paused, bool held_back)
{
  PlanMoveSight sight = {source, target, working, begun, was_paused, held_back};
  return plan_move_verdict(&sight);
}

static void begins_only_where_nothing_is(void)
{
  for (guint target = 0; target < N_DOMAINS; target++) {
    bool nothing = target == PLAN_MOVE_ABSENT || target == PLAN_MOVE_OFF || target == PLAN_MOVE_GONE_OVER;
    g_assert_cmpint(ask(PLAN_MOVE_RUNNING, target, false, false, false, true) == PLAN_MOVE_DO_START, ==, nothing);
  }
  for (guint source = 0; source < N_DOMAINS; source++)
    if (source != PLAN_MOVE_RUNNING && source != PLAN_MOVE_PAUSED)
      g_assert_cmpint(ask(source, PLAN_MOVE_ABSENT, false, false, false, true), !=, PLAN_MOVE_DO_START);
}

static void who_is_at_work_is_waited_for(void)
{
  for (guint source = 0; source < N_DOMAINS; source++)
    for (guint target = 0; target < N_DOMAINS; target++)
      g_assert_cmpint(ask(source, target, true, true, false, true), ==, PLAN_MOVE_DO_WAIT);
}

static void paused_guest_stays_paused(void)
{
  g_assert_cmpint(ask(PLAN_MOVE_GONE_OVER, PLAN_MOVE_PAUSED, false, true, true, true), ==, PLAN_MOVE_IS_WENT);
  g_assert_cmpint(ask(PLAN_MOVE_PAUSED, PLAN_MOVE_PAUSED, false, true, true, true), ==, PLAN_MOVE_DO_DROP);
}

/* The target is let go only when the source is known not to run; the source only when the target was not let go. */
static void nobody_starts_a_second(void)
{
  for (int flags = 0; flags < 8; flags++)
    for (guint source = 0; source < N_DOMAINS; source++)
      for (guint target = 0; target < N_DOMAINS; target++) {
        PlanMoveVerdict v = ask(source, target, false, flags & 1, flags & 2, flags & 4);
        bool source_may_run = source == PLAN_MOVE_UNKNOWN || source == PLAN_MOVE_RUNNING || source == PLAN_MOVE_CRASHED;
        bool target_may_run = target == PLAN_MOVE_RUNNING || target == PLAN_MOVE_POST_COPY || target == PLAN_MOVE_CRASHED ||
                              (target == PLAN_MOVE_UNKNOWN && !(flags & 4));
        if (v == PLAN_MOVE_DO_RELEASE)
          g_assert_true(!source_may_run && source == PLAN_MOVE_GONE_OVER);
        if (v == PLAN_MOVE_DO_RESUME_SOURCE)
          g_assert_false(target_may_run);
        if (v == PLAN_MOVE_DO_END_SOURCE)
          g_assert_false(source_may_run);
        if (v == PLAN_MOVE_DO_DROP)
          g_assert_false(target_may_run || target == PLAN_MOVE_UNKNOWN);
        if (v == PLAN_MOVE_DO_START)
          g_assert_false(target_may_run || target == PLAN_MOVE_UNKNOWN || (flags & 1));
        if (v == PLAN_MOVE_IS_WENT)
          g_assert_true(target == PLAN_MOVE_RUNNING || target == PLAN_MOVE_CRASHED || (target == PLAN_MOVE_PAUSED && (flags & 2)) ||
                        (source == PLAN_MOVE_GONE_OVER && target == PLAN_MOVE_OFF));
      }
}

/* A source that was taken out of the site never answers: what the target has decides, and what was not released goes. */
static void removed_source_is_not_asked_for_ever(void)
{
  for (guint target = 0; target < N_DOMAINS; target++) {
    PlanMoveSight sight = {PLAN_MOVE_ABSENT, target, false, true, false, true, true};
    PlanMoveVerdict v = plan_move_verdict(&sight);
    bool arrived = target == PLAN_MOVE_PAUSED || target == PLAN_MOVE_INCOMING || target == PLAN_MOVE_OUTGOING;
    bool nothing = target == PLAN_MOVE_ABSENT || target == PLAN_MOVE_OFF || target == PLAN_MOVE_GONE_OVER;
    bool runs = target == PLAN_MOVE_RUNNING || target == PLAN_MOVE_CRASHED;
    g_assert_cmpint(v, ==,
                    arrived   ? PLAN_MOVE_DO_DROP
                    : nothing ? PLAN_MOVE_IS_ENDED
                    : runs    ? PLAN_MOVE_IS_WENT
                              : PLAN_MOVE_DO_ASK);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/plan/move/" #name, name)
  TEST(table_holds);
  TEST(begins_only_where_nothing_is);
  TEST(who_is_at_work_is_waited_for);
  TEST(paused_guest_stays_paused);
  TEST(nobody_starts_a_second);
  TEST(removed_source_is_not_asked_for_ever);
  return g_test_run();
}
