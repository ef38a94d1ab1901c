// SPDX-License-Identifier: Apache-2.0
/* Reading clusters of hosts with NUMA nodes. See numa.h. */
#include "winplan/numa.h"
#include "base/error.h"
#include <string.h>

#define NUMBER_MAX ((guint64)1 << 40) /* sums of all fit into 63 bits */
#define HOSTS_MAX  100000
#define VMS_MAX    4000000

typedef struct {
  const char *name;
  guint line;
  GHashTable *hosts, *vms; /* name -> number + 1; owned by the lists of names */
  GPtrArray *host_names, *vm_names;
  GArray *nodes, *rows;    /* PlanNumaNode, PlanNumaVm */
  gint64 slot_cpus, slot_memory;
} Reader;

static bool refuse(const Reader *r, const char *expected, GError **error)
{
  g_autofree char *field = g_strdup_printf("%s:%u", r->name, r->line);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", expected, NULL);
}

static bool take_numbers(const Reader *r, char **words, guint n, gint64 *values, GError **error)
{
  for (guint k = 0; k < n; k++) {
    guint64 value;
    if (!g_ascii_string_to_unsigned(words[k], 10, 0, NUMBER_MAX, &value, NULL))
      return refuse(r, "a whole number that is not negative", error);
    values[k] = (gint64)value;
  }
  return true;
}

static bool add_name(const Reader *r, GHashTable *names, GPtrArray *list, const char *name, GError **error)
{
  if (g_hash_table_contains(names, name))
    return refuse(r, "a name that is not there yet", error);
  char *own = g_strdup(name);
  g_ptr_array_add(list, own);
  g_hash_table_insert(names, own, GUINT_TO_POINTER(list->len));
  return true;
}

static bool read_slot(Reader *r, char **words, guint n, GError **error)
{
  gint64 v[2];
  if (n != 3 || r->slot_cpus)
    return refuse(r, "slot CPUS MEMORY, once", error);
  if (!take_numbers(r, words + 1, 2, v, error))
    return false;
  r->slot_cpus = v[0];
  r->slot_memory = v[1];
  return v[0] > 0 || refuse(r, "at least one CPU", error);
}

static bool read_host(Reader *r, char **words, guint n, GError **error)
{
  gint64 v[4] = {0};
  if ((n != 4 && n != 6) || !r->slot_cpus)
    return refuse(r, r->slot_cpus ? "host NAME CPUS MEMORY [CPUS MEMORY]" : "slot CPUS MEMORY before all", error);
  if (r->host_names->len == HOSTS_MAX)
    return refuse(r, "fewer hosts", error);
  if (!take_numbers(r, words + 2, n - 2, v, error) || !add_name(r, r->hosts, r->host_names, words[1], error))
    return false;
  PlanNumaNode nodes[] = {{v[0], v[1]}, {v[2], v[3]}};
  g_array_append_vals(r->nodes, nodes, 2);
  return true;
}

static bool take_node(const Reader *r, const char *word, guint32 host, PlanNumaVm *vm, GError **error)
{
  vm->both = strcmp(word, "both") == 0;
  vm->node = host * 2 + (strcmp(word, "1") == 0);
  if (!vm->both && strcmp(word, "0") != 0 && strcmp(word, "1") != 0)
    return refuse(r, "0, 1 or both", error);
  if (vm->both && (vm->cpus % 2 || vm->memory % 2))
    return refuse(r, "even numbers, for two nodes", error);
  vm->cpus /= vm->both ? 2 : 1;
  vm->memory /= vm->both ? 2 : 1;
  return true;
}

static bool read_vm(Reader *r, char **words, guint n, GError **error)
{
  gint64 v[2];
  if (n != 6)
    return refuse(r, "vm NAME CPUS MEMORY HOST NODE", error);
  if (r->vm_names->len == VMS_MAX)
    return refuse(r, "fewer VMs", error);
  guint32 host = GPOINTER_TO_UINT(g_hash_table_lookup(r->hosts, words[4]));
  if (!host)
    return refuse(r, "a host above", error);
  if (!take_numbers(r, words + 2, 2, v, error))
    return false;
  PlanNumaVm vm = {.cpus = v[0], .memory = v[1]};
  if (!take_node(r, words[5], host - 1, &vm, error) || !add_name(r, r->vms, r->vm_names, words[1], error))
    return false;
  for (guint k = 0; k <= vm.both; k++) {
    PlanNumaNode *node = &g_array_index(r->nodes, PlanNumaNode, vm.node + k); /* what is left, while reading */
    node->cpus -= vm.cpus;
    node->memory -= vm.memory;
    if (node->cpus < 0 || node->memory < 0)
      return refuse(r, "VMs that have room on their nodes", error);
  }
  g_array_append_val(r->rows, vm);
  return true;
}

