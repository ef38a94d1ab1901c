// SPDX-License-Identifier: Apache-2.0
/* What the guest agent says: whether it is there, what system and addresses the guest has.
 *
 * libvirt tells when the agent opens its channel; then it is asked, every 2 s until the guest has an address (two minutes at
 * most), afterwards once a minute. What it said is kept (VirtFacts.guest) and goes out with reports; a change is an event.
 *
 * An agent that is there but silent costs libvirt its time-out and a worker's thread; so few are asked at the same time, and a
 * silent one less and less often. What comes from the guest is text of a stranger: its length is bounded here. */
#include "host/hypervisor/hypervisor-private.h"
#include <gio/gio.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <string.h>

#define FAST_US       (2 * G_USEC_PER_SEC)
#define FAST_TIMES    60
#define SLOW_US       (60 * G_USEC_PER_SEC)
#define ASKING_MAX    4
#define ANSWER_S      5
#define TEXT_MAX      255
#define INTERFACES_MAX 64

/* ---- reading answers ---- */

static char *take_text(virTypedParameterPtr params, int n, const char *name, glong max)
{
  const char *text;
  if (virTypedParamsGetString(params, n, name, &text) != 1 || !*text)
    return NULL;
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  return g_utf8_strlen(valid, -1) > max ? g_utf8_substring(valid, 0, max) : g_steal_pointer(&valid);
}

static guint take_count(virTypedParameterPtr params, int n, const char *name)
{
  unsigned int count;
  return virTypedParamsGetUInt(params, n, name, &count) == 1 ? MIN(count, INTERFACES_MAX) : 0;
}

/* Neither loopback nor link-local: an address that others reach the guest by. */
static bool is_useful(const char *address)
{
  g_autoptr(GInetAddress) parsed = g_inet_address_new_from_string(address);
  return parsed && !g_inet_address_get_is_loopback(parsed) && !g_inet_address_get_is_link_local(parsed);
}

static void take_addresses(WsVmGuest *guest, WsVmGuestInterface *interface, virTypedParameterPtr params, int n, guint i)
{
  g_autofree char *count_name = g_strdup_printf("if.%u.addr.count", i);
  for (guint a = 0, count = take_count(params, n, count_name); a < count; a++) {
    g_autofree char *name = g_strdup_printf("if.%u.addr.%u.addr", i, a), *prefix_name = g_strdup_printf("if.%u.addr.%u.prefix", i, a);
    g_autofree char *address = take_text(params, n, name, 45);
    unsigned int prefix = 0;
    if (!address || !g_hostname_is_ip_address(address))
      continue;
    virTypedParamsGetUInt(params, n, prefix_name, &prefix);
    ws_array_add(&interface->ips, g_strdup_printf("%s/%u", address, prefix));
    if (is_useful(address) && guest->ips.len < INTERFACES_MAX)
      ws_array_add(&guest->ips, g_steal_pointer(&address));
  }
}

static void take_interfaces(WsVmGuest *guest, virTypedParameterPtr params, int n)
{
  for (guint i = 0, count = take_count(params, n, "if.count"); i < count; i++) {
    g_autofree char *name = g_strdup_printf("if.%u.name", i), *mac = g_strdup_printf("if.%u.hwaddr", i);
    WsVmGuestInterface *interface = ws_vm_guest_interface_new();
    interface->name = take_text(params, n, name, TEXT_MAX);
    interface->mac = take_text(params, n, mac, 17);
    take_addresses(guest, interface, params, n, i);
    ws_array_add(&guest->interfaces, interface);
  }
}

/* Version of the agent; the answer is JSON of the guest's. */
static char *ask_version(virDomainPtr domain)
{
  char *answer = virDomainQemuAgentCommand(domain, "{\"execute\":\"guest-info\"}", ANSWER_S, 0);
  json_t *root = answer ? json_loads(answer, 0, NULL) : NULL;
  const char *version = json_string_value(json_object_get(json_object_get(root, "return"), "version"));
  char *copy = version ? g_utf8_substring(version, 0, MIN(g_utf8_strlen(version, -1), 64)) : NULL;
  json_decref(root);
  free(answer);
  return copy;
}

