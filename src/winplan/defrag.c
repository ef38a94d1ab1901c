// SPDX-License-Identifier: Apache-2.0
/* winplan defrag: few moves that free slots for large VMs; and the generator of clusters with fragments. */
#include "plan/defrag.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "plan/chance.h"
#include "winplan/numa.h"
#include "winplan/winplan.h"
#include <stdio.h>
#include <string.h>

static Numa *read_cluster(const Options *o, GError **error)
{
  gsize n;
  g_autofree char *text = winplan_read(o->file, &n, error);
  return text ? numa_read(o->file, text, n, error) : NULL;
}

static void print_step(const Numa *numa, guint number, const PlanDefragStep *s)
{
  static const char *const on[] = {"0", "1"};
  bool both = numa->cluster.vms[s->vm].both;
  printf("  %3u. %s %s/%s => %s/%s %" G_GINT64_FORMAT "\n", number, numa->vm_names[s->vm], numa->host_names[s->from / 2], both ? "both" : on[s->from % 2],
         numa->host_names[s->to / 2], both ? "both" : on[s->to % 2], s->slots);
}

int winplan_defrag(const Options *o)
{
  GError *error = NULL;
  g_autoptr(Numa) numa = read_cluster(o, &error);
  if (!numa)
    return winplan_complain(error);
  gint64 read_us = ws_clock_monotonic_us(ws_clock_system());
  PlanDefragResult result;
  plan_defrag(&numa->cluster, o->limit ? o->limit : G_MAXUINT32, o->seed, &result);
  gint64 done_us = ws_clock_monotonic_us(ws_clock_system());
  for (guint32 k = 0; k < result.n_steps; k++)
    print_step(numa, k + 1, &result.steps[k]);
  printf("Slots of %" G_GINT64_FORMAT " CPUs: from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT "\n", numa->cluster.slot_cpus, result.slots_before, result.slots_after);
  printf("Solution length=%u\n", result.n_steps);
  printf("Read in %.3f s, planned in %.3f s\n", (double)(read_us - o->begin_us) / G_USEC_PER_SEC, (double)(done_us - read_us) / G_USEC_PER_SEC);
  plan_defrag_result_clear(&result);
  return 0;
}

/* ---- clusters with fragments ----
 *
 * Hosts of two sockets that were filled, first fit from anywhere, with a third more than what they keep; then VMs went as they came, by chance. */

#define NODE_CPUS       44
#define NODE_MEMORY_GIB 176
#define BLOW            4 / 3

typedef struct {
  const char *name;
  guint n;
  struct {
    guint share, cpus; /* CPUs above LARGEST: half on each node */
  } sizes[6];
} Mix;

#define LARGEST 22 /* on one node */

static const Mix mixes[] = {
    {"small", 4, {{30, 2}, {35, 4}, {25, 8}, {10, 16}}},
    {"mixed", 5, {{30, 2}, {25, 4}, {22, 8}, {15, 16}, {8, 32}}},
    {"large", 5, {{15, 4}, {35, 8}, {30, 16}, {12, 32}, {8, 64}}},
    {"odd", 6, {{20, 1}, {20, 3}, {20, 6}, {20, 10}, {12, 12}, {8, 24}}},
};

typedef struct {
  guint cpus, host, node;
  bool both, stays;
} Vm;

static bool find_room(gint *free_cpus, guint n_hosts, guint start, Vm *v)
{
  for (guint k = 0; k < n_hosts * 2; k += v->both ? 2 : 1) {
    guint at = (start * 2 + k) % (n_hosts * 2);
    gint each = (gint)(v->both ? v->cpus / 2 : v->cpus);
    if (free_cpus[at] < each || (v->both && free_cpus[at + 1] < each))
      continue;
    free_cpus[at] -= each;
    free_cpus[at + 1] -= v->both ? each : 0;
    v->host = at / 2;
    v->node = at % 2;
    return true;
  }
  return false;
}

static guint draw_size(PlanChance *c, const Mix *mix)
{
  guint x = plan_chance_below(c, 100), k = 0;
  while (k + 1 < mix->n && x >= mix->sizes[k].share)
    x -= mix->sizes[k++].share;
  return mix->sizes[k].cpus;
}

static void write_numa(GString *out, const Mix *mix, guint n_hosts, guint n_vms, guint64 seed)
{
  PlanChance c;
  plan_chance_seed(&c, seed);
  guint n = n_vms * BLOW, made = 0;
  g_autofree gint *free_cpus = g_new(gint, (gsize)n_hosts * 2 + 1);
  g_autofree Vm *vms = g_new0(Vm, (gsize)n + 1);
  for (guint k = 0; k < n_hosts * 2; k++)
    free_cpus[k] = NODE_CPUS;
  for (guint k = 0; k < n; k++) {
    Vm v = {.cpus = draw_size(&c, mix), .stays = true};
    v.both = v.cpus > LARGEST;
    if (find_room(free_cpus, n_hosts, plan_chance_below(&c, n_hosts), &v))
      vms[made++] = v;
  }
  for (guint left = made, wanted = MIN(n_vms, made * 3 / 4); left > wanted;) {
    guint k = plan_chance_below(&c, made);
    left -= vms[k].stays;
    vms[k].stays = false;
  }
  g_string_append(out, "slot 16 0\n");
  for (guint h = 0; h < n_hosts; h++)
    g_string_append_printf(out, "host host%u %d %d %d %d\n", h, NODE_CPUS, NODE_MEMORY_GIB, NODE_CPUS, NODE_MEMORY_GIB);
  for (guint k = 0; k < made; k++)
    if (vms[k].stays)
      g_string_append_printf(out, "vm vm%u %u %u host%u %s\n", k, vms[k].cpus, vms[k].cpus * 4, vms[k].host, vms[k].both ? "both" : vms[k].node ? "1" : "0");
}

int winplan_generate_numa(const Options *o)
{
  GError *error = NULL;
  const Mix *mix = NULL;
  for (guint k = 0; k < G_N_ELEMENTS(mixes); k++)
    if (strcmp(mixes[k].name, o->mix ? o->mix : "mixed") == 0)
      mix = &mixes[k];
  if (!mix) {
    (void)ws_fail(&error, WS_ERROR_BAD_VALUE, "field", "--mix", "expected", "small, mixed, large or odd", NULL);
    return winplan_complain(error);
  }
  g_autoptr(GString) out = g_string_new(NULL);
  write_numa(out, mix, o->hosts, o->vms ? o->vms : o->hosts * 7, o->seed);
  return ws_file_write(o->out, out->str, out->len, 0644, &error) ? 0 : winplan_complain(error);
}
