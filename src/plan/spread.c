// SPDX-License-Identifier: Apache-2.0
/* Hosts, VMs and their score. See spread-private.h. */
#include "plan/spread-private.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* hbal's names and weights (Ganeti 3.0). What it counts twice, now and after VMs that are announced, is once here with both weights. */
enum { P_LACKING = N_MEASURES, P_OFFLINE, P_OFFLINE_FIRST, P_TAGS, P_RESERVED_TOTAL };
static const struct {
  const char *name;
  double weight;
} parts_of_score[PLAN_N_SCORE_PARTS] = {
    [M_MEMORY_FREE] = {"free_mem_cv", 1},
    [M_DISK_FREE] = {"free_disk_cv", 1},
    [M_RESERVED] = {"reserved_mem_cv", 1},
    [M_VCPUS] = {"vcpu_ratio_cv", 1},
    [M_LOAD + PLAN_LOAD_CPU] = {"cpu_load_cv", 1},
    [M_LOAD + PLAN_LOAD_MEMORY] = {"mem_load_cv", 1},
    [M_LOAD + PLAN_LOAD_DISK] = {"disk_load_cv", 1},
    [M_LOAD + PLAN_LOAD_NET] = {"net_load_cv", 1},
    [M_SPINDLES] = {"spindles_cv", 1},
    [P_LACKING] = {"n1_cnt", 1},
    [P_OFFLINE] = {"offline_all_cnt", 4},
    [P_OFFLINE_FIRST] = {"offline_pri_cnt", 16},
    [P_TAGS] = {"pri_tags_score", 2},
    [P_RESERVED_TOTAL] = {"reserved_mem_rtotal", 0.25},
};

const char *plan_score_part_name(guint part)
{
  return parts_of_score[part].name;
}

double spread_score(const Spread *s, double *parts)
{
  double part[PLAN_N_SCORE_PARTS], n = MAX(s->n_live, 1), score = 0;
  for (guint m = 0; m < N_MEASURES; m++)
    part[m] = sqrt(MAX(0, s->squares[m] - s->sum[m] * s->sum[m] / n) / n);
  part[P_LACKING] = (double)s->n_lacking;
  part[P_OFFLINE] = (double)s->n_offline;
  part[P_OFFLINE_FIRST] = (double)s->n_offline_first;
  part[P_TAGS] = (double)s->n_conflicts;
  part[P_RESERVED_TOTAL] = s->sum[M_RESERVED];
  for (guint k = 0; k < PLAN_N_SCORE_PARTS; k++)
    score += parts_of_score[k].weight * part[k];
  if (parts)
    memcpy(parts, part, sizeof part);
  return score;
}

/* ---- what a host adds to the sums ---- */

static void measure(Spread *s, guint32 host)
{
  SpreadHost *n = &s->hosts[host];
  const Inverse *x = &s->inverse[host];
  n->m[M_MEMORY_FREE] = (double)n->memory_free * x->memory;
  n->m[M_DISK_FREE] = (double)n->disk_free * x->disk;
  n->m[M_RESERVED] = (double)n->reserved * x->memory;
  n->m[M_VCPUS] = n->vcpus * x->cpus;
  memcpy(n->m + M_LOAD, n->load, sizeof n->load);
  n->m[M_SPINDLES] = n->spindles * x->spindles;
}

static void count(Spread *s, guint32 host, int sign)
{
  const SpreadHost *n = &s->hosts[host];
  if (s->cluster->hosts[host].in_service) {
    for (guint m = 0; m < N_MEASURES; m++) {
      s->sum[m] += sign * n->m[m];
      s->squares[m] += sign * n->m[m] * n->m[m];
    }
    s->n_lacking += sign * (n->memory_free < n->reserved);
    s->n_conflicts += sign * (gint64)n->n_conflicts;
  } else {
    s->n_offline += sign * (gint64)(n->n_first + n->n_second);
    s->n_offline_first += sign * (gint64)n->n_first;
  }
}

/* ---- VMs ---- */

static void set_reserved(Spread *s, guint32 host)
{
  const Peers *p = &s->peers[host];
  gint64 most = 0;
  for (guint32 k = 0; k < p->n; k++)
    most = MAX(most, p->peers[k].memory);
  s->hosts[host].reserved = most;
}

