// SPDX-License-Identifier: Apache-2.0
/* Each kind of task of the contract with the manager killed before and after each commit and each act of the host, and again while it
 * recovers. When all is quiet the task has ended done or undone, nothing is locked or in a passing state, inventory, host and files say the
 * same, and one audit record tells of it. */
#include "center-runs.h"
#include "center/verbs.h"
#include <string.h>

static void survives_a_kill_at_every_point(const void *arg)
{
  const Scene *scene = arg;
  gint n, n_again = 0;
  for (n = 1;; n += runs_stride()) {
    runs_begin(RIG_KILL, n);
    bool ended = runs_ask(scene);
    if (!ended) { /* and once more while it recovers */
      runs_world->at = 1 + n * 5 % 7;
      n_again += !runs_recover(scene);
    }
    runs_check(scene);
    if (ended)
      break;
  }
  g_test_message("%d points, killed again %d times", n - 1, n_again);
  g_assert_cmpint(n, >, 2);
}

/* Whoever adds a kind of task adds its scene. */
static void every_kind_has_a_scene(void)
{
  for (guint i = 0; i < ws_n_task_kinds; i++) {
    bool found = false;
    for (guint j = 0; j < n_scenes; j++)
      found |= strcmp(scenes[j].kind, ws_task_kinds[i].name) == 0;
    if (!found)
      g_error("no scene has a %s: add one to center-scenes.c", ws_task_kinds[i].name);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/kill/every_kind_has_a_scene", every_kind_has_a_scene);
  runs_add("/center/kill", survives_a_kill_at_every_point);
  int result = g_test_run();
  runs_end();
  return result;
}