/* NICs of the VM by MAC address, so that an interface can say which NIC it is. */
static void name_nics(Hypervisor *hv, virDomainPtr domain, WsVmGuest *guest)
{
  VirtHost host = virt_host(hv);
  char *xml = virt_xml(domain, true);
  g_autoptr(VirtDomain) live = xml ? virt_domain_parse(xml, &host, NULL) : NULL;
  free(xml);
  for (guint i = 0; live && i < guest->interfaces.len; i++) {
    WsVmGuestInterface *interface = guest->interfaces.items[i];
    for (guint n = 0; n < live->spec->nics.len; n++)
      if (interface->mac && !interface->nic && g_ascii_strcasecmp(live->spec->nics.items[n]->mac, interface->mac) == 0)
        interface->nic = g_strdup(live->spec->nics.items[n]->key);
  }
}

/* NULL: the agent did not answer. */
static WsVmGuest *ask(Hypervisor *hv, virDomainPtr domain, const char *known_version)
{
  virTypedParameterPtr params = NULL;
  int n = 0;
  virDomainAgentSetResponseTimeout(domain, ANSWER_S, 0);
  if (virDomainGetGuestInfo(domain, VIR_DOMAIN_GUEST_INFO_HOSTNAME | VIR_DOMAIN_GUEST_INFO_OS | VIR_DOMAIN_GUEST_INFO_INTERFACES,
                            &params, &n, 0) < 0 &&
      virDomainGetGuestInfo(domain, 0, &params, &n, 0) < 0) /* an old agent lacks one: then whatever it has */
    return NULL;
  WsVmGuest *guest = ws_vm_guest_new();
  guest->agent = WS_VM_GUEST_AGENT_CONNECTED;
  guest->hostname = take_text(params, n, "hostname", TEXT_MAX);
  guest->os_name = take_text(params, n, "os.pretty-name", TEXT_MAX);
  guest->kernel = take_text(params, n, "os.kernel-release", TEXT_MAX);
  guest->agent_version = known_version ? g_strdup(known_version) : ask_version(domain);
  take_interfaces(guest, params, n);
  name_nics(hv, domain, guest);
  virTypedParamsFree(params, n);
  return guest;
}

/* ---- keeping and telling ---- */

static void tell(Hypervisor *hv, const char *uuid, WsRpcVmEventKind kind)
{
  WsRpcVmEvent *event = ws_rpc_vm_event_new();
  event->uuid = g_strdup(uuid);
  event->kind = kind;
  event->guest = virt_facts_guest(hv, uuid);
  virt_emit(hv, event);
}

/* Takes `guest` as what is known now, unless the agent it is of came or went since `epoch`. Tells when it is news. */
static void keep(Hypervisor *hv, const char *uuid, WsVmGuest *guest, guint epoch)
{
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  bool current = facts->agent_epoch == epoch;
  bool same_agent = facts->guest && facts->guest->agent == guest->agent;
  guest->since = same_agent ? facts->guest->since : ws_clock_wall_us(hv->config.clock);
  bool news = current && !(facts->guest && ws_vm_guest_equal(facts->guest, guest));
  if (news) {
    ws_vm_guest_free(facts->guest);
    facts->guest = g_steal_pointer(&guest);
  }
  g_mutex_unlock(&hv->lock);
  ws_vm_guest_free(guest);
  if (news)
    tell(hv, uuid, same_agent ? WS_RPC_VM_EVENT_KIND_GUEST : WS_RPC_VM_EVENT_KIND_AGENT);
}

void virt_guest_connected(Hypervisor *hv, const char *uuid, bool connected)
{
  WsVmGuestAgent agent = connected ? WS_VM_GUEST_AGENT_CONNECTED : WS_VM_GUEST_AGENT_ABSENT;
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  WsVmGuestAgent before = facts->guest ? facts->guest->agent : 0;
  bool same = before == agent || (connected && before == WS_VM_GUEST_AGENT_SILENT);
  if (!same) {
    facts->ask_guest_us = 0;
    facts->guest_questions = 0;
    facts->agent_epoch++;
  }
  guint epoch = facts->agent_epoch;
  g_mutex_unlock(&hv->lock);
  if (same)
    return;
  WsVmGuest *guest = ws_vm_guest_new();
  guest->agent = agent;
  keep(hv, uuid, guest, epoch);
}

void virt_guest_gone(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  facts->agent_epoch++;
  g_clear_pointer(&facts->guest, ws_vm_guest_free);
  g_mutex_unlock(&hv->lock);
}

/* ---- one question ---- */

typedef struct {
  Hypervisor *hv; /* referenced */
  char *uuid;
  guint epoch;
} Question;

