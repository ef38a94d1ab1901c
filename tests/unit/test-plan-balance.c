// SPDX-License-Identifier: Apache-2.0
/* Balance of clusters: every step is allowed, nothing gets worse, a balanced cluster is left alone, hosts out of service are emptied. */
#include "plan/balance.h"
#include "plan/chance.h"
#include <math.h>
#include <string.h>

#define N_SEEDS 15 /* a plan of a small cluster takes a second or two with sanitizers */
#define N_STAYS 5

/* Room for what is there and a third more, unevenly: room is what decides. */
static void make_tight(PlanCluster *c, PlanChance *r)
{
  gint64 each = MAX(c->n_vms / c->n_hosts, 3);
  for (guint32 h = 0; h < c->n_hosts; h++) {
    PlanBalanceHost *host = &c->hosts[h];
    gint64 share = 70 + plan_chance_below(r, 120); /* per cent */
    host->memory = host->memory_free = each * 150 * share / 100;
    host->disk = host->disk_free = each * 140 * share / 100;
    host->cpus = MAX(each * 3 * share / 800, 1);
  }
}

/* On tight hosts: one of a few where it fits. */
static guint32 host_with_room(const PlanCluster *c, const PlanBalanceVm *vm, const double *vcpus, PlanChance *r)
{
  guint32 host = 0;
  for (guint k = 0; k < 50; k++) {
    host = plan_chance_below(r, c->n_hosts);
    const PlanBalanceHost *h = &c->hosts[host];
    if (h->memory_free >= vm->memory && h->disk_free >= vm->disk && vcpus[host] + vm->vcpus <= c->vcpu_ratio * h->cpus)
      break;
  }
  return host;
}

static PlanCluster *random_cluster(guint64 seed, guint32 n_hosts, guint32 n_vms)
{
  PlanCluster *c = g_new0(PlanCluster, 1);
  PlanChance r;
  plan_chance_seed(&r, seed);
  c->n_hosts = n_hosts;
  c->n_vms = n_vms;
  c->n_tags = 5;
  c->vcpu_ratio = 8;
  c->hosts = g_new0(PlanBalanceHost, n_hosts);
  c->vms = g_new0(PlanBalanceVm, n_vms + 1);
  c->tags = g_new0(guint32, n_vms + 1);
  for (guint32 h = 0; h < n_hosts; h++)
    c->hosts[h] = (PlanBalanceHost){.memory = 4000, .memory_free = 4000, .disk = 9000, .disk_free = 9000, .cpus = 16, .spindles = 32, .in_service = true, .set = seed % 5 == 0 ? h % 2 : 0};
  bool tight = seed % 3 == 0;
  g_autofree double *vcpus = g_new0(double, n_hosts);
  if (tight)
    make_tight(c, &r);
  for (guint32 v = 0; v < n_vms; v++) {
    PlanBalanceVm *vm = &c->vms[v];
    vm->memory = 50 + plan_chance_below(&r, 200);
    vm->disk = 20 + plan_chance_below(&r, 100);
    vm->vcpus = 1 + plan_chance_below(&r, 4);
    vm->spindles = 1;
    vm->runs = plan_chance_below(&r, 10) > 0;
    vm->is_reserved_for = true;
    for (guint k = 0; k < PLAN_N_LOADS; k++)
      vm->load[k] = plan_chance_unit(&r);
    vm->disks = plan_chance_below(&r, 8) ? (seed & 1 ? PLAN_DISKS_MIRRORED : PLAN_DISKS_SHARED) : PLAN_DISKS_FIXED;
    vm->host = tight ? host_with_room(c, vm, vcpus, &r) : plan_chance_below(&r, MAX(n_hosts / 2, 1));
    vcpus[vm->host] += vm->runs ? vm->vcpus : 0;
    vm->second = vm->disks == PLAN_DISKS_MIRRORED ? (vm->host + 1 + plan_chance_below(&r, n_hosts - 1)) % n_hosts : PLAN_NO_HOST;
    if (vm->second != PLAN_NO_HOST && c->hosts[vm->second].set != c->hosts[vm->host].set)
      vm->second = vm->host ^ 2U; /* of the same set */
    if (vm->second != PLAN_NO_HOST && vm->second >= n_hosts)
      vm->disks = PLAN_DISKS_FIXED, vm->second = PLAN_NO_HOST;
    if (plan_chance_below(&r, 6) == 0) {
      vm->tags_start = v;
      vm->n_tags = 1;
      c->tags[v] = plan_chance_below(&r, c->n_tags);
    }
    c->hosts[vm->host].memory_free -= vm->runs ? vm->memory : 0;
    c->hosts[vm->host].disk_free -= vm->disks == PLAN_DISKS_SHARED ? 0 : vm->disk;
    if (vm->second != PLAN_NO_HOST)
      c->hosts[vm->second].disk_free -= vm->disk;
  }
  return c;
}

