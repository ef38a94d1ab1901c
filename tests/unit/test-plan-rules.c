// SPDX-License-Identifier: Apache-2.0
/* Affinity rules: what each means, what breaks them, and sets that contradict themselves. */
#include "plan/chance.h"
#include "plan/rules.h"
#include "plan/tally.h"
#include <string.h>

#define MANY 24

/* A rule of short lists, which end with 0. */
typedef struct {
  PlanRule rule;
  WsId vms[9], hosts[9];
} Row;

static void settle(Row *row)
{
  row->rule.vms = row->vms;
  row->rule.hosts = row->hosts;
  for (row->rule.n_vms = 0; row->vms[row->rule.n_vms]; row->rule.n_vms++)
    ;
  for (row->rule.n_hosts = 0; row->hosts[row->rule.n_hosts]; row->rule.n_hosts++)
    ;
}

static guint look_up(WsId vm, WsId hosts[2], void *arg)
{
  const WsId *at = arg;
  hosts[0] = at[vm];
  return at[vm] ? 1 : 0;
}

static void each_kind_means_what_it_says(void)
{
  WsId at[] = {0, 10, 20, 0};
  PlanWhere where = {look_up, at};
  struct {
    Row row;
    WsId vm, host;
    bool breaks;
  } cases[] = {
      {{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2, 3}, {0}}, 2, 10, false},
      {{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2, 3}, {0}}, 3, 30, true},
      {{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 3}, {0}}, 1, 30, false}, /* the other one runs nowhere */
      {{{.kind = PLAN_RULE_KEEP_APART}, {1, 2}, {0}}, 2, 10, true},
      {{{.kind = PLAN_RULE_KEEP_APART}, {1, 2}, {0}}, 2, 30, false},
      {{{.kind = PLAN_RULE_KEEP_APART}, {1, 2}, {0}}, 3, 10, false}, /* not about it */
      {{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10, 20}}, 1, 20, false},
      {{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10, 20}}, 1, 30, true},
      {{{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1}, {10, 20}}, 1, 20, true},
      {{{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1}, {10}}, 1, 20, true},
      {{{.kind = PLAN_RULE_SHOULD_NOT_RUN_ON}, {1}, {10}}, 1, 20, false},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    settle(&cases[i].row);
    if (plan_rule_breaks(&cases[i].row.rule, cases[i].vm, cases[i].host, &where, NULL) != cases[i].breaks)
      g_error("case %u", i);
  }
}

static void refusal_names_the_rule_and_the_other_vm(void)
{
  WsId at[] = {0, 10, 0}, other;
  PlanWhere where = {look_up, at};
  Row row = {{.name = "web", .kind = PLAN_RULE_KEEP_APART}, {1, 2}, {0}};
  settle(&row);
  const PlanRule *rule = plan_rules_refusal(&row.rule, 1, 2, 10, true, &where, &other);
  g_assert_nonnull(rule);
  g_assert_cmpuint(other, ==, 1);
  g_autofree char *reason = plan_rule_reason(rule, "db-1");
  g_assert_cmpstr(reason, ==, "rule web keeps it apart from db-1");
}

static void named_target_may_leave_its_fellows(void)
{
  WsId at[] = {0, 10, 10};
  PlanWhere where = {look_up, at};
  Row row = {{.name = "pair", .kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}};
  settle(&row);
  g_assert_nonnull(plan_rules_refusal(&row.rule, 1, 2, 20, true, &where, NULL));
  g_assert_null(plan_rules_refusal(&row.rule, 1, 2, 20, false, &where, NULL));
}

