// SPDX-License-Identifier: Apache-2.0
/* VM shapes and their domain XML, side by side in tests/golden/domain.
 *
 *   NAME.json -> NAME.xml       a spec and what libvirt gets; valid by libvirt's schema; read back it is the same spec
 *   NAME.json -> NAME.refused   a spec that cannot be, and the error
 *
 * A new case is a new .json; `test-hypervisor-domain --update` writes what is missing or has changed, to be looked at with
 * git diff. */
#include "host/hypervisor/domain.h"
#include "base/error.h"
#include "plan/live.h"
#include <string.h>

static bool update;
static char *golden_dir;

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  if (pool == 404) {
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", "pool-404", NULL);
    return NULL;
  }
  return g_strdup_printf("/pools/%" G_GUINT64_FORMAT "/%s", pool, file);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  return false;
}

static const VirtHost host = {
  .native = WS_VM_SPEC_ARCHITECTURE_X86_64,
  .kvm = false,
  .seed_dir = "/var/lib/winsphere/seeds",
  .serial_log_dir = "/var/log/winsphere/serial",
  .pool_file = pool_file,
  .find_pool = find_pool,
};

static char *golden_path(const char *name, const char *suffix)
{
  return g_strdup_printf("%s/%s%s", golden_dir, name, suffix);
}

static char *read_golden(const char *name, const char *suffix)
{
  g_autofree char *path = golden_path(name, suffix);
  char *text = NULL;
  g_file_get_contents(path, &text, NULL, NULL);
  return text;
}

/* Compares with the golden file, or writes it when asked to. */
static void expect(const char *name, const char *suffix, const char *text)
{
  g_autofree char *path = golden_path(name, suffix), *golden = read_golden(name, suffix);
  if (update && g_strcmp0(golden, text) != 0) {
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return;
  }
  if (!golden)
    g_error("%s is missing: run this test with --update and look at what it writes", path);
  g_assert_cmpstr(text, ==, golden);
}

static bool have_program(const char *name)
{
  g_autofree char *path = g_find_program_in_path(name);
  return path != NULL;
}

/* libvirt's own check. Its 9.0 schema has no loongarch64 yet, so there the document is checked as aarch64's. */
static void expect_valid(const char *name)
{
  if (!have_program("virt-xml-validate"))
    return;
  g_autofree char *path = golden_path(name, ".xml"), *text = read_golden(name, ".xml"), *temporary = NULL;
  g_autofree char *out = NULL, *err = NULL;
  if (strstr(text, "arch=\"loongarch64\"")) {
    GString *other = g_string_new(text);
    g_string_replace(other, "arch=\"loongarch64\"", "arch=\"aarch64\"", 0);
    temporary = g_strdup_printf("%s/ws-domain-%s.xml", g_get_tmp_dir(), name);
    g_assert_true(g_file_set_contents(temporary, other->str, -1, NULL));
    g_string_free(other, TRUE);
  }
  const char *argv[] = {"virt-xml-validate", temporary ? temporary : path, "domain", NULL};
  int status = -1;
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, NULL));
  if (temporary)
    unlink(temporary);
  if (status != 0)
    g_error("%s: %s%s", name, out, err);
}

static char *to_json(const WsVmSpec *spec)
{
  return ws_object_to_json(&ws_type_vm_spec, spec, WS_WRITE_STORED, NULL);
}

/* Built again with the places of the first definition, the document stays what it was: nothing moves. */
static void expect_stable(const WsVmSpec *spec, const char *xml)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(VirtPlaces) places = virt_places_new(xml);
  g_autofree char *again = virt_domain_xml(spec, &host, places, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(again, ==, xml);
}