static void cluster_free(PlanCluster *c)
{
  g_free(c->hosts);
  g_free(c->vms);
  g_free(c->tags);
  g_free(c);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlanCluster, cluster_free)

static void move_room(PlanCluster *c, const PlanBalanceVm *vm, guint32 host, guint32 second, int sign)
{
  c->hosts[host].memory_free -= vm->runs ? sign * vm->memory : 0;
  c->hosts[host].disk_free -= vm->disks == PLAN_DISKS_SHARED ? 0 : sign * vm->disk;
  if (second != PLAN_NO_HOST)
    c->hosts[second].disk_free -= sign * vm->disk;
}

static double vcpus_on(const PlanCluster *c, guint32 host)
{
  double sum = 0;
  for (guint32 v = 0; v < c->n_vms; v++)
    sum += c->vms[v].host == host && c->vms[v].runs ? c->vms[v].vcpus : 0;
  return sum;
}

static guint conflicts_on(const PlanCluster *c, guint32 host)
{
  guint count[5] = {0}, conflicts = 0;
  for (guint32 v = 0; v < c->n_vms; v++)
    if (c->vms[v].host == host && c->vms[v].n_tags)
      count[c->tags[c->vms[v].tags_start]]++;
  for (guint k = 0; k < 5; k++)
    conflicts += count[k] ? count[k] - 1 : 0;
  return conflicts;
}

/* Does the step, and looks at what it leaves with nothing but sums. */
static void do_step(PlanCluster *c, const PlanStep *step)
{
  PlanBalanceVm *vm = &c->vms[step->vm];
  g_assert_cmpuint(vm->host, ==, step->host_before);
  g_assert_cmpuint(vm->second, ==, step->second_before);
  g_assert_cmpint(vm->disks, !=, PLAN_DISKS_FIXED);
  g_assert_true((step->second == PLAN_NO_HOST) == (vm->second == PLAN_NO_HOST));
  guint before = conflicts_on(c, step->host);
  move_room(c, vm, vm->host, vm->second, -1);
  guint32 from = vm->host;
  vm->host = step->host;
  vm->second = step->second;
  move_room(c, vm, vm->host, vm->second, 1);
  const PlanBalanceHost *host = &c->hosts[step->host];
  g_assert_cmpuint(host->set, ==, c->hosts[from].set);
  g_assert_true(host->in_service);
  if (step->host != from) {
    g_assert_true(host->memory_free >= 0 || !vm->runs);
    g_assert_cmpint(host->disk_free, >=, 0);
    g_assert_true(!vm->runs || vcpus_on(c, step->host) <= c->vcpu_ratio * host->cpus);
    g_assert_cmpuint(conflicts_on(c, step->host), <=, before);
  }
  if (step->second != PLAN_NO_HOST)
    g_assert_cmpint(c->hosts[step->second].disk_free, >=, 0);
}

static void do_all(PlanCluster *c, const PlanBalanceResult *result)
{
  for (guint32 k = 0; k < result->n_steps; k++) {
    do_step(c, &result->steps[k]);
    double parts[PLAN_N_SCORE_PARTS];
    g_assert_cmpfloat_with_epsilon(plan_balance_score(c, parts), result->steps[k].score, 1e-6);
  }
}

