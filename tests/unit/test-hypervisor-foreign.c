// SPDX-License-Identifier: Apache-2.0
/* Domain XML that others wrote, or libvirt of a running guest: what is understood of it, and what stands against adoption.
 *
 *   tests/golden/domain-foreign/NAME.xml -> NAME.json   spec, blockers, host interfaces
 *
 * A name with "refused-" has an error instead. `test-hypervisor-foreign --update` writes what is missing or has changed. */
#include "host/hypervisor/domain.h"
#include "base/error.h"
#include <jansson.h>
#include <string.h>

static bool update;
static char *golden_dir;

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  return g_strdup_printf("/pools/%" G_GUINT64_FORMAT "/%s", pool, file);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  if (!g_str_has_prefix(path, "/pools/3/"))
    return false;
  *pool = 3;
  *file = g_path_get_basename(path);
  return true;
}

static const VirtHost host = {
  .native = WS_VM_SPEC_ARCHITECTURE_X86_64,
  .kvm = true,
  .seed_dir = "/var/lib/winsphere/seeds",
  .pool_file = pool_file,
  .find_pool = find_pool,
};

static json_t *strings(GPtrArray *texts)
{
  json_t *list = json_array();
  for (guint i = 0; i < texts->len; i++)
    json_array_append_new(list, json_string(texts->pdata[i]));
  return list;
}

static char *describe(const VirtDomain *domain)
{
  g_autofree char *spec = ws_object_to_json(&ws_type_vm_spec, domain->spec, WS_WRITE_STORED, NULL);
  json_t *taps = json_object(), *devs = json_object(), *root = json_object();
  for (guint i = 0; i < domain->taps->len; i++) {
    const WsVmTap *tap = domain->taps->pdata[i];
    json_object_set_new(taps, tap->nic, json_string(tap->device));
  }
  GHashTableIter iter;
  gpointer key, dev;
  g_hash_table_iter_init(&iter, domain->devs);
  while (g_hash_table_iter_next(&iter, &key, &dev))
    json_object_set_new(devs, key, json_string(dev));
  json_object_set_new(root, "domain_name", json_string(domain->domain_name));
  json_object_set_new(root, "live", json_boolean(domain->live));
  json_object_set_new(root, "blockers", strings(domain->blockers));
  json_object_set_new(root, "taps", taps);
  json_object_set_new(root, "devs", devs);
  json_object_set_new(root, "spec", json_loads(spec, 0, NULL));
  char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS), *line = g_strconcat(text, "\n", NULL);
  free(text);
  json_decref(root);
  return line;
}

static void foreign(gconstpointer data)
{
  const char *name = data;
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_strdup_printf("%s/%s.xml", golden_dir, name), *xml = NULL, *golden = NULL;
  g_autofree char *golden_path = g_strdup_printf("%s/%s.json", golden_dir, name);
  g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
  g_autoptr(VirtDomain) domain = virt_domain_parse(xml, &host, &error);
  g_assert_cmpint(domain == NULL, ==, g_str_has_prefix(name, "refused-"));
  g_autofree char *text = domain ? describe(domain) : g_strdup_printf("\"%s\"\n", error->message);
  g_file_get_contents(golden_path, &golden, NULL, NULL);
  if (update && g_strcmp0(golden, text) != 0)
    g_assert_true(g_file_set_contents(golden_path, text, -1, NULL));
  else
    g_assert_cmpstr(text, ==, golden);
}

/* What is read from a running guest and from its definition differs in what waits for a restart. */
static void difference_names_the_fields(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_strdup_printf("%s/adopted.xml", golden_dir), *xml = NULL;
  g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
  g_autoptr(VirtDomain) live = virt_domain_parse(xml, &host, &error);
  g_autoptr(WsVmSpec) next = ws_vm_spec_copy(live->spec);
  g_free(next->name);
  next->name = g_strdup("other name"); /* never waits */
  next->memory_bytes *= 2;
  next->cpu->vcpus = next->cpu->max_vcpus = 3;
  next->disks.items[0]->cache = WS_VM_SPEC_DISK_CACHE_NONE;
  ws_vm_spec_nic_free(next->nics.items[--next->nics.len]);
  next->tpm = true;
  g_autoptr(GPtrArray) diff = virt_spec_diff(live->spec, next);
  g_ptr_array_add(diff, NULL);
  g_autofree char *all = g_strjoinv(" ", (char **)diff->pdata);
  g_assert_cmpstr(all, ==, "cpu.vcpus cpu.max_vcpus memory_bytes disks[stale].cache nics[uplink] tpm");
}

static int compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--update") == 0) {
      update = true;
      argv[i] = argv[--argc];
    }
  g_test_init(&argc, &argv, NULL);
  golden_dir = g_test_build_filename(G_TEST_DIST, "..", "golden", "domain-foreign", NULL);
  GDir *dir = g_dir_open(golden_dir, 0, NULL);
  g_assert_nonnull(dir);
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (const char *file; (file = g_dir_read_name(dir));)
    if (g_str_has_suffix(file, ".xml"))
      g_ptr_array_add(names, g_strndup(file, strlen(file) - strlen(".xml")));
  g_dir_close(dir);
  g_ptr_array_sort(names, compare_names);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_strdup_printf("/hypervisor/foreign/%s", (char *)names->pdata[i]);
    g_test_add_data_func(path, names->pdata[i], foreign);
  }
  g_test_add_func("/hypervisor/difference_names_the_fields", difference_names_the_fields);
  int status = g_test_run();
  g_ptr_array_unref(names);
  g_free(golden_dir);
  return status;
}
