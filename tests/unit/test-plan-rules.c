// SPDX-License-Identifier: Apache-2.0
/* Affinity rules: what each means, what breaks them, and sets that contradict themselves. */
#include "plan/chance.h"
#include "plan/rules.h"
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

static void contradictions_are_found_with_both_rules(void)
{
  struct {
    Row rows[4];
    guint n;
    const char *says; /* NULL: there is none */
  } cases[] = {
      {{{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}, {{.kind = PLAN_RULE_KEEP_APART}, {1, 2}, {0}}}, 2, "together and apart"},
      {{{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}, {{.kind = PLAN_RULE_KEEP_TOGETHER}, {2, 3}, {0}}, {{.kind = PLAN_RULE_KEEP_APART}, {1, 3}, {0}}},
       3, "together and apart"}, /* by way of a third one */
      {{{{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}, {{.kind = PLAN_RULE_KEEP_APART}, {1, 3}, {0}}}, 2, NULL},
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1}, {10}}}, 2, "no host is left"},
      {{{{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10, 20}}}, 2, NULL},
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {2}, {20}}, {{.kind = PLAN_RULE_KEEP_TOGETHER}, {1, 2}, {0}}}, 3,
       "no host is left"},
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1}, {20}}}, 2, "no host is left"},
      {{{{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1}, {10}}, {{.kind = PLAN_RULE_MUST_NOT_RUN_ON}, {1}, {10}}}, 2, "no host is left"},
      {{{{.kind = PLAN_RULE_KEEP_APART}, {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2, 3}, {10, 20}}}, 2, "fewer hosts"},
      {{{{.kind = PLAN_RULE_KEEP_APART}, {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_MUST_RUN_ON}, {1, 2}, {10, 20}}}, 2, NULL},
      {{{{.kind = PLAN_RULE_KEEP_APART}, {1, 2, 3}, {0}}, {{.kind = PLAN_RULE_SHOULD_RUN_ON}, {1, 2, 3}, {10, 20}}}, 2, NULL}, /* as far as it goes */
      {{{{.kind = PLAN_RULE_MUST_RUN_ON}, {1}, {0}}}, 1, "names no host"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    PlanRule rules[4];
    PlanConflict conflict;
    for (guint j = 0; j < cases[i].n; j++) {
      settle(&cases[i].rows[j]);
      rules[j] = cases[i].rows[j].rule;
    }
    bool found = plan_rules_conflict(rules, cases[i].n, &conflict);
    if (found != (cases[i].says != NULL) || (found && (!strstr(conflict.reason, cases[i].says) || conflict.a >= cases[i].n || conflict.b >= cases[i].n)))
      g_error("case %u: %s", i, found ? conflict.reason : "no contradiction");
  }
}

/* Where every assignment of few VMs to few hosts breaks a hard rule, a contradiction, if one is told, is true. */
static bool can_be_kept(const PlanRule *rules, guint n, guint n_vms, guint n_hosts)
{
  WsId at[8] = {0};
  PlanWhere where = {look_up, at};
  guint all = 1;
  for (guint i = 0; i < n_vms; i++)
    all *= n_hosts;
  for (guint code = 0; code < all; code++) {
    guint rest = code;
    for (guint i = 1; i <= n_vms; i++, rest /= n_hosts)
      at[i] = 10 + rest % n_hosts;
    g_autoptr(GArray) broken = plan_rules_violations(rules, n, &where);
    if (!broken->len)
      return true;
  }
  return false;
}

static void told_contradictions_are_true(void)
{
  PlanChance chance;
  plan_chance_seed(&chance, 7);
  guint told = 0;
  for (guint round = 0; round < 3000; round++) {
    Row rows[3];
    PlanRule rules[3];
    guint n = 1 + plan_chance_below(&chance, 3);
    memset(rows, 0, sizeof rows);
    for (guint i = 0; i < n; i++) {
      guint m = 0, h = 0;
      rows[i].rule.kind = PLAN_RULE_KEEP_TOGETHER + plan_chance_below(&chance, 6);
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
    if (!plan_rules_conflict(rules, n, &conflict))
      continue;
    told++;
    bool empty = conflict.a == conflict.b; /* a rule that names no host */
    if (!empty && can_be_kept(rules, n, 4, 3))
      g_error("round %u: %s", round, conflict.reason);
  }
  g_assert_cmpuint(told, >, 100);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/plan-rules/each_kind_means_what_it_says", each_kind_means_what_it_says);
  g_test_add_func("/plan-rules/refusal_names_the_rule_and_the_other_vm", refusal_names_the_rule_and_the_other_vm);
  g_test_add_func("/plan-rules/named_target_may_leave_its_fellows", named_target_may_leave_its_fellows);
  g_test_add_func("/plan-rules/violations_leave_one_vm_in_its_place", violations_leave_one_vm_in_its_place);
  g_test_add_func("/plan-rules/contradictions_are_found_with_both_rules", contradictions_are_found_with_both_rules);
  g_test_add_func("/plan-rules/told_contradictions_are_true", told_contradictions_are_true);
  return g_test_run();
}
