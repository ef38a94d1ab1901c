// SPDX-License-Identifier: Apache-2.0
/* The compatibility list: each entry of the platform's own is valid, a site's own are read with the place of what is wrong, and devices are found. */
#include "base/error.h"
#include "center/hosts/compatibility.h"
#include "plan/compatibility.h"
#include <glib/gstdio.h>
#include <string.h>

static void every_entry_is_valid_and_there_once(void)
{
  const GPtrArray *list = compatibility_builtin(); /* ends the program where one is not */
  g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  guint kinds[8] = {0};
  g_assert_cmpuint(list->len, >=, 100);
  for (guint i = 0; i < list->len; i++) {
    const WsCompatibilityEntry *entry = list->pdata[i];
    bool device = entry->kind == WS_COMPATIBILITY_ENTRY_KIND_NIC || entry->kind == WS_COMPATIBILITY_ENTRY_KIND_CONTROLLER;
    bool model = entry->kind == WS_COMPATIBILITY_ENTRY_KIND_PROCESSOR || entry->kind == WS_COMPATIBILITY_ENTRY_KIND_SERVER;
    kinds[entry->kind]++;
    if (device != (entry->driver != NULL) || model != (entry->models.len > 0))
      g_error("%s: a device has a driver, a processor and a server have models", entry->name);
    if (!g_hash_table_add(seen, g_strdup_printf("%d %s %s", (int)entry->kind, entry->vendor, entry->name)))
      g_error("%s is there twice", entry->name);
    for (guint j = 0; j < entry->pci.len; j++)
      if (!g_hash_table_add(seen, g_strdup(entry->pci.items[j])))
        g_error("%s is there twice", entry->pci.items[j]);
    /* What was tested is what the tests of this project run on. */
    if (entry->state == WS_COMPATIBILITY_STATE_TESTED && !strstr(entry->source, "tests of this project"))
      g_error("%s: who tested it?", entry->name);
  }
  for (guint i = 1; i <= 7; i++)
    g_assert_cmpuint(kinds[i], >, 0);
}

/* ---- devices ---- */

static void add_pci(WsHostFacts *facts, const char *class, const char *vendor, const char *device, const char *driver)
{
  WsHostPciDevice *pci = ws_host_pci_device_new();
  pci->class = g_strdup(class);
  pci->vendor_id = g_strdup(vendor);
  pci->device_id = g_strdup(device);
  pci->driver = g_strdup(driver);
  ws_array_add(&facts->pci_devices, pci);
}

static const WsHostCheckLine *line_of(const WsHostCheck *check, const char *part)
{
  for (guint i = 0; i < check->lines.len; i++)
    if (strstr(check->lines.items[i]->found, part))
      return check->lines.items[i];
  g_error("no line with %s", part);
}

static void devices_of_a_laboratory_host_are_found(void)
{
  g_autoptr(WsHostFacts) facts = ws_host_facts_new();
  g_autoptr(WsHostCheck) check = ws_host_check_new();
  facts->cpu = ws_host_cpu_new();
  facts->cpu->model = g_strdup("Intel(R) Xeon(R) Processor");
  facts->system = ws_host_system_new();
  facts->system->vendor = g_strdup("QEMU");
  facts->system->model = g_strdup("Standard PC (Q35 + ICH9, 2009)");
  add_pci(facts, "060000", "8086", "0d57", NULL);
  add_pci(facts, "018000", "1af4", "1042", "virtio-pci");
  add_pci(facts, "020000", "1af4", "1041", "virtio-pci");
  add_pci(facts, "020000", "1af4", "1041", "virtio-pci");
  add_pci(facts, "0x010700", "0x1000", "0x0097", "mpt3sas");
  add_pci(facts, "020000", "8086", "ffff", "ice");
  add_pci(facts, "020000", "dead", "beef", "strange");
  plan_compatibility_add_lines(check, facts, compatibility_builtin());
  g_assert_cmpuint(check->lines.len, ==, 7); /* no bridge, and a kind once */
  g_assert_cmpint(line_of(check, "Xeon")->compatibility, ==, WS_COMPATIBILITY_STATE_TESTED);
  g_assert_cmpint(line_of(check, "QEMU Standard PC")->compatibility, ==, WS_COMPATIBILITY_STATE_TESTED);
  g_assert_cmpint(line_of(check, "1af4:1042")->compatibility, ==, WS_COMPATIBILITY_STATE_TESTED);
  g_assert_cmpint(line_of(check, "1af4:1041")->state, ==, WS_HOST_CHECK_LINE_STATE_PASS);
  g_assert_cmpint(line_of(check, "1000:0097")->compatibility, ==, WS_COMPATIBILITY_STATE_KNOWN_TO_WORK);
  g_assert_cmpint(line_of(check, "8086:ffff, ice")->compatibility, ==, WS_COMPATIBILITY_STATE_KNOWN_TO_WORK); /* by its driver */
  g_assert_cmpint(line_of(check, "dead:beef")->compatibility, ==, WS_COMPATIBILITY_STATE_UNKNOWN);
  g_assert_cmpint(line_of(check, "dead:beef")->state, ==, WS_HOST_CHECK_LINE_STATE_UNKNOWN);
}

