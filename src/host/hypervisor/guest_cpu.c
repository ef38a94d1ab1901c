// SPDX-License-Identifier: Apache-2.0
/* What guests can have of this host's processor, as libvirt and QEMU tell it: domain capabilities name the fullest model ("host-model") and
 * the models that can be had whole; both are spelled out into features by libvirt's own tables. Reading takes a call for each model, so it is
 * done on a worker, once for each time libvirt comes. */
#include "base/log.h"
#include "host/hypervisor/hypervisor-private.h"
#include <string.h>

typedef struct {
  VirtConn *conn;
  const char *arch, *machine, *type;
} Asked;

/* All features of a model with its exceptions, from a <cpu> as text; NULL: libvirt cannot. Of char *, owned. */
static GPtrArray *spell_out(const Asked *asked, const char *cpu)
{
  const char *cpus[] = {cpu};
  char *text = virConnectBaselineHypervisorCPU(asked->conn->c, NULL, asked->arch, asked->machine, asked->type, cpus, 1,
                                               VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES | VIR_CONNECT_BASELINE_CPU_MIGRATABLE);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, NULL) : NULL;
  free(text);
  if (!doc)
    return NULL;
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (const xmlNode *node = virt_xml_first(xmlDocGetRootElement(doc)); node; node = virt_xml_next(node))
    if (virt_xml_is(node, "feature") && g_strcmp0(virt_xml_get(node, "policy"), "disable") != 0)
      g_ptr_array_add(names, g_strdup(virt_xml_get(node, "name")));
  return names;
}

/* <mode name='host-model'> says what a guest would see, in the words of a <cpu>. */
static void read_host_model(WsHostGuestCpu *guest, const Asked *asked, const xmlNode *mode)
{
  const char *vendor = virt_xml_path_text(mode, "vendor");
  g_autoptr(GString) cpu = g_string_new("<cpu mode='custom' match='exact'>");
  xmlBuffer *buffer = xmlBufferCreate();
  for (const xmlNode *node = virt_xml_first(mode); node; node = virt_xml_next(node)) {
    xmlBufferEmpty(buffer);
    xmlNodeDump(buffer, node->doc, (xmlNode *)node, 0, 0);
    g_string_append(cpu, (const char *)xmlBufferContent(buffer));
  }
  xmlBufferFree(buffer);
  g_string_append(cpu, "</cpu>");
  g_autoptr(GPtrArray) features = spell_out(asked, cpu->str);
  guest->vendor = vendor && *vendor ? g_strdup(vendor) : NULL;
  if (!features)
    return;
  guest->features.len = features->len;
  guest->features.items = (char **)g_ptr_array_steal(features, NULL);
}

static void read_models(WsHostGuestCpu *guest, const Asked *asked, const xmlNode *mode)
{
  for (const xmlNode *node = virt_xml_first(mode); node; node = virt_xml_next(node)) {
    const char *name = node->children ? (const char *)node->children->content : NULL, *vendor = virt_xml_get(node, "vendor");
    if (!virt_xml_is(node, "model") || !name || g_strcmp0(virt_xml_get(node, "usable"), "yes") != 0)
      continue;
    g_autofree char *cpu = g_strdup_printf("<cpu mode='custom' match='exact'><model fallback='forbid'>%s</model></cpu>", name);
    g_autoptr(GPtrArray) features = spell_out(asked, cpu);
    WsHostGuestCpuModel *model = ws_host_guest_cpu_model_new();
    model->name = g_strdup(name);
    model->vendor = vendor && strcmp(vendor, "unknown") != 0 ? g_strdup(vendor) : NULL;
    model->features = features ? features->len : 0;
    ws_array_add(&guest->models, model);
  }
}

static WsHostGuestCpu *read_guest_cpu(Hypervisor *hv, VirtConn *conn)
{
  const VirtHost host = virt_host(hv);
  const VirtArch *arch = virt_arch(host.native);
  const Asked asked = {conn, arch->name, arch->machine, host.kvm ? "kvm" : "qemu"};
  char *text = virConnectGetDomainCapabilities(conn->c, NULL, asked.arch, asked.machine, asked.type, 0);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, NULL) : NULL;
  const xmlNode *cpu = doc ? virt_xml_child(xmlDocGetRootElement(doc), "cpu") : NULL;
  WsHostGuestCpu *guest = ws_host_guest_cpu_new();
  free(text);
  for (const xmlNode *mode = virt_xml_first(cpu); mode; mode = virt_xml_next(mode)) {
    if (g_strcmp0(virt_xml_get(mode, "supported"), "yes") != 0)
      continue;
    if (g_strcmp0(virt_xml_get(mode, "name"), "host-model") == 0)
      read_host_model(guest, &asked, mode);
    else if (g_strcmp0(virt_xml_get(mode, "name"), "custom") == 0)
      read_models(guest, &asked, mode);
  }
  return guest;
}

/* With the connection that has just been made: others may not be had yet. When it breaks meanwhile, the next one is asked. */
static void tell(void *arg)
{
  VirtConn *conn = arg;
  Hypervisor *hv = conn->hv;
  WsHostGuestCpu *guest = read_guest_cpu(hv, conn);
  if (guest->models.len) {
    hv->config.on_guest_cpu(guest, hv->config.arg);
    return;
  }
  ws_log(WS_LOG_WARNING, "guest-cpu-not-known", "cause", virGetLastErrorMessage(), NULL);
  ws_host_guest_cpu_free(guest);
}

void virt_guest_cpu_tell(VirtConn *conn)
{
  if (conn->hv->config.on_guest_cpu)
    virt_run(conn->hv, "guest-cpu", tell, virt_conn_ref(conn), virt_conn_unref);
}
