// SPDX-License-Identifier: Apache-2.0
/* VMs and their OVF descriptors, side by side in tests/golden/ovf: NAME.json -> NAME.ovf.
 *
 * A new case is a new .json; `test-hypervisor-ovf --update` writes what is missing or has changed, to be looked at with git diff. */
#include "base/error.h"
#include "host/hypervisor/ovf.h"
#include "host/hypervisor/xml.h"
#include "plan/export.h"
#include <string.h>

static bool update;
static char *golden_dir;

static char *golden_path(const char *name, const char *suffix)
{
  return g_strdup_printf("%s/%s%s", golden_dir, name, suffix);
}

static void expect(const char *name, const char *text)
{
  g_autofree char *path = golden_path(name, ".ovf"), *golden = NULL;
  g_file_get_contents(path, &golden, NULL, NULL);
  if (update && g_strcmp0(golden, text) != 0) {
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return;
  }
  if (!golden)
    g_error("%s is missing: run this test with --update and look at what it writes", path);
  g_assert_cmpstr(text, ==, golden);
}

/* Whatever a person has typed, the document is one, and says the same. */
static void expect_readable(const WsRpcVolumeExport *vm, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(xmlDoc) doc = virt_xml_parse(text, &error);
  g_assert_no_error(error);
  const xmlNode *root = xmlDocGetRootElement(doc);
  g_assert_cmpstr(virt_xml_path_text(root, "VirtualSystem/Name"), ==, vm->name);
  if (vm->description)
    g_assert_cmpstr(virt_xml_path_text(root, "VirtualSystem/AnnotationSection/Annotation"), ==, vm->description);
}

static void machine(gconstpointer data)
{
  const char *name = data;
  g_autoptr(GError) error = NULL;
  g_autofree char *path = golden_path(name, ".json"), *json = NULL;
  g_assert_true(g_file_get_contents(path, &json, NULL, NULL));
  g_autoptr(WsRpcVolumeExport) vm = ws_rpc_volume_export_parse(json, strlen(json), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  ExportedDisk disks[64];
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < vm->disks.len; i++) {
    g_ptr_array_add(names, g_strdup_printf("%s-disk%u.vmdk", vm->stem, i + 1));
    disks[i] = (ExportedDisk){names->pdata[i], 1000 + i, (G_GUINT64_CONSTANT(10) << 30) + i * 512};
  }
  g_autofree char *text = virt_ovf(vm, disks, vm->disks.len);
  expect(name, text);
  expect_readable(vm, text);
}

/* So much that the file always fits, and the largest disk beside it. */
static void room_is_for_what_cannot_be_packed(void)
{
  const guint64 gib = G_GUINT64_CONSTANT(1) << 30;
  const PlanExportDisk disks[] = {{2 * gib, 10 * gib}, {20 * gib, 8 * gib}, {0, gib}};
  guint64 whole = plan_export_bytes(disks, 3), peak = plan_export_peak_bytes(disks, 3);
  g_assert_cmpuint(whole, >, 10 * gib + 10 * gib / 128); /* what lies in the chain twice counts once */
  g_assert_cmpuint(whole, <, 10 * gib * 9 / 8 + gib / 100);
  g_assert_cmpuint(peak - whole, ==, plan_export_bytes(&disks[1], 1) - plan_export_bytes(NULL, 0));
  g_assert_cmpuint(plan_export_peak_bytes(NULL, 0), ==, plan_export_bytes(NULL, 0));
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int main(int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--update") == 0) {
      update = true;
      argv[i] = argv[--argc];
    }
  g_test_init(&argc, &argv, NULL);
  golden_dir = g_test_build_filename(G_TEST_DIST, "..", "golden", "ovf", NULL);
  GDir *dir = g_dir_open(golden_dir, 0, NULL);
  g_assert_nonnull(dir);
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (const char *file; (file = g_dir_read_name(dir));)
    if (g_str_has_suffix(file, ".json"))
      g_ptr_array_add(names, g_strndup(file, strlen(file) - strlen(".json")));
  g_dir_close(dir);
  g_ptr_array_sort(names, compare_names);
  g_assert_cmpuint(names->len, >=, 4);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_strdup_printf("/hypervisor/ovf/%s", (char *)names->pdata[i]);
    g_test_add_data_func(path, names->pdata[i], machine);
  }
  g_test_add_func("/hypervisor/ovf/room_is_for_what_cannot_be_packed", room_is_for_what_cannot_be_packed);
  int status = g_test_run();
  g_ptr_array_unref(names);
  g_free(golden_dir);
  return status;
}
