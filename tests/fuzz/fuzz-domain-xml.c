// SPDX-License-Identifier: Apache-2.0
/* A domain's XML as libvirt, or anybody who defined it, hands it over.
 *
 * What is understood must be a whole spec. What can be built from it is XML that is read back as the same spec, and the places of its devices
 * can be read from any text. */
#include "base/error.h"
#include "host/hypervisor/domain.h"
#include <libxml/xmlerror.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  return g_strdup_printf("/pools/%" G_GUINT64_FORMAT "/%s", pool, file);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  if (!g_str_has_prefix(path, "/pools/3/") || strchr(path + 9, '/') || !path[9])
    return false;
  *pool = 3;
  *file = g_strdup(path + 9);
  return true;
}

static const VirtHost host = {
  .native = WS_VM_SPEC_ARCHITECTURE_X86_64,
  .kvm = true,
  .seed_dir = "/seeds",
  .pool_file = pool_file,
  .find_pool = find_pool,
};

static char *text_of(const WsVmSpec *spec)
{
  return ws_object_to_json(&ws_type_vm_spec, spec, WS_WRITE_STORED, NULL);
}

static void say_nothing(void *arg, const char *format, ...)
{
}

/* There and back again. */
static void check_round(const VirtDomain *domain, const VirtPlaces *places)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *xml = virt_domain_xml(domain->spec, &host, places, &error);
  g_assert_nonnull(xml); /* this host's pools always resolve */
  g_autoptr(VirtDomain) again = virt_domain_parse(xml, &host, &error);
  g_assert_no_error(error);
  g_autofree char *before = text_of(domain->spec), *after = text_of(again->spec);
  g_assert_cmpstr(after, ==, before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *xml = g_strndup((const char *)data, n);
  xmlSetGenericErrorFunc(NULL, say_nothing);
  g_autoptr(VirtDomain) domain = virt_domain_parse(xml, &host, &error);
  g_autoptr(VirtPlaces) places = virt_places_new(xml);
  if (!domain) {
    g_assert_nonnull(error);
    return 0;
  }
  g_autofree char *text = text_of(domain->spec), *metadata = virt_metadata_xml(domain->spec, domain->devs);
  g_assert_true(text && metadata);
  if (virt_spec_check(domain->spec, &error) && domain->blockers->len == 0)
    check_round(domain, places);
  return 0;
}
