// SPDX-License-Identifier: Apache-2.0
/* Load: differences of the kernel's counters between two samples. A sample reads some ten files, however many devices
 * there are: /proc/self/net/dev and /proc/diskstats tell of all at once. */
#include "host/node/node-private.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  guint64 busy, iowait, total; /* ticks */
} CpuTicks;

typedef struct {
  char name[64];
  guint64 v[6];
} Counters;

typedef struct {
  gint64 id;
  GArray *cpus; /* gint64 */
} CpuNode;

typedef struct {
  gint64 at_us;
  CpuTicks all;
  GArray *cpus;  /* CpuTicks by number */
  GArray *nics;  /* Counters: rx bytes, packets, errors + drops, tx the same */
  GArray *disks; /* Counters: reads, sectors read, writes, sectors written, ms busy, - */
} Sample;

struct NodeSampler {
  char *root;
  WsClock *clock;
  GArray *nodes; /* CpuNode */
  Sample last;
};

/* ---- reading ---- */

static void read_cpus(const char *root, Sample *s)
{
  g_autofree char *text = tree_read_long(root, "/proc/stat");
  s->cpus = g_array_new(FALSE, TRUE, sizeof(CpuTicks));
  for (const char *line = text; line && g_str_has_prefix(line, "cpu");
       line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    guint64 v[8] = {0}; /* user nice system idle iowait irq softirq steal; guest times are in user already */
    char *at = (char *)line + 3;
    guint number = g_ascii_isdigit(*at) ? (guint)g_ascii_strtoull(at, &at, 10) : G_MAXUINT;
    for (guint i = 0; i < G_N_ELEMENTS(v); i++)
      v[i] = g_ascii_strtoull(at, &at, 10);
    CpuTicks t = {.iowait = v[4], .busy = v[0] + v[1] + v[2] + v[5] + v[6] + v[7]};
    t.total = t.busy + v[3] + v[4];
    if (number == G_MAXUINT)
      s->all = t;
    else if (number < 65536) {
      if (s->cpus->len <= number)
        g_array_set_size(s->cpus, number + 1);
      g_array_index(s->cpus, CpuTicks, number) = t;
    }
  }
}

static void read_nics(const char *root, Sample *s)
{
  g_autofree char *text = tree_read_long(root, "/proc/self/net/dev");
  s->nics = g_array_new(FALSE, FALSE, sizeof(Counters));
  g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
  for (char **line = lines; *line; line++) {
    char *colon = strchr(*line, ':');
    if (!colon)
      continue;
    *colon = 0;
    g_strstrip(*line);
    guint64 v[12];
    char *at = colon + 1;
    for (guint i = 0; i < 12; i++)
      v[i] = g_ascii_strtoull(at, &at, 10);
    Counters c = {.v = {v[0], v[1], v[2] + v[3], v[8], v[9], v[10] + v[11]}};
    g_strlcpy(c.name, *line, sizeof c.name);
    g_array_append_val(s->nics, c);
  }
}

static void read_disks(const char *root, Sample *s)
{
  g_autofree char *text = tree_read_long(root, "/proc/diskstats");
  s->disks = g_array_new(FALSE, FALSE, sizeof(Counters));
  g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
  for (char **line = lines; *line; line++) {
    Counters c = {0};
    guint64 reads, sectors_read, writes, sectors_written, busy_ms;
    if (sscanf(*line,
               "%*u %*u %63s %" G_GUINT64_FORMAT " %*u %" G_GUINT64_FORMAT " %*u %" G_GUINT64_FORMAT
               " %*u %" G_GUINT64_FORMAT " %*u %*u %" G_GUINT64_FORMAT,
               c.name, &reads, &sectors_read, &writes, &sectors_written, &busy_ms) != 6)
      continue;
    guint64 v[] = {reads, sectors_read, writes, sectors_written, busy_ms};
    memcpy(c.v, v, sizeof v);
    g_array_append_val(s->disks, c);
  }
}