static void processors_are_told_apart(void)
{
  static const char *const models[][2] = {
      {"Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "Xeon Scalable, first"}, {"Intel(R) Xeon(R) Silver 4110 CPU @ 2.10GHz", "Xeon Scalable, first"},
      {"Intel(R) Xeon(R) Gold 6438Y+", "Xeon Scalable, fourth"},            {"AMD EPYC 7543 32-Core Processor", "EPYC 7003"},
      {"AMD EPYC 9354 32-Core Processor", "EPYC 9004"},                     {"Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "Xeon E5"},
      {"HiSilicon Kunpeng-920", "Kunpeng"},                                 {"VIA Nano", NULL},
  };
  for (guint i = 0; i < G_N_ELEMENTS(models); i++) {
    const WsCompatibilityEntry *entry =
        plan_compatibility_of_model(compatibility_builtin(), WS_COMPATIBILITY_ENTRY_KIND_PROCESSOR, models[i][0]);
    if (!models[i][1] ? entry != NULL : !entry || !g_str_has_prefix(entry->name, models[i][1]))
      g_error("%s is %s", models[i][0], entry ? entry->name : "not found");
  }
}

/* ---- a site's own list ---- */

static void own_entries_come_first_and_mistakes_have_their_line(void)
{
  g_autofree char *folder = g_dir_make_tmp("ws-compat-XXXXXX", NULL), *path = g_build_filename(folder, COMPATIBILITY_FILE, NULL);
  static const char text[] = "# ours\n"
                             "{\"kind\":\"nic\",\"name\":\"Strange 1\",\"pci\":[\"dead:beef\"],\"state\":\"tested\",\"source\":\"we did\"}\n"
                             "\n"
                             "{\"kind\":\"nic\",\"name\":\"No state\",\"source\":\"x\"}\n"
                             "{\"kind\":\"toaster\",\"name\":\"x\",\"state\":\"tested\",\"source\":\"x\"}\n"
                             "{\"kind\":\"nic\",\"name\":\"x\",\"state\":\"tested\",\"source\":\"x\",\"pci\":[\"8086\"]}\n"
                             "not json\n"
                             "{\"kind\":\"nic\",\"name\":\"igb, as we see it\",\"pci\":[\"8086:1521\"],\"state\":\"unknown\",\"source\":\"it hangs\"}";
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
  g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)ws_compatibility_problem_free);
  g_autoptr(GPtrArray) list = compatibility_load(path, problems);
  g_assert_cmpuint(list->len, ==, compatibility_builtin()->len + 2);
  g_assert_true(((const WsCompatibilityEntry *)list->pdata[0])->own);
  static const gint64 lines[] = {4, 5, 6, 7};
  g_assert_cmpuint(problems->len, ==, G_N_ELEMENTS(lines));
  for (guint i = 0; i < problems->len; i++) {
    const WsCompatibilityProblem *problem = problems->pdata[i];
    g_assert_cmpint(problem->line, ==, lines[i]);
    g_assert_cmpstr(problem->file, ==, COMPATIBILITY_FILE);
    g_assert_cmpuint(strlen(problem->reason), >, 0);
  }
  g_autoptr(WsHostFacts) facts = ws_host_facts_new();
  add_pci(facts, "020000", "dead", "beef", NULL);
  add_pci(facts, "020000", "8086", "1521", "igb");
  g_assert_cmpstr(plan_compatibility_of_pci(list, facts->pci_devices.items[0])->name, ==, "Strange 1");
  g_assert_cmpint(plan_compatibility_of_pci(list, facts->pci_devices.items[1])->state, ==, WS_COMPATIBILITY_STATE_UNKNOWN);
  g_unlink(path);
  g_rmdir(folder);
}

static void list_that_cannot_be_read_is_a_problem_and_no_list_is_none(void)
{
  g_autofree char *folder = g_dir_make_tmp("ws-compat-XXXXXX", NULL), *path = g_build_filename(folder, COMPATIBILITY_FILE, NULL);
  g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)ws_compatibility_problem_free);
  g_autoptr(GPtrArray) none = compatibility_load(path, problems);
  g_assert_cmpuint(none->len, ==, compatibility_builtin()->len);
  g_assert_cmpuint(problems->len, ==, 0);
  g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
  g_autoptr(GPtrArray) bad = compatibility_load(path, problems);
  g_assert_cmpuint(bad->len, ==, compatibility_builtin()->len);
  g_assert_cmpuint(problems->len, ==, 1);
  g_assert_cmpint(((const WsCompatibilityProblem *)problems->pdata[0])->line, ==, 0);
  g_rmdir(path);
  g_rmdir(folder);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/center/compatibility/every_entry_is_valid_and_there_once", every_entry_is_valid_and_there_once);
  g_test_add_func("/center/compatibility/devices_of_a_laboratory_host_are_found", devices_of_a_laboratory_host_are_found);
  g_test_add_func("/center/compatibility/processors_are_told_apart", processors_are_told_apart);
  g_test_add_func("/center/compatibility/own_entries_come_first_and_mistakes_have_their_line", own_entries_come_first_and_mistakes_have_their_line);
  g_test_add_func("/center/compatibility/list_that_cannot_be_read_is_a_problem_and_no_list_is_none", list_that_cannot_be_read_is_a_problem_and_no_list_is_none);
  return g_test_run();
}