static void add_peer(Spread *s, guint32 second, guint32 first, gint64 memory)
{
  Peers *p = &s->peers[second];
  guint32 k = 0;
  while (k < p->n && p->peers[k].host != first)
    k++;
  if (k == p->n) {
    if (p->n == p->size) {
      p->size = p->size ? p->size * 2 : 8;
      p->peers = g_renew(Peer, p->peers, p->size);
    }
    p->peers[p->n++] = (Peer){first, 0};
  }
  p->peers[k].memory += memory;
  if (p->peers[k].memory == 0)
    p->peers[k] = p->peers[--p->n];
}

static void count_tags(Spread *s, const PlanBalanceVm *vm, guint32 host, bool put)
{
  for (guint32 k = 0; s->tag_count && k < vm->n_tags; k++) {
    guint32 *n = &s->tag_count[(gsize)host * s->cluster->n_tags + s->cluster->tags[vm->tags_start + k]];
    s->hosts[host].n_conflicts -= *n ? *n - 1 : 0;
    *n += put ? 1 : -1;
    s->hosts[host].n_conflicts += *n ? *n - 1 : 0;
  }
}

static void list_vm(Spread *s, guint32 vm, guint32 host)
{
  if (s->n_vms[host] == s->vms_size[host]) {
    s->vms_size[host] = s->vms_size[host] ? s->vms_size[host] * 2 : 16;
    s->vms[host] = g_renew(guint32, s->vms[host], s->vms_size[host]);
  }
  s->vms[host][s->n_vms[host]++] = vm;
}

static void unlist_vm(Spread *s, guint32 vm, guint32 host)
{
  guint32 k = 0;
  while (s->vms[host][k] != vm)
    k++;
  s->vms[host][k] = s->vms[host][--s->n_vms[host]];
}

/* What is not a whole number. */
static inline void add_use(Spread *s, const PlanBalanceVm *vm, guint32 host, guint32 second, int sign)
{
  SpreadHost *a = &s->hosts[host];
  a->vcpus += vm->runs ? sign * (double)vm->vcpus : 0;
  a->spindles += sign * vm->spindles;
  for (guint k = 0; k < PLAN_N_LOADS; k++)
    a->load[k] += sign * vm->load[k];
  if (second == PLAN_NO_HOST)
    return;
  s->hosts[second].spindles += sign * vm->spindles;
  s->hosts[second].load[PLAN_LOAD_DISK] += sign * vm->load[PLAN_LOAD_DISK];
}

/* sign 1: on these hosts; -1: off them. What the file says of the first hosts already holds them: only the rest is added then. */
static void change(Spread *s, guint32 index, guint32 host, guint32 second, int sign, bool room)
{
  const PlanBalanceVm *vm = &s->cluster->vms[index];
  SpreadHost *a = &s->hosts[host];
  if (room) {
    a->memory_free -= vm->runs ? sign * vm->memory : 0;
    a->disk_free -= vm->disks == PLAN_DISKS_SHARED ? 0 : sign * vm->disk;
  }
  add_use(s, vm, host, second, sign);
  a->n_first += (guint32)sign;
  count_tags(s, vm, host, sign > 0);
  if (second == PLAN_NO_HOST)
    return;
  SpreadHost *b = &s->hosts[second];
  b->disk_free -= room ? sign * vm->disk : 0;
  b->n_second += (guint32)sign;
  if (vm->is_reserved_for && vm->memory) {
    add_peer(s, second, host, sign * vm->memory);
    set_reserved(s, second);
  }
}

static void settle(Spread *s, guint32 vm, guint32 host, guint32 second, int sign)
{
  count(s, host, -1);
  if (second != PLAN_NO_HOST)
    count(s, second, -1);
  change(s, vm, host, second, sign, true);
  measure(s, host);
  count(s, host, 1);
  if (second != PLAN_NO_HOST) {
    measure(s, second);
    count(s, second, 1);
  }
}

void spread_take(Spread *s, guint32 vm)
{
  settle(s, vm, s->host[vm], s->second[vm], -1);
}

void spread_put(Spread *s, guint32 vm, guint32 host, guint32 second)
{
  settle(s, vm, host, second, 1);
  s->host[vm] = host;
  s->second[vm] = second;
}