static void shape(gconstpointer data)
{
  const char *name = data;
  g_autoptr(GError) error = NULL;
  g_autofree char *json = read_golden(name, ".json");
  g_autoptr(WsVmSpec) spec = ws_vm_spec_parse(json, strlen(json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  virt_spec_fill(spec, &host);
  g_autofree char *xml = virt_spec_check(spec, &error) ? virt_domain_xml(spec, &host, NULL, &error) : NULL;
  if (g_str_has_prefix(name, "refused-")) {
    g_assert_null(xml);
    const char *field = ws_error_field(error);
    g_autofree char *text = g_strdup_printf("field: %s\n%s\n", field ? field : "-", error->message);
    expect(name, ".refused", text);
    return;
  }
  g_assert_no_error(error);
  expect(name, ".xml", xml);
  expect_valid(name);
  expect_stable(spec, xml);

  g_autoptr(VirtDomain) domain = virt_domain_parse(xml, &host, &error);
  g_assert_no_error(error);
  domain->spec->autostart = spec->autostart; /* libvirt keeps it beside the XML */
  g_autofree char *want = to_json(spec), *got = to_json(domain->spec);
  g_assert_cmpstr(got, ==, want);
  g_assert_true(ws_vm_spec_equal(domain->spec, spec));
  for (guint i = 0; i < domain->blockers->len; i++)
    g_error("%s: reading back, not understood: %s", name, (char *)domain->blockers->pdata[i]);
  g_autoptr(GPtrArray) diff = virt_spec_diff(spec, domain->spec);
  g_assert_cmpuint(diff->len, ==, 0);
}

/* A definition of an agent that knew no floor: the note tells of one, the weight does not. */
static void floor_that_was_never_given_is_told(void)
{
  static const char format[] = "<domain "
                               "type='kvm'%s><name>vm-7</name><uuid>6f1c2a34-9d0b-4c1e-8f77-0a1b2c3d4e5f</"
                               "uuid><memory>1048576</memory>"
                               "<metadata><ws:vm xmlns:ws='" VIRT_METADATA_URI
                               "' id='7' cpu_reservation_percent='200'/></metadata><vcpu>2</vcpu>%s"
                               "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>";
  g_autofree char *bare = g_strdup_printf(format, " id='3'", "");
  g_autofree char *heavy = g_strdup_printf(format, " id='3'", "<cputune><shares>2100</shares></cputune>");
  g_autoptr(GError) error = NULL;
  g_autoptr(VirtDomain) was = virt_domain_parse(bare, &host, &error),
                        is = virt_domain_parse(heavy, &host, &error);
  g_assert_no_error(error);
  g_assert_cmpint(was->cpu_weight, ==, VIRT_WEIGHT_NORMAL);
  g_assert_cmpint(is->cpu_weight, ==, virt_cpu_weight(is->spec->cpu));
  g_assert_cmpint(is->spec->cpu->shares, ==, was->spec->cpu->shares);
  g_autoptr(GPtrArray) waits = virt_domain_waits(was, is->spec), none = virt_domain_waits(is, is->spec);
  g_assert_cmpuint(none->len, ==, 0);
  g_assert_cmpuint(waits->len, ==, 1);
  g_assert_cmpstr(waits->pdata[0], ==, "cpu.reservation_percent");
}

/* What starts a host's VMs in their order is none of a guest's business, on the host as in the forecast. */
static void what_a_guest_does_not_see_never_waits(void)
{
  static const char json[] =
      "{\"name\":\"vm\",\"uuid\":\"6f1c2a34-9d0b-4c1e-8f77-0a1b2c3d4e5f\",\"architecture\":\"x86_64\","
      "\"cpu\":{\"vcpus\":1},\"memory_bytes\":1073741824}";
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) live = ws_vm_spec_parse(json, strlen(json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  virt_spec_fill(live, &host);
  g_autoptr(WsVmSpec) next = ws_vm_spec_copy(live);
  next->start_order = 5;
  next->autostart = !next->autostart;
  g_autoptr(GPtrArray) diff = virt_spec_diff(live, next), waits = live_waits(live, next, false);
  g_assert_cmpuint(diff->len, ==, 0);
  g_assert_cmpuint(waits->len, ==, 0);
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
  golden_dir = g_test_build_filename(G_TEST_DIST, "..", "golden", "domain", NULL);
  GDir *dir = g_dir_open(golden_dir, 0, NULL);
  g_assert_nonnull(dir);
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (const char *file; (file = g_dir_read_name(dir));)
    if (g_str_has_suffix(file, ".json"))
      g_ptr_array_add(names, g_strndup(file, strlen(file) - strlen(".json")));
  g_dir_close(dir);
  g_ptr_array_sort(names, compare_names);
  g_assert_cmpuint(names->len, >=, 60);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_strdup_printf("/hypervisor/domain/%s", (char *)names->pdata[i]);
    g_test_add_data_func(path, names->pdata[i], shape);
  }
  g_test_add_func("/hypervisor/domain-notes/floor_that_was_never_given_is_told",
                  floor_that_was_never_given_is_told);
  g_test_add_func("/hypervisor/domain-notes/what_a_guest_does_not_see_never_waits",
                  what_a_guest_does_not_see_never_waits);
  int status = g_test_run();
  g_ptr_array_unref(names);
  g_free(golden_dir);
  return status;
}