static void violations_leave_one_vm_in_its_place(void)
{
  WsId at[] = {0, 10, 10, 10, 20};
  PlanWhere where = {look_up, at};
  Row rows[] = {{{.kind = PLAN_RULE_KEEP_APART}, {1, 2, 3, 4}, {0}}, {{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2, 4}, {0}}};
  PlanRule rules[2];
  for (guint i = 0; i < 2; i++) {
    settle(&rows[i]);
    rules[i] = rows[i].rule;
  }
  g_autoptr(GArray) apart = plan_rules_violations(rules, 1, &where);
  g_assert_cmpuint(apart->len, ==, 2);
  g_assert_cmpuint(g_array_index(apart, PlanViolation, 0).vm, ==, 2);
  g_assert_cmpuint(g_array_index(apart, PlanViolation, 0).other, ==, 1);
  g_autoptr(GArray) together = plan_rules_violations(rules + 1, 1, &where);
  g_assert_cmpuint(together->len, ==, 1); /* the one that is not where most are */
  g_assert_cmpuint(g_array_index(together, PlanViolation, 0).vm, ==, 4);
}

/* ---- fault domains ---- */

/* Hosts 10 to 14 are of one, 15 to 19 of the next. */
static WsId rack_of(WsId host, void *arg)
{
  return host / 5;
}

/* -110: on its way from host 10 to 15, -210: to 20. */
static guint look_up_movers(WsId vm, WsId hosts[2], void *arg)
{
  const gint *at = arg;
  if (at[vm] > 0)
    hosts[0] = (WsId)at[vm];
  if (at[vm] < 0)
    hosts[0] = (WsId)(-at[vm] % 100), hosts[1] = hosts[0] + 5 * (WsId)(-at[vm] / 100);
  return at[vm] > 0 ? 1 : at[vm] < 0 ? 2 : 0;
}

static void vm_is_refused_a_domain_that_is_held_while_any_is_missing(void)
{
  struct {
    gint at[7]; /* from VM 1 on; 0: it does not run */
    guint min_domains;
    WsId vm, host;
    WsId beside; /* 0: it may go there */
  } cases[] = {
      {{0, 0, 0}, 2, 1, 10, 0},          /* alone */
      {{0, 10, 0}, 2, 1, 11, 2},         /* the second must be elsewhere, */
      {{0, 10, 0}, 2, 1, 15, 0},         /* here, say */
      {{0, 10, 15}, 2, 1, 11, 0},        /* two domains are enough */
      {{0, 10, 15}, 3, 1, 11, 2},        /* three are wanted */
      {{0, 10, 15}, 3, 1, 20, 0},        /* */
      {{0, 10, 11, 0}, 2, 1, 12, 2},     /* it is broken: no more beside them, */
      {{0, 10, 11, 0}, 3, 1, 15, 0},     /* but any other one is better than now */
      {{10, 15, 0}, 2, 1, 16, 2},        /* it leaves the only other domain */
      {{10, 15, 0}, 2, 1, 11, 0},        /* but it may move within its own */
      {{10, 11, 15}, 2, 1, 16, 0},       /* another one stays behind */
      {{10, 11, 0}, 2, 1, 12, 0},        /* it is broken: within its own it may move still, */
      {{10, 11, 15}, 3, 1, 16, 3},       /* not to beside yet another one */
      {{0, -110, 0}, 2, 1, 12, 2},       /* one moves: it is not known where it will be */
      {{0, -110, 0}, 2, 1, 16, 2},       /* */
      {{0, -110, 0}, 2, 1, 20, 0},       /* */
      {{0, -110, 20, 0}, 2, 1, 12, 0},   /* wherever that one arrives there are two */
      {{0, -110, -110, 0}, 2, 1, 12, 2}, /* both may be in one */
      {{0, -110, -120, 0}, 2, 1, 12, 0}, /* never */
      {{0, -110, -210, 0}, 2, 1, 12, 2}, /* both may stay in the first */
      {{0, -110, 10, 0}, 2, 1, 12, 2},   /* it may stay in the domain of the other */
      {{0, 10, 15, 20, 25, 30}, 6, 1, 35, 0},
      {{0, 10, 15, 20, 25, 30}, 6, 1, 31, 6},
      {{0, 10, 15, 20, 25, 30}, 5, 1, 31, 0},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    Row row = {{.name = "r", .kind = PLAN_RULE_MUST_SPREAD, .min_domains = cases[i].min_domains},
               {1, 2, 3, 4, 5, 6},
               {0}};
    gint at[8] = {0};
    PlanWhere where = {look_up_movers, at, rack_of};
    WsId other = 0;
    settle(&row);
    memcpy(at + 1, cases[i].at, sizeof cases[i].at);
    bool refused = plan_rules_refusal(&row.rule, 1, cases[i].vm, cases[i].host, true, &where, &other) != NULL;
    if (refused != (cases[i].beside != 0) || other != cases[i].beside)
      g_error("case %u: %s, %u", i, refused ? "refused" : "let", (guint)other);
    row.rule.kind = PLAN_RULE_SHOULD_SPREAD;
    g_assert_null(plan_rules_refusal(&row.rule, 1, cases[i].vm, cases[i].host, true, &where, NULL));
    g_assert_cmpuint(plan_rules_dislikes(&row.rule, 1, cases[i].vm, cases[i].host, &where), ==, refused);
  }
}