static void question_free(void *arg)
{
  Question *q = arg;
  virt_hv_unref(q->hv);
  g_free(q->uuid);
  g_free(q);
}

static void ended_asking(Question *q)
{
  g_mutex_lock(&q->hv->lock);
  VirtFacts *facts = virt_facts(q->hv, q->uuid);
  facts->asking_guest = false;
  facts->ask_guest_us = g_get_monotonic_time();
  facts->guest_questions++;
  g_mutex_unlock(&q->hv->lock);
}

static void ask_guest(void *arg)
{
  Question *q = arg;
  g_autoptr(WsVmGuest) known = virt_facts_guest(q->hv, q->uuid);
  g_autoptr(VirtConn) conn = virt_conn_acquire(q->hv, NULL);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, 0, q->uuid, NULL) : NULL;
  bool running = domain && virt_state(domain) == WS_POWER_STATE_RUNNING; /* one that stands still answers nothing, and is not silent for that */
  WsVmGuest *guest = running ? ask(q->hv, domain, known ? known->agent_version : NULL) : NULL;
  ended_asking(q);
  if (!guest && known && running) { /* what it said before may still be true, but not that it answers */
    guest = g_steal_pointer(&known);
    guest->agent = WS_VM_GUEST_AGENT_SILENT;
  }
  if (guest)
    keep(q->hv, q->uuid, guest, q->epoch);
}

/* ---- asking in time ---- */

static gint64 wait_us(const VirtFacts *facts)
{
  bool silent = facts->guest->agent == WS_VM_GUEST_AGENT_SILENT;
  if (silent)
    return SLOW_US * MIN(facts->guest_questions, 10);
  return facts->guest->ips.len > 0 || facts->guest_questions >= FAST_TIMES ? SLOW_US : FAST_US;
}

static bool is_due(const VirtFacts *facts, gint64 now_us)
{
  if (!facts->guest || facts->asking_guest)
    return false;
  if (facts->guest->agent != WS_VM_GUEST_AGENT_CONNECTED && facts->guest->agent != WS_VM_GUEST_AGENT_SILENT)
    return false;
  return facts->ask_guest_us == 0 || now_us - facts->ask_guest_us >= wait_us(facts);
}

void virt_guest_tick(Hypervisor *hv)
{
  g_autoptr(GPtrArray) due = g_ptr_array_new();
  gint64 now_us = g_get_monotonic_time();
  guint asking = 0;
  GHashTableIter iter;
  gpointer uuid, value;
  g_mutex_lock(&hv->lock);
  g_hash_table_iter_init(&iter, hv->facts);
  while (g_hash_table_iter_next(&iter, &uuid, &value))
    asking += ((VirtFacts *)value)->asking_guest;
  g_hash_table_iter_init(&iter, hv->facts);
  while (asking < ASKING_MAX && g_hash_table_iter_next(&iter, &uuid, &value)) {
    VirtFacts *facts = value;
    /* An answer that is on its way when the guest goes over arrives in two halves, and both libvirts call its channel broken from then on. */
    if (!is_due(facts, now_us) || virt_moves_has(hv, uuid))
      continue;
    facts->asking_guest = true;
    asking++;
    Question *q = g_new(Question, 1);
    *q = (Question){virt_hv_ref(hv), g_strdup(uuid), facts->agent_epoch};
    g_ptr_array_add(due, q);
  }
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < due->len; i++) {
    Question *q = due->pdata[i];
    g_autofree char *key = g_strconcat("guest ", q->uuid, NULL); /* not in line with the domain's events */
    virt_run(hv, key, ask_guest, q, question_free);
  }
}

/* ---- a new password ---- */

bool hypervisor_vm_set_password(Hypervisor *hv, const WsRpcVmSetPassword *params, GError **error)
{
  VirtConn *conn = virt_conn_acquire(hv, error);
  virDomainPtr domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  bool done = false;
  if (domain && virt_state(domain) != WS_POWER_STATE_RUNNING)
    virt_wrong_state(error, params->vm, params->uuid, "set a password in", virt_state(domain));
  else if (domain)
    done = virDomainSetUserPassword(domain, params->user, params->password, 0) == 0 ||
           virt_fail(error, params->vm, params->uuid, "set a password in");
  g_clear_pointer(&domain, virDomainFree);
  g_clear_pointer(&conn, virt_conn_release);
  return done;
}