/* Small and large, mirrored and shared, of one set and of two; what a plan leaves is left alone. */
static void each_step_is_allowed_and_then_nothing_moves(void)
{
  guint better = 0;
  for (guint64 seed = 1; seed <= N_SEEDS; seed++) {
    g_autoptr(PlanCluster) c = random_cluster(seed, 4 + (guint32)(seed * 7 % 60), 40 + (guint32)(seed * 13 % 200));
    PlanBalanceOptions options = {0};
    PlanBalanceResult result;
    plan_balance(c, &options, &result);
    g_assert_cmpfloat(result.score_after, <=, result.score_before + 1e-9);
    better += result.score_after < result.score_before * 0.8;
    do_all(c, &result);
    plan_balance_result_clear(&result);
    plan_balance(c, &options, &result);
    g_assert_cmpuint(result.n_steps, ==, 0);
    plan_balance_result_clear(&result);
  }
  g_assert_cmpuint(better, >, N_SEEDS / 2);
}

/* Maintenance, and the restart of what ran on hosts that failed: only what is there moves. */
static void hosts_out_of_service_are_emptied(void)
{
  for (guint64 seed = 2; seed <= 20; seed += 2) {
    g_autoptr(PlanCluster) c = random_cluster(seed, 20, 160);
    guint32 there = 0, fixed = 0;
    c->hosts[1].in_service = c->hosts[3].in_service = false;
    for (guint32 v = 0; v < c->n_vms; v++) {
      there += c->vms[v].host == 1 || c->vms[v].host == 3;
      fixed += (c->vms[v].host == 1 || c->vms[v].host == 3) && c->vms[v].disks == PLAN_DISKS_FIXED;
    }
    PlanBalanceOptions options = {.only_evacuate = true};
    PlanBalanceResult result;
    plan_balance(c, &options, &result);
    g_assert_cmpuint(result.n_steps, ==, there - result.n_stranded);
    g_assert_cmpuint(result.n_stranded, >=, fixed);
    g_assert_cmpuint(result.n_stranded, <, there / 2 + 1);
    for (guint32 k = 0; k < result.n_steps; k++)
      g_assert_true(result.steps[k].host_before == 1 || result.steps[k].host_before == 3);
    do_all(c, &result);
    plan_balance_result_clear(&result);
  }
}

static void limit_of_steps_is_kept(void)
{
  g_autoptr(PlanCluster) c = random_cluster(5, 30, 250);
  PlanBalanceOptions options = {.max_steps = 7};
  PlanBalanceResult result;
  plan_balance(c, &options, &result);
  g_assert_cmpuint(result.n_steps, <=, 7);
  g_assert_cmpfloat(result.score_after, <, result.score_before);
  plan_balance_result_clear(&result);
}

static void new_vm_goes_where_the_score_is_best(void)
{
  g_autoptr(PlanCluster) c = random_cluster(6, 20, 100);
  PlanBalanceVm vm = {.memory = 100, .disk = 50, .vcpus = 2, .runs = true, .disks = PLAN_DISKS_SHARED, .host = PLAN_NO_HOST, .second = PLAN_NO_HOST, .load = {1, 1, 1, 1}};
  double score, parts[PLAN_N_SCORE_PARTS];
  guint32 host = plan_balance_place(c, &vm, &score);
  g_assert_cmpuint(host, >=, 10); /* the first half of the hosts has all VMs */
  c->vms[c->n_vms++] = vm;
  c->vms[c->n_vms - 1].host = host;
  move_room(c, &c->vms[c->n_vms - 1], host, PLAN_NO_HOST, 1);
  g_assert_cmpfloat_with_epsilon(plan_balance_score(c, parts), score, 1e-9);
  c->n_vms--;
  vm.memory = 5000;
  g_assert_cmpuint(plan_balance_place(c, &vm, &score), ==, PLAN_NO_HOST);
}

static void expect_same_plan(const PlanBalanceResult *one, const PlanBalanceResult *two)
{
  g_assert_cmpuint(one->n_steps, ==, two->n_steps);
  g_assert_true(memcmp(&one->score_after, &two->score_after, sizeof one->score_after) == 0);
  for (guint32 k = 0; k < one->n_steps; k++) {
    g_assert_cmpuint(one->steps[k].vm, ==, two->steps[k].vm);
    g_assert_cmpuint(one->steps[k].host, ==, two->steps[k].host);
    g_assert_cmpuint(one->steps[k].second, ==, two->steps[k].second);
  }
}

