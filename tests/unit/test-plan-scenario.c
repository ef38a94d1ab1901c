// SPDX-License-Identifier: Apache-2.0
/* Every file of tests/scenario is a test: what the planner is shown, what it must answer, and why. */
#include "plan-scenario.h"
#include <string.h>

static const struct {
  const char *kind;
  void (*run)(json_t *scenario);
  const char *keys[12];
} kinds[] = {
    {"place", scenario_place, {"hosts", "vm"}},
    {"move", scenario_move, {"sight"}},
    {"cpu", scenario_cpu, {"hosts", "guest"}},
    {"assign",
     scenario_assign,
     {"resources", "hosts", "groups", "items", "balances", "item_weight", "group_weight"}},
    {"balance", scenario_balance, {"hosts", "vms", "vcpu_ratio", "limit", "only_evacuate", "min_gain"}},
    {"one more", scenario_one_more, {"hosts", "vms", "vcpu_ratio", "new"}},
    {"defrag", scenario_defrag, {"hosts", "vms", "slot", "limit"}},
    {"rules", scenario_rules, {"hosts", "vms", "rules", "balance", "heal"}},
    {"storage", scenario_storage, {"pools", "disks", "threshold", "duration", "limit"}},
};

static void check_keys(json_t *scenario, const char *const *own)
{
  GPtrArray *keys = g_ptr_array_new();
  const char *const common[] = {"why", "kind", "expect"};
  for (guint k = 0; k < G_N_ELEMENTS(common); k++)
    g_ptr_array_add(keys, (char *)common[k]);
  for (; *own; own++)
    g_ptr_array_add(keys, (char *)*own);
  g_ptr_array_add(keys, NULL);
  scenario_keys(scenario, (const char *const *)keys->pdata);
  g_ptr_array_free(keys, TRUE);
}

static void run_file(gconstpointer path)
{
  json_error_t error;
  json_t *scenario = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
  if (!scenario)
    scenario_fail("%s:%d: %s", (const char *)path, error.line, error.text);
  const char *kind = scenario_text(scenario, "kind", ""), *why = scenario_text(scenario, "why", NULL);
  if (!why || !*why || !scenario_get(scenario, "expect"))
    scenario_fail("a scenario says why, and what it expects");
  g_test_message("%s", why);
  for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
    if (strcmp(kind, kinds[k].kind) == 0) {
      check_keys(scenario, kinds[k].keys);
      kinds[k].run(scenario);
      json_decref(scenario);
      return;
    }
  scenario_fail("no kind is called \"%s\"", kind);
}

static int by_name(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_autofree char *folder = g_test_build_filename(G_TEST_DIST, "..", "scenario", NULL);
  g_autoptr(GError) error = NULL;
  GDir *dir = g_dir_open(folder, 0, &error);
  g_assert_no_error(error);
  g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
  for (const char *name; (name = g_dir_read_name(dir));)
    if (g_str_has_suffix(name, ".json"))
      g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
  g_dir_close(dir);
  g_ptr_array_sort(paths, by_name);
  g_assert_cmpuint(paths->len, >=, 200);
  for (guint k = 0; k < paths->len; k++) {
    g_autofree char *base = g_path_get_basename(paths->pdata[k]), *test = g_strndup(base, strlen(base) - strlen(".json"));
    g_autofree char *name = g_strconcat("/", test, NULL);
    g_test_add_data_func(name, paths->pdata[k], run_file);
  }
  return g_test_run();
}