typedef struct {
  gint at[MANY + 1];
  guint looked_up;
  PlanTally *tally;
} Movers;

static guint count_look_ups(WsId vm, WsId hosts[2], void *arg)
{
  Movers *movers = arg;
  movers->looked_up++;
  return look_up_movers(vm, hosts, movers->at);
}

static PlanTally *tally_of(const PlanRule *rule, void *arg)
{
  return ((Movers *)arg)->tally;
}

/* Any host, or on the way to one of the next two domains; or none. */
static gint any_place(PlanChance *chance)
{
  gint host = 10 + (gint)plan_chance_below(chance, 30);
  guint way = plan_chance_below(chance, 6);
  return way == 0 ? 0 : way < 4 ? host : -(100 * ((gint)way - 3) + host);
}

/* What is counted once and kept is what a look at all of them tells, and for a host no other VM is
 * looked up. */
static void counts_that_are_kept_tell_the_same(void)
{
  PlanChance chance;
  plan_chance_seed(&chance, 11);
  guint refused = 0;
  for (guint round = 0; round < 400; round++) {
    WsId vms[MANY];
    PlanRule rule = {.name = "r", .kind = PLAN_RULE_MUST_SPREAD, .vms = vms};
    Movers movers = {{0}, 0, NULL};
    PlanWhere where = {count_look_ups, &movers, rack_of},
              counted = {count_look_ups, &movers, rack_of, tally_of};
    rule.min_domains = 2 + plan_chance_below(&chance, 7);
    for (WsId vm = 1; vm <= MANY; vm++) {
      movers.at[vm] = any_place(&chance);
      if (plan_chance_below(&chance, MANY) < 1 + round % 16)
        vms[rule.n_vms++] = vm;
    }
    movers.tally = plan_tally_new(&rule, &where);
    for (guint step = 0; step < 20; step++) {
      WsId moved = 1 + plan_chance_below(&chance, MANY), vm = 1 + plan_chance_below(&chance, MANY);
      movers.at[moved] = any_place(&chance);
      plan_tally_look(movers.tally, moved, &where);
      for (WsId host = 10; host < 50; host++) {
        WsId other = 0, same = 0;
        bool breaks = plan_rule_breaks(&rule, vm, host, &where, &other);
        guint before = movers.looked_up;
        if (plan_rule_breaks(&rule, vm, host, &counted, &same) != breaks || same != other)
          g_error("round %u, step %u: VM %u on %u: beside %u, not %u", round, step, (guint)vm, (guint)host,
                  (guint)same, (guint)other);
        g_assert_cmpuint(movers.looked_up, <=, before + 1); /* where the VM itself is */
        refused += breaks;
      }
    }
    plan_tally_free(movers.tally);
  }
  g_assert_cmpuint(refused, >, 1000);
}

