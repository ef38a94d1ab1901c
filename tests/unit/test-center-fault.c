// SPDX-License-Identifier: Apache-2.0
/* Each kind of task of the contract with one fault at each act of the host: the link cut before the act, or after it so that the answer is
 * lost; the host away for longer than a step waits; the act failing; the task cancelled. What must hold then is in center-runs.h. */
#include "center-runs.h"

static void survives_a_fault_at_every_act(const Scene *scene, RigFault fault)
{
  gint n;
  for (n = 1;; n += runs_stride()) {
    runs_begin(fault, n);
    g_assert_true(runs_ask(scene));
    if (!runs_world->happened)
      break;
    runs_check(scene);
  }
  g_test_message("%d acts", n - 1);
}

static void survives_a_cut_before_every_act(const void *scene)
{
  survives_a_fault_at_every_act(scene, RIG_CUT_BEFORE);
}

static void survives_a_cut_after_every_act(const void *scene)
{
  survives_a_fault_at_every_act(scene, RIG_CUT_AFTER);
}

static void survives_a_host_that_stays_away(const void *scene)
{
  survives_a_fault_at_every_act(scene, RIG_AWAY);
}

static void survives_every_act_failing(const void *scene)
{
  survives_a_fault_at_every_act(scene, RIG_FAIL);
}

static void survives_a_cancel_at_every_act(const void *scene)
{
  survives_a_fault_at_every_act(scene, RIG_CANCEL);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  runs_add("/center/fault/cut_before", survives_a_cut_before_every_act);
  runs_add("/center/fault/cut_after", survives_a_cut_after_every_act);
  runs_add("/center/fault/away", survives_a_host_that_stays_away);
  runs_add("/center/fault/failing", survives_every_act_failing);
  runs_add("/center/fault/cancelled", survives_a_cancel_at_every_act);
  int result = g_test_run();
  runs_end();
  return result;
}