void spread_move(Spread *s, guint32 vm, guint32 host, guint32 second)
{
  unlist_vm(s, vm, s->host[vm]);
  if (s->second[vm] != PLAN_NO_HOST)
    unlist_vm(s, vm, s->second[vm]);
  spread_take(s, vm);
  spread_put(s, vm, host, second);
  list_vm(s, vm, host);
  if (second != PLAN_NO_HOST)
    list_vm(s, vm, second);
}

double spread_try(Spread *s, guint32 index, guint32 host, guint32 second)
{
  const PlanBalanceVm *vm = &s->cluster->vms[index];
  guint32 old = s->host[index], old_second = s->second[index], places[] = {old, old_second, host, second};
  SpreadHost saved[G_N_ELEMENTS(places)];
  double sum[N_MEASURES], squares[N_MEASURES], score = INFINITY;
  gint64 n_lacking = s->n_lacking, n_offline = s->n_offline, n_offline_first = s->n_offline_first, n_conflicts = s->n_conflicts;
  for (guint k = 0; k < G_N_ELEMENTS(places); k++)
    if (places[k] != PLAN_NO_HOST)
      saved[k] = s->hosts[places[k]];
  memcpy(sum, s->sum, sizeof sum);
  memcpy(squares, s->squares, sizeof squares);
  bool peers = vm->is_reserved_for && vm->memory, fits;
  spread_take(s, index);
  fits = spread_fits(s, index, host, second);
  if (fits) {
    settle(s, index, host, second, 1);
    score = spread_score(s, NULL);
    count_tags(s, vm, host, false);
    if (peers && second != PLAN_NO_HOST)
      add_peer(s, second, host, -vm->memory);
  }
  count_tags(s, vm, old, true);
  if (peers && old_second != PLAN_NO_HOST)
    add_peer(s, old_second, old, vm->memory);
  for (guint k = 0; k < G_N_ELEMENTS(places); k++)
    if (places[k] != PLAN_NO_HOST)
      s->hosts[places[k]] = saved[k];
  memcpy(s->sum, sum, sizeof sum);
  memcpy(s->squares, squares, sizeof squares);
  s->n_lacking = n_lacking;
  s->n_offline = n_offline;
  s->n_offline_first = n_offline_first;
  s->n_conflicts = n_conflicts;
  return score;
}

double spread_arrival(Spread *s, guint32 vm, guint32 host)
{
  if (!spread_fits(s, vm, host, PLAN_NO_HOST))
    return INFINITY;
  Spread saved = *s; /* the sums */
  SpreadHost there = s->hosts[host];
  settle(s, vm, host, PLAN_NO_HOST, 1);
  double score = spread_score(s, NULL);
  count_tags(s, &s->cluster->vms[vm], host, false);
  *s = saved;
  s->hosts[host] = there;
  return score;
}

bool spread_can_run(const Spread *s, const PlanBalanceVm *vm, guint32 host)
{
  const PlanBalanceHost *h = &s->cluster->hosts[host];
  const SpreadHost *n = &s->hosts[host];
  if (!h->in_service)
    return false;
  double limit = s->cluster->vcpu_ratio * h->cpus;
  return !vm->runs || (n->memory_free >= vm->memory && (limit <= 0 || n->vcpus + vm->vcpus <= limit));
}

static gint64 reserved_with(const Spread *s, guint32 second, guint32 first, gint64 memory)
{
  const Peers *p = &s->peers[second];
  gint64 own = memory;
  for (guint32 k = 0; k < p->n; k++)
    if (p->peers[k].host == first)
      own += p->peers[k].memory;
  return MAX(s->hosts[second].reserved, own);
}

bool spread_fits(const Spread *s, guint32 index, guint32 host, guint32 second)
{
  const PlanBalanceVm *vm = &s->cluster->vms[index];
  const SpreadHost *a = &s->hosts[host];
  if (!spread_can_run(s, vm, host) || (vm->disks != PLAN_DISKS_SHARED && a->disk_free < vm->disk) ||
      (vm->runs && a->memory_free - vm->memory < a->reserved))
    return false;
  for (guint32 k = 0; s->tag_count && k < vm->n_tags; k++)
    if (s->tag_count[(gsize)host * s->cluster->n_tags + s->cluster->tags[vm->tags_start + k]])
      return false;
  if (second == PLAN_NO_HOST)
    return true;
  const SpreadHost *b = &s->hosts[second];
  return s->cluster->hosts[second].in_service && b->disk_free >= vm->disk &&
         (!vm->is_reserved_for || b->memory_free >= reserved_with(s, second, host, vm->memory));
}