static void as_many_break_it_as_domains_are_missing(void)
{
  static const struct {
    gint at[5];
    guint min_domains, n;
    WsId vm, other; /* of the first */
  } cases[] = {
      {{10, 11, 12, 13, 14}, 2, 1, 2, 1}, {{10, 11, 12, 13, 14}, 3, 2, 2, 1},
      {{10, 15, 11, 0, 0}, 3, 1, 3, 1},   {{10, 15, 11, 0, 0}, 2, 0, 0, 0},
      {{10, 11, 0, 0, 0}, 4, 1, 2, 1},    {{0, 0, 0, 0, 12}, 4, 0, 0, 0},
      {{10, -110, 0, 0, 0}, 2, 0, 0, 0}, /* where it goes counts */
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    Row row = {{.name = "r", .kind = PLAN_RULE_MUST_SPREAD, .min_domains = cases[i].min_domains},
               {1, 2, 3, 4, 5},
               {0}};
    gint at[8] = {0};
    PlanWhere where = {look_up_movers, at, rack_of};
    settle(&row);
    memcpy(at + 1, cases[i].at, sizeof cases[i].at);
    g_autoptr(GArray) found = plan_rules_violations(&row.rule, 1, &where);
    const PlanViolation *first = found->len ? &g_array_index(found, PlanViolation, 0) : NULL;
    if (found->len != cases[i].n || (first && (first->vm != cases[i].vm || first->other != cases[i].other)))
      g_error("case %u: %u", i, found->len);
    g_autofree char *reason = plan_rule_reason(&row.rule, "web-1");
    if (cases[i].min_domains == 3)
      g_assert_cmpstr(reason, ==, "rule r spreads over 3 fault domains, and web-1 is in this one");
  }
}

static void contradictions_are_found_with_both_rules(void)
{
  struct {
    Row rows[4];
    guint n;
    const char *says; /* NULL: there is none */
  } cases[] = {
      {{{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}, {{.kind = PLAN_RULE_KEEP_APART}, {1, 2}, {0}}},
       2,
       "together and apart"},
      {{{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}},
        {{.kind = PLAN_RULE_KEEP_TOGETHER}, {2, 3}, {0}},
        {{.kind = PLAN_RULE_KEEP_APART}, {1, 3}, {0}}},
       3,
       "together and apart"}, /* by way of a third one */
      {{{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}, {{.kind = PLAN_RULE_KEEP_APART}, {1, 3}, {0}}},
       2,
       NULL},
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1}, {10}}},
       2,
       "no host is left"},
      {{{{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10, 20}}},
       2,
       NULL},
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {2}, {20}},
        {{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}},
       3,
       "no host is left"},
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1}, {20}}},
       2,
       "no host is left"},
      {{{{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1}, {10}}},
       2,
       "no host is left"},
      {{{{.kind = PLAN_RULE_KEEP_APART}, {1, 2, 3}, {0}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2, 3}, {10, 20}}},
       2,
       "fewer hosts"},
      {{{{.kind = PLAN_RULE_KEEP_APART}, {1, 2, 3}, {0}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 20}}},
       2,
       NULL},
      {{{{.kind = PLAN_RULE_KEEP_APART}, {1, 2, 3}, {0}},
        {{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1, 2, 3}, {10, 20}}},
       2,
       NULL}, /* as far as it goes */
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {0}}}, 1, "names no host"},
#define SPREAD(n) {.kind = PLAN_RULE_MUST_SPREAD, .min_domains = (n)}
      {{{SPREAD(2), {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_KEEP_TOGETHER}, {2, 3}, {0}}},
       2,
       "together and in different fault domains"},
      {{{SPREAD(2), {1, 3}, {0}},
        {{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}},
        {{.kind = PLAN_RULE_KEEP_TOGETHER}, {2, 3}, {0}}},
       3,
       "together and in different fault domains"}, /* by way of a third one */
      {{{SPREAD(2), {1, 3}, {0}}, {{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}}, 2, NULL},
      {{{{.kind = PLAN_RULE_SHOULD_SPREAD, .min_domains = 2}, {1, 2}, {0}},
        {{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}},
       2,
       NULL}, /* as far as it goes */
      {{{SPREAD(2), {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 11, 12}}},
       2,
       "fewer fault domains"}, /* of one rack */
      {{{SPREAD(2), {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 15}}}, 2, NULL},
      {{{SPREAD(3), {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2, 3}, {10, 15}}},
       2,
       "fewer fault domains"},
      {{{SPREAD(3), {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 15}}}, 2, NULL},
      {{{SPREAD(2), {1, 2}, {0}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {2}, {11, 12}}},
       3,
       "fewer fault domains"},
      {{{SPREAD(2), {1, 2}, {0}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {2}, {11, 15}}},
       3,
       NULL},
      {{{SPREAD(2), {1, 2}, {0}}, {{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1, 2}, {15, 16}}},
       2,
       "fewer fault domains"}, /* of the two that there are */
      {{{SPREAD(2), {1, 2}, {0}}, {{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1, 2}, {15}}}, 2, NULL},
      {{{SPREAD(2), {1, 2}, {0}}, {{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1, 2}, {10, 11}}},
       2,
       NULL}, /* as far as it goes */
      {{{SPREAD(2), {1, 2}, {0}}, {{.kind = PLAN_RULE_KEEP_APART}, {1, 2}, {0}}}, 2, NULL},
  };
  static const WsId hosts[] = {10, 11, 12, 15, 16}, domains[] = {2, 2, 2, 3, 3};
  static const PlanDomains there = {hosts, domains, G_N_ELEMENTS(hosts)};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    PlanRule rules[4];
    PlanConflict conflict;
    for (guint j = 0; j < cases[i].n; j++) {
      settle(&cases[i].rows[j]);
      rules[j] = cases[i].rows[j].rule;
    }
    bool found = plan_rules_conflict(rules, cases[i].n, &there, &conflict);
    if (found != (cases[i].says != NULL) || (found && (!strstr(conflict.reason, cases[i].says) || conflict.a >= cases[i].n || conflict.b >= cases[i].n)))
      g_error("case %u: %s", i, found ? conflict.reason : "no contradiction");
  }
}