static Sample read_sample(const NodeSampler *sampler)
{
  Sample s = {.at_us = ws_clock_monotonic_us(sampler->clock)};
  read_cpus(sampler->root, &s);
  read_nics(sampler->root, &s);
  read_disks(sampler->root, &s);
  return s;
}

static void sample_clear(Sample *s)
{
  g_clear_pointer(&s->cpus, g_array_unref);
  g_clear_pointer(&s->nics, g_array_unref);
  g_clear_pointer(&s->disks, g_array_unref);
}

/* ---- differences ---- */

/* Counters that went back (a device came anew) count as standing still. */
static guint64 grown(guint64 before, guint64 now)
{
  return now >= before ? now - before : 0;
}

static gint64 per_second(guint64 before, guint64 now, gint64 interval_us)
{
  return (gint64)((double)grown(before, now) * G_USEC_PER_SEC / (double)interval_us + 0.5);
}

static double percent(guint64 part, guint64 whole)
{
  return whole ? MIN(round((double)part * 1000 / (double)whole) / 10, 100) : 0;
}

static const Counters *find(GArray *list, const char *name)
{
  for (guint i = 0; i < list->len; i++)
    if (strcmp(g_array_index(list, Counters, i).name, name) == 0)
      return &g_array_index(list, Counters, i);
  return NULL;
}

static void add_nodes(const NodeSampler *sampler, const Sample *now, WsHostLoad *load)
{
  for (guint i = 0; i < sampler->nodes->len; i++) {
    const CpuNode *node = &g_array_index(sampler->nodes, CpuNode, i);
    guint64 busy = 0, total = 0;
    for (guint k = 0; k < node->cpus->len; k++) {
      guint64 n = (guint64)g_array_index(node->cpus, gint64, k);
      if (n >= now->cpus->len || n >= sampler->last.cpus->len)
        continue;
      const CpuTicks *a = &g_array_index(sampler->last.cpus, CpuTicks, n),
                     *b = &g_array_index(now->cpus, CpuTicks, n);
      busy += grown(a->busy, b->busy);
      total += grown(a->total, b->total);
    }
    WsHostNumaLoad *l = ws_host_numa_load_new();
    l->id = node->id;
    l->cpu_percent = percent(busy, total);
    g_autofree char *meminfo =
        tree_read(sampler->root, "/sys/devices/system/node/node%" G_GINT64_FORMAT "/meminfo", node->id);
    const char *free_text = meminfo ? strstr(meminfo, "MemFree:") : NULL;
    l->memory_free_bytes = free_text ? g_ascii_strtoll(free_text + 8, NULL, 10) * 1024 : WS_INT_UNSET;
    ws_array_add(&load->numa_nodes, l);
  }
}

static void add_nics(const NodeSampler *sampler, const Sample *now, gint64 us, WsHostLoad *load)
{
  for (guint i = 0; i < now->nics->len; i++) {
    const Counters *b = &g_array_index(now->nics, Counters, i), *a = find(sampler->last.nics, b->name);
    if (!a || !node_shows_nic(sampler->root, b->name))
      continue;
    WsHostNicLoad *l = ws_host_nic_load_new();
    l->name = g_strdup(b->name);
    l->rx_bytes_per_s = per_second(a->v[0], b->v[0], us);
    l->rx_packets_per_s = per_second(a->v[1], b->v[1], us);
    l->tx_bytes_per_s = per_second(a->v[3], b->v[3], us);
    l->tx_packets_per_s = per_second(a->v[4], b->v[4], us);
    l->errors_per_s = per_second(a->v[2] + a->v[5], b->v[2] + b->v[5], us);
    ws_array_add(&load->nics, l);
  }
}