static bool keeps_room(const Spread *s, guint32 host)
{
  const SpreadHost *n = &s->hosts[host];
  double limit = s->cluster->vcpu_ratio * s->cluster->hosts[host].cpus;
  return n->memory_free >= n->reserved && n->disk_free >= 0 && (limit <= 0 || n->vcpus <= limit);
}

bool spread_room_is_kept(const Spread *s, guint32 vm)
{
  return keeps_room(s, s->host[vm]) && (s->second[vm] == PLAN_NO_HOST || keeps_room(s, s->second[vm]));
}

/* ---- the whole ---- */

static void add_up_hosts(Spread *s)
{
  memset(s->sum, 0, sizeof s->sum);
  memset(s->squares, 0, sizeof s->squares);
  s->n_live = 0;
  s->n_lacking = s->n_offline = s->n_offline_first = s->n_conflicts = 0;
  for (guint32 h = 0; h < s->cluster->n_hosts; h++) {
    s->n_live += s->cluster->hosts[h].in_service;
    measure(s, h);
    count(s, h, 1);
  }
}

void spread_set_service(Spread *s)
{
  add_up_hosts(s);
}

static int by_number(const void *a, const void *b)
{
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  return x < y ? -1 : x > y;
}

void spread_sort_lists(Spread *s, guint32 host)
{
  qsort(s->vms[host], s->n_vms[host], sizeof *s->vms[host], by_number);
}

void spread_add_up(Spread *s)
{
  for (guint32 h = 0; h < s->cluster->n_hosts; h++) {
    SpreadHost *host = &s->hosts[h];
    host->vcpus = host->spindles = 0;
    memset(host->load, 0, sizeof host->load);
  }
  for (guint32 v = 0; v < s->cluster->n_vms; v++)
    add_use(s, &s->cluster->vms[v], s->host[v], s->second[v], 1);
  add_up_hosts(s);
}

Spread *spread_new(const PlanCluster *c)
{
  Spread *s = g_new0(Spread, 1);
  s->cluster = c;
  s->hosts = g_new0(SpreadHost, (gsize)c->n_hosts + 1);
  s->peers = g_new0(Peers, (gsize)c->n_hosts + 1);
  s->host = g_new(guint32, (gsize)c->n_vms + 1);
  s->second = g_new(guint32, (gsize)c->n_vms + 1);
  s->vms = g_new0(guint32 *, (gsize)c->n_hosts + 1);
  s->n_vms = g_new0(guint32, (gsize)c->n_hosts + 1);
  s->vms_size = g_new0(guint32, (gsize)c->n_hosts + 1);
  s->tag_count = c->n_tags ? g_new0(guint32, (gsize)c->n_hosts * c->n_tags) : NULL;
  s->inverse = g_new0(Inverse, (gsize)c->n_hosts + 1);
  for (guint32 h = 0; h < c->n_hosts; h++) {
    const PlanBalanceHost *host = &c->hosts[h];
    s->inverse[h] = (Inverse){host->memory ? 1 / (double)host->memory : 0, host->disk ? 1 / (double)host->disk : 0, host->cpus > 0 ? 1 / host->cpus : 0,
                              host->spindles > 0 ? 1 / host->spindles : 0};
    s->hosts[h].memory_free = c->hosts[h].memory_free;
    s->hosts[h].disk_free = c->hosts[h].disk_free;
  }
  for (guint32 v = 0; v < c->n_vms; v++) {
    s->host[v] = c->vms[v].host;
    s->second[v] = c->vms[v].second;
    change(s, v, s->host[v], s->second[v], 1, false);
    list_vm(s, v, s->host[v]);
    if (s->second[v] != PLAN_NO_HOST)
      list_vm(s, v, s->second[v]);
  }
  add_up_hosts(s);
  return s;
}

void spread_free(Spread *s)
{
  for (guint32 h = 0; h < s->cluster->n_hosts; h++) {
    g_free(s->peers[h].peers);
    g_free(s->vms[h]);
  }
  void *arrays[] = {s->hosts, s->inverse, s->peers, s->host, s->second, s->tag_count, s->vms, s->n_vms, s->vms_size};
  for (guint k = 0; k < G_N_ELEMENTS(arrays); k++)
    g_free(arrays[k]);
  g_free(s);
}
