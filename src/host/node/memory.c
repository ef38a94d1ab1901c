// SPDX-License-Identifier: Apache-2.0
/* Memory and NUMA nodes with their huge pages. */
#include "host/node/node-private.h"
#include <stdio.h>
#include <string.h>

static gint64 kib_value(const char *text, const char *key)
{
  const char *at = text ? strstr(text, key) : NULL;
  return at ? g_ascii_strtoll(at + strlen(key), NULL, 10) * 1024 : WS_INT_UNSET;
}

static void read_hugepages(const char *root, gint64 node, WsHostNumaNode *n)
{
  g_auto(GStrv) sizes = tree_list(root, "/sys/devices/system/node/node%" G_GINT64_FORMAT "/hugepages", node);
  for (char **size = sizes; *size; size++) {
    guint64 kib;
    if (sscanf(*size, "hugepages-%" G_GUINT64_FORMAT "kB", &kib) != 1 || n->hugepages.len == 16)
      continue;
    WsHostHugepages *h = ws_host_hugepages_new();
    h->size_bytes = (gint64)kib * 1024;
    h->total = tree_read_int(
        root, 0, "/sys/devices/system/node/node%" G_GINT64_FORMAT "/hugepages/%s/nr_hugepages", node, *size);
    h->free = tree_read_int(root, 0,
                            "/sys/devices/system/node/node%" G_GINT64_FORMAT "/hugepages/%s/free_hugepages",
                            node, *size);
    ws_array_add(&n->hugepages, h);
  }
}

static WsHostNumaNode *read_node(const char *root, gint64 id)
{
  WsHostNumaNode *n = ws_host_numa_node_new();
  n->id = id;
  g_autofree char *list = tree_read(root, "/sys/devices/system/node/node%" G_GINT64_FORMAT "/cpulist", id);
  g_autofree char *meminfo = tree_read(root, "/sys/devices/system/node/node%" G_GINT64_FORMAT "/meminfo", id);
  g_autofree char *distance =
      tree_read(root, "/sys/devices/system/node/node%" G_GINT64_FORMAT "/distance", id);
  g_autoptr(GArray) cpus = tree_parse_cpu_list(list);
  for (guint i = 0; i < cpus->len; i++)
    ws_array_add(&n->cpus, g_array_index(cpus, gint64, i));
  n->memory_bytes = kib_value(meminfo, "MemTotal:");
  g_auto(GStrv) distances = g_strsplit(distance ? distance : "", " ", -1);
  for (char **d = distances; *d; d++)
    if (**d)
      ws_array_add(&n->distances, g_ascii_strtoll(*d, NULL, 10));
  read_hugepages(root, id, n);
  return n;
}

void node_read_memory(const char *root, WsHostFacts *facts)
{
  g_autofree char *meminfo = tree_read(root, "/proc/meminfo");
  facts->memory_bytes = kib_value(meminfo, "MemTotal:");
  g_autofree char *online = tree_read(root, "/sys/devices/system/node/online");
  g_autoptr(GArray) nodes = tree_parse_cpu_list(online);
  for (guint i = 0; i < nodes->len; i++)
    ws_array_add(&facts->numa_nodes, read_node(root, g_array_index(nodes, gint64, i)));
}