static void add_disks(const NodeSampler *sampler, const Sample *now, gint64 us, WsHostLoad *load)
{
  for (guint i = 0; i < now->disks->len; i++) {
    const Counters *b = &g_array_index(now->disks, Counters, i), *a = find(sampler->last.disks, b->name);
    if (!a || !node_shows_disk(sampler->root, b->name)) /* partitions are not in /sys/block */
      continue;
    WsHostDiskLoad *l = ws_host_disk_load_new();
    l->name = g_strdup(b->name);
    l->reads_per_s = per_second(a->v[0], b->v[0], us);
    l->read_bytes_per_s = per_second(a->v[1] * 512, b->v[1] * 512, us);
    l->writes_per_s = per_second(a->v[2], b->v[2], us);
    l->write_bytes_per_s = per_second(a->v[3] * 512, b->v[3] * 512, us);
    l->busy_percent = percent(grown(a->v[4], b->v[4]) * 1000, (guint64)us);
    ws_array_add(&load->disks, l);
  }
}

static gint64 kib_value(const char *text, const char *key)
{
  const char *at = text ? strstr(text, key) : NULL;
  return at ? g_ascii_strtoll(at + strlen(key), NULL, 10) * 1024 : 0;
}

static void add_memory(const NodeSampler *sampler, WsHostLoad *load)
{
  g_autofree char *meminfo = tree_read(sampler->root, "/proc/meminfo");
  gint64 total = kib_value(meminfo, "MemTotal:"), available = kib_value(meminfo, "MemAvailable:");
  load->memory_available_bytes = available;
  load->memory_used_bytes = total - available;
  load->swap_used_bytes = kib_value(meminfo, "SwapTotal:") - kib_value(meminfo, "SwapFree:");
}

/* ---- the door ---- */

NodeSampler *node_sampler_new(const char *root, WsClock *clock)
{
  NodeSampler *sampler = g_new0(NodeSampler, 1);
  sampler->root = g_strdup(root);
  sampler->clock = clock;
  sampler->nodes = g_array_new(FALSE, FALSE, sizeof(CpuNode));
  g_autofree char *online = tree_read(root, "/sys/devices/system/node/online");
  g_autoptr(GArray) ids = tree_parse_cpu_list(online);
  for (guint i = 0; i < ids->len; i++) {
    gint64 id = g_array_index(ids, gint64, i);
    g_autofree char *list = tree_read(root, "/sys/devices/system/node/node%" G_GINT64_FORMAT "/cpulist", id);
    CpuNode node = {id, tree_parse_cpu_list(list)};
    g_array_append_val(sampler->nodes, node);
  }
  sampler->last = read_sample(sampler);
  return sampler;
}

void node_sampler_free(NodeSampler *sampler)
{
  if (!sampler)
    return;
  for (guint i = 0; i < sampler->nodes->len; i++)
    g_array_unref(g_array_index(sampler->nodes, CpuNode, i).cpus);
  g_array_unref(sampler->nodes);
  sample_clear(&sampler->last);
  g_free(sampler->root);
  g_free(sampler);
}

WsHostLoad *node_sampler_take(NodeSampler *sampler)
{
  Sample now = read_sample(sampler);
  gint64 us = MAX(now.at_us - sampler->last.at_us, 1);
  guint64 total = grown(sampler->last.all.total, now.all.total);
  WsHostLoad *load = ws_host_load_new();
  load->sampled = ws_clock_wall_us(sampler->clock);
  load->interval_ms = us / 1000;
  load->cpu_percent = percent(grown(sampler->last.all.busy, now.all.busy), total);
  load->iowait_percent = percent(grown(sampler->last.all.iowait, now.all.iowait), total);
  g_autofree char *average = tree_read(sampler->root, "/proc/loadavg"),
                  *uptime = tree_read(sampler->root, "/proc/uptime");
  load->load_average = average ? g_ascii_strtod(average, NULL) : 0;
  load->uptime_s = uptime ? g_ascii_strtoll(uptime, NULL, 10) : WS_INT_UNSET;
  add_memory(sampler, load);
  add_nodes(sampler, &now, load);
  add_nics(sampler, &now, us, load);
  add_disks(sampler, &now, us, load);
  sample_clear(&sampler->last);
  sampler->last = now;
  return load;
}