/* The last one is told only what it adds. */
static void rule_is_not_told_what_others_cannot_keep(void)
{
  struct {
    Row rows[4];
    guint n;
    bool conflicts;
    guint a, b;
  } cases[] = {
      {{{SPREAD(2), {1, 2}, {0}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 11}},
        {{.kind = PLAN_RULE_KEEP_APART}, {5, 6}, {0}}},
       3,
       false,
       0,
       0},
      {{{SPREAD(2), {1, 2}, {0}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 11}},
        {{.kind = PLAN_RULE_KEEP_TOGETHER}, {5, 6}, {0}},
        {{.kind = PLAN_RULE_KEEP_APART}, {5, 6}, {0}}},
       4,
       true,
       3,
       2},
      {{{SPREAD(2), {1, 2}, {0}},
        {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 11}},
        {{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}},
       3,
       true, /* with the one that is left out of account */
       0,
       2},
      {{{SPREAD(2), {1, 2}, {0}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 11}}}, 2, true, 0, 1},
  };
  static const WsId hosts[] = {10, 11, 15}, domains[] = {2, 2, 3};
  static const PlanDomains there = {hosts, domains, G_N_ELEMENTS(hosts)};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    PlanRule rules[4];
    PlanConflict conflict = {0};
    for (guint j = 0; j < cases[i].n; j++) {
      settle(&cases[i].rows[j]);
      rules[j] = cases[i].rows[j].rule;
    }
    bool found = plan_rules_conflict_last(rules, cases[i].n, &there, &conflict);
    if (found != cases[i].conflicts || (found && (conflict.a != cases[i].a || conflict.b != cases[i].b)))
      g_error("case %u: %s: %u, %u", i, found ? conflict.reason : "no contradiction", conflict.a, conflict.b);
  }
}

/* Hosts 10 and 11 are of one domain, 12 is another. */
static const WsId three[] = {10, 11, 12}, three_domains[] = {5, 5, 6};

static WsId pair_of(WsId host, void *arg)
{
  return host / 2;
}