static bool read_line(Reader *r, char *line, GError **error)
{
  static const struct {
    const char *word;
    bool (*read)(Reader *, char **, guint, GError **);
  } kinds[] = {{"slot", read_slot}, {"host", read_host}, {"vm", read_vm}};
  char *comment = strchr(line, '#');
  if (comment)
    *comment = 0;
  g_auto(GStrv) all = g_strsplit_set(line, " \t\r", -1);
  guint n = 0;
  g_autofree char **words = g_new0(char *, g_strv_length(all) + 1); /* borrowed from all */
  for (guint k = 0; all[k]; k++)
    if (*all[k])
      words[n++] = all[k];
  if (n == 0)
    return true;
  for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
    if (strcmp(words[0], kinds[k].word) == 0)
      return kinds[k].read(r, words, n, error);
  return refuse(r, "slot, host or vm", error);
}

static bool read_all(Reader *r, const char *text, gsize n, GError **error)
{
  const char *end = text + n;
  for (r->line = 1; text < end; r->line++) {
    const char *next = memchr(text, '\n', (gsize)(end - text));
    g_autofree char *line = g_strndup(text, (gsize)((next ? next : end) - text));
    if (!read_line(r, line, error))
      return false;
    text = next ? next + 1 : end;
  }
  r->line--;
  return r->host_names->len || refuse(r, "at least one host", error);
}

Numa *numa_read(const char *name, const char *text, gsize n, GError **error)
{
  Reader r = {.name = name, .hosts = g_hash_table_new(g_str_hash, g_str_equal), .vms = g_hash_table_new(g_str_hash, g_str_equal),
              .host_names = g_ptr_array_new_with_free_func(g_free), .vm_names = g_ptr_array_new_with_free_func(g_free),
              .nodes = g_array_new(FALSE, FALSE, sizeof(PlanNumaNode)), .rows = g_array_new(FALSE, FALSE, sizeof(PlanNumaVm))};
  Numa *numa = NULL;
  if (read_all(&r, text, n, error)) {
    numa = g_new0(Numa, 1);
    PlanNumaCluster *c = &numa->cluster;
    *c = (PlanNumaCluster){.n_hosts = r.host_names->len, .n_vms = r.vm_names->len, .slot_cpus = r.slot_cpus, .slot_memory = r.slot_memory};
    c->nodes = (PlanNumaNode *)(void *)g_array_free(g_steal_pointer(&r.nodes), FALSE);
    c->vms = (PlanNumaVm *)(void *)g_array_free(g_steal_pointer(&r.rows), FALSE);
    for (guint32 v = 0; v < c->n_vms; v++)
      for (guint k = 0; k <= c->vms[v].both; k++) {
        c->nodes[c->vms[v].node + k].cpus += c->vms[v].cpus;
        c->nodes[c->vms[v].node + k].memory += c->vms[v].memory;
      }
    g_ptr_array_add(r.host_names, NULL);
    g_ptr_array_add(r.vm_names, NULL);
    numa->host_names = (char **)g_ptr_array_free(g_steal_pointer(&r.host_names), FALSE);
    numa->vm_names = (char **)g_ptr_array_free(g_steal_pointer(&r.vm_names), FALSE);
  }
  g_hash_table_destroy(r.hosts);
  g_hash_table_destroy(r.vms);
  if (r.host_names)
    g_ptr_array_free(r.host_names, TRUE);
  if (r.vm_names)
    g_ptr_array_free(r.vm_names, TRUE);
  if (r.nodes)
    g_array_free(r.nodes, TRUE);
  if (r.rows)
    g_array_free(r.rows, TRUE);
  return numa;
}

void numa_free(Numa *numa)
{
  if (!numa)
    return;
  g_free(numa->cluster.nodes);
  g_free(numa->cluster.vms);
  g_strfreev(numa->host_names);
  g_strfreev(numa->vm_names);
  g_free(numa);
}
