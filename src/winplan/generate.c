// SPDX-License-Identifier: Apache-2.0
/* winplan generate: a cluster in Ganeti's text format, seeded, with few hosts too full and many too empty, as clusters become that were filled one host
 * after the other; and the use of its VMs. */
#include "base/error.h"
#include "base/files.h"
#include "plan/chance.h"
#include "winplan/winplan.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MEMORY_MIB   262144
#define RESERVED_MIB 4096
#define DISK_MIB     8388608
#define CPUS         32

typedef struct {
  guint host, second, memory, disk, vcpus;
} Vm;

/* Squared: low numbers are taken more often. */
static guint skewed(PlanChance *c, guint n)
{
  double u = plan_chance_unit(c);
  return (guint)((0.35 * u + 0.65 * u * u) * n);
}

static bool fits(const guint64 *memory, const guint64 *disk, const guint *vcpus, const Vm *v)
{
  return memory[v->host] + v->memory <= MEMORY_MIB * 6 / 10 && disk[v->host] + v->disk <= DISK_MIB * 8 / 10 &&
         disk[v->second] + v->disk <= DISK_MIB * 8 / 10 && vcpus[v->host] + v->vcpus <= CPUS * 4;
}

static void write_cluster(GString *out, GString *use, guint n_hosts, guint n_vms, guint64 seed)
{
  static const guint sizes[] = {1024, 2048, 2048, 4096, 4096, 8192, 16384};
  PlanChance c;
  plan_chance_seed(&c, seed);
  g_autofree guint64 *memory = g_new0(guint64, n_hosts), *disk = g_new0(guint64, n_hosts);
  g_autofree guint *vcpus = g_new0(guint, n_hosts);
  g_autoptr(GString) instances = g_string_new(NULL);
  for (guint k = 0; k < n_vms; k++) {
    Vm v;
    do {
      v.host = skewed(&c, n_hosts);
      v.second = (v.host + 1 + plan_chance_below(&c, n_hosts - 1)) % n_hosts;
      v.memory = sizes[plan_chance_below(&c, G_N_ELEMENTS(sizes))];
      v.disk = 10240 << plan_chance_below(&c, 5);
      v.vcpus = 1 << plan_chance_below(&c, 4);
    } while (!fits(memory, disk, vcpus, &v));
    memory[v.host] += v.memory;
    disk[v.host] += v.disk;
    disk[v.second] += v.disk;
    vcpus[v.host] += v.vcpus;
    g_string_append_printf(instances, "vm%u|%u|%u|%u|running|Y|node%u|node%u|drbd||1\n", k, v.memory, v.disk, v.vcpus, v.host, v.second);
    g_string_append_printf(use, "vm%u", k);
    for (guint load = 0; load < 4; load++)
      g_string_append_printf(use, " %.3f", 0.02 + 0.9 * pow(plan_chance_unit(&c), 3));
    g_string_append_c(use, '\n');
  }
  g_string_append(out, "default|11111111-1111-1111-1111-111111111111|preferred||\n\n");
  for (guint h = 0; h < n_hosts; h++)
    g_string_append_printf(out, "node%u|%d|%d|%" G_GUINT64_FORMAT "|%d|%" G_GUINT64_FORMAT "|%d|N|11111111-1111-1111-1111-111111111111|1\n", h, MEMORY_MIB, RESERVED_MIB,
                           MEMORY_MIB - RESERVED_MIB - memory[h], DISK_MIB, DISK_MIB - disk[h], CPUS);
  g_string_append_printf(out, "\n%s\n\n|1024,1,10240,1,1,1|128,1,1024,1,1,1;262144,64,8388608,16,8,12|drbd,plain|4.0|32.0\n", instances->str);
}

int winplan_generate(const Options *o)
{
  if (strcmp(o->format, "numa") == 0)
    return winplan_generate_numa(o);
  GError *error = NULL;
  g_autoptr(GString) out = g_string_new(NULL), use = g_string_new(NULL);
  write_cluster(out, use, o->hosts, o->hosts * o->per_host, o->seed);
  if (!ws_file_write(o->out, out->str, out->len, 0644, &error) || (o->use && !ws_file_write(o->use, use->str, use->len, 0644, &error)))
    return winplan_complain(error);
  return 0;
}