static bool can_be_kept_by(guint running, const PlanRule *rules, guint n, guint n_vms, guint n_hosts)
{
  WsId at[8] = {0};
  PlanWhere where = {look_up, at, pair_of};
  guint all = 1;
  for (guint i = 0; i < n_vms; i++)
    all *= n_hosts;
  for (guint code = 0; code < all; code++) {
    guint rest = code;
    for (guint i = 1; i <= n_vms; i++, rest /= n_hosts)
      at[i] = running >> (i - 1) & 1 ? 10 + rest % n_hosts : 0;
    g_autoptr(GArray) broken = plan_rules_violations(rules, n, &where);
    if (!broken->len)
      return true;
  }
  return false;
}

/* Where every assignment of few VMs to few hosts breaks a rule, a contradiction, if one is told, is true.
 * Rules that spread must be kept whichever run. */
static bool can_be_kept(const PlanRule *rules, guint n, guint n_vms, guint n_hosts)
{
  for (guint running = 1; running < 1U << n_vms; running++)
    if (!can_be_kept_by(running, rules, n, n_vms, n_hosts))
      return false;
  return true;
}

static void told_contradictions_are_true(void)
{
  static const PlanDomains there = {three, three_domains, 3};
  PlanChance chance;
  plan_chance_seed(&chance, 7);
  guint told = 0, of_spread = 0;
  for (guint round = 0; round < 3000; round++) {
    Row rows[3];
    PlanRule rules[3];
    guint n = 1 + plan_chance_below(&chance, 3);
    memset(rows, 0, sizeof rows);
    for (guint i = 0; i < n; i++) {
      guint m = 0, h = 0;
      rows[i].rule.kind = PLAN_RULE_KEEP_TOGETHER + plan_chance_below(&chance, 8);
      rows[i].rule.min_domains = 2;
      for (WsId vm = 1; vm <= 4; vm++)
        if (plan_chance_below(&chance, 2))
          rows[i].vms[m++] = vm;
      for (WsId host = 10; host < 13; host++)
        if (plan_chance_below(&chance, 2))
          rows[i].hosts[h++] = host;
      settle(&rows[i]);
      rules[i] = rows[i].rule;
    }
    PlanConflict conflict;
    if (!plan_rules_conflict(rules, n, &there, &conflict))
      continue;
    told++;
    of_spread += rules[conflict.a].kind == PLAN_RULE_MUST_SPREAD;
    bool empty = conflict.a == conflict.b; /* a rule that names no host */
    if (!empty && can_be_kept(rules, n, 4, 3))
      g_error("round %u: %s", round, conflict.reason);
  }
  g_assert_cmpuint(told, >, 100);
  g_assert_cmpuint(of_spread, >, 20);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/plan-rules/each_kind_means_what_it_says", each_kind_means_what_it_says);
  g_test_add_func("/plan-rules/refusal_names_the_rule_and_the_other_vm", refusal_names_the_rule_and_the_other_vm);
  g_test_add_func("/plan-rules/named_target_may_leave_its_fellows", named_target_may_leave_its_fellows);
  g_test_add_func("/plan-rules/violations_leave_one_vm_in_its_place", violations_leave_one_vm_in_its_place);
  g_test_add_func("/plan-rules/vm_is_refused_a_domain_that_is_held_while_any_is_missing",
                  vm_is_refused_a_domain_that_is_held_while_any_is_missing);
  g_test_add_func("/plan-rules/counts_that_are_kept_tell_the_same", counts_that_are_kept_tell_the_same);
  g_test_add_func("/plan-rules/as_many_break_it_as_domains_are_missing",
                  as_many_break_it_as_domains_are_missing);
  g_test_add_func("/plan-rules/contradictions_are_found_with_both_rules", contradictions_are_found_with_both_rules);
  g_test_add_func("/plan-rules/rule_is_not_told_what_others_cannot_keep",
                  rule_is_not_told_what_others_cannot_keep);
  g_test_add_func("/plan-rules/told_contradictions_are_true", told_contradictions_are_true);
  return g_test_run();
}