/* Asked again and again it answers as one that was made for the question; and so one is the same as another. */
static void planner_that_stays_answers_as_a_new_one(void)
{
  for (guint64 seed = 1; seed <= N_STAYS; seed++) {
    g_autoptr(PlanCluster) c = random_cluster(seed, 4 + (guint32)(seed * 11 % 60), 120);
    PlanBalancer *stays = plan_balancer_new(c);
    PlanBalanceOptions options = {0}, evacuate = {.only_evacuate = true};
    PlanBalanceResult one, two, other;
    plan_balancer_plan(stays, &options, &one);
    plan_balancer_plan(stays, &options, &two);
    plan_balance(c, &options, &other);
    expect_same_plan(&one, &two);
    expect_same_plan(&one, &other);
    do_all(c, &one);
    for (guint32 k = 0; k < one.n_steps; k++)
      plan_balancer_move(stays, one.steps[k].vm, one.steps[k].host, one.steps[k].second);
    plan_balance_result_clear(&one);
    plan_balance_result_clear(&two);
    plan_balance_result_clear(&other);
    c->hosts[1].in_service = false;
    plan_balancer_set_in_service(stays, 1, false);
    plan_balancer_plan(stays, &evacuate, &one);
    plan_balance(c, &evacuate, &other);
    expect_same_plan(&one, &other);
    plan_balance_result_clear(&one);
    plan_balance_result_clear(&other);
    plan_balancer_free(stays);
  }
}

/* Among many hosts only those that look best are computed: the best is among them. */
static void best_host_of_many_is_found(void)
{
  for (guint64 seed = 1; seed <= 10; seed++) {
    g_autoptr(PlanCluster) c = random_cluster(seed * 2, 120, 700);
    PlanBalanceVm vm = {.memory = 100, .disk = 50, .vcpus = 2, .runs = true, .disks = PLAN_DISKS_SHARED, .host = PLAN_NO_HOST, .second = PLAN_NO_HOST, .load = {1, 1, 1, 1}};
    double score, parts[PLAN_N_SCORE_PARTS], best = INFINITY;
    g_assert_cmpuint(plan_balance_place(c, &vm, &score), !=, PLAN_NO_HOST);
    c->vms = g_renew(PlanBalanceVm, c->vms, c->n_vms + 2);
    for (guint32 h = 0; h < c->n_hosts; h++) {
      if (c->hosts[h].memory_free < 100 || vcpus_on(c, h) + 2 > c->vcpu_ratio * c->hosts[h].cpus)
        continue;
      c->vms[c->n_vms++] = vm;
      c->vms[c->n_vms - 1].host = h;
      move_room(c, &vm, h, PLAN_NO_HOST, 1);
      best = MIN(best, plan_balance_score(c, parts));
      move_room(c, &vm, h, PLAN_NO_HOST, -1);
      c->n_vms--;
    }
    g_assert_cmpfloat_with_epsilon(score, best, 1e-6);
  }
}

static void empty_cluster_is_no_trouble(void)
{
  PlanCluster c = {0};
  PlanBalanceOptions options = {0};
  PlanBalanceResult result;
  plan_balance(&c, &options, &result);
  g_assert_cmpuint(result.n_steps, ==, 0);
  plan_balance_result_clear(&result);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/each_step_is_allowed_and_then_nothing_moves", each_step_is_allowed_and_then_nothing_moves);
  g_test_add_func("/hosts_out_of_service_are_emptied", hosts_out_of_service_are_emptied);
  g_test_add_func("/limit_of_steps_is_kept", limit_of_steps_is_kept);
  g_test_add_func("/new_vm_goes_where_the_score_is_best", new_vm_goes_where_the_score_is_best);
  g_test_add_func("/planner_that_stays_answers_as_a_new_one", planner_that_stays_answers_as_a_new_one);
  g_test_add_func("/best_host_of_many_is_found", best_host_of_many_is_found);
  g_test_add_func("/empty_cluster_is_no_trouble", empty_cluster_is_no_trouble);
  return g_test_run();
}
