// SPDX-License-Identifier: Apache-2.0
/* What /metrics says of what cannot be asked: that it cannot, and nothing else. */
#include "center-runs.h"
#include "center/monitor/metrics.h"
#include <string.h>

typedef struct {
  CenterRig *rig;
  int state;
} Set;

static void set_pool(void *arg)
{
  const Set *set = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(set->rig->center.inventory);
  ((WsPool *)inv_edit_id(txn, &ws_type_pool, rig_world_find(set->rig->world, "far_pool")))->state =
      set->state;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void set_state(CenterRig *rig, int state)
{
  center_rig_run(rig, set_pool, &(Set){rig, state});
}

/* The value on the pool's line; NULL: it has none. Caller frees. */
static char *value_of(CenterRig *rig, const char *metric)
{
  g_autoptr(InvSnapshot) snap = inv_head(rig->center.inventory);
  g_autoptr(GString) text = metrics_write(&rig->center, snap);
  g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
  g_autofree char *start = g_strconcat(metric, "{", NULL);
  for (char **line = lines; *line; line++)
    if (g_str_has_prefix(*line, start) && strstr(*line, "name=\"far\""))
      return g_strdup(strrchr(*line, ' ') + 1);
  return NULL;
}

static void look_at_pool(CenterRig *rig)
{
  static const char *const figures[] = {"winsphere_pool_capacity_bytes", "winsphere_pool_available_bytes",
                                        "winsphere_pool_provisioned_bytes"};
  for (guint i = 0; i < G_N_ELEMENTS(figures); i++) {
    g_autofree char *known = value_of(rig, figures[i]);
    g_assert_nonnull(known);
  }
  set_state(rig, WS_POOL_STATE_UNREACHABLE);
  for (guint i = 0; i < G_N_ELEMENTS(figures); i++) {
    g_autofree char *old = value_of(rig, figures[i]);
    g_assert_null(old);
  }
  g_autofree char *up = value_of(rig, "winsphere_pool_up");
  g_assert_cmpstr(up, ==, "0");
  set_state(rig, WS_POOL_STATE_ACTIVE);
  g_autofree char *again = value_of(rig, "winsphere_pool_available_bytes"),
                  *is_up = value_of(rig, "winsphere_pool_up");
  g_assert_nonnull(again);
  g_assert_cmpstr(is_up, ==, "1");
}

static void pool_out_of_reach_has_no_figures(void)
{
  runs_on_site(look_at_pool, "a pool out of reach");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/metrics/pool_out_of_reach_has_no_figures", pool_out_of_reach_has_no_figures);
  int result = g_test_run();
  runs_end();
  return result;
}
