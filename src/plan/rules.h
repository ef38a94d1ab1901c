// SPDX-License-Identifier: Apache-2.0
/* Affinity rules: what each means, whether a set of them contradicts itself, and what breaks them.
 *
 * must, must not, must spread and keep apart are hard: a host that breaks them is not chosen. keep together
 * is hard where a host is chosen, but a VM that is sent somewhere by name may leave its fellows: they follow,
 * one by one. should, should not and should spread only say which of the possible hosts are better. What it
 * is to spread, domains.h says.
 *
 * A VM may count at two places at a time: while it moves it is on both hosts. A VM that runs nowhere binds
 * nobody. Ids are only compared; a planner may number its own VMs and hosts from 1. Pure. */
#pragma once
#include "base/id.h"
#include <stdbool.h>

/* In the order of the contract. */
typedef enum {
  PLAN_RULE_KEEP_TOGETHER = 1,
  PLAN_RULE_KEEP_APART,
  PLAN_RULE_MUST_RUN_ON,
  PLAN_RULE_MUST_NOT_RUN_ON,
  PLAN_RULE_SHOULD_RUN_ON,
  PLAN_RULE_SHOULD_NOT_RUN_ON,
  PLAN_RULE_MUST_SPREAD,
  PLAN_RULE_SHOULD_SPREAD,
} PlanRuleKind;

typedef struct {
  WsId id;
  const char *name; /* for reasons; borrowed */
  PlanRuleKind kind;
  const WsId *vms, *hosts; /* borrowed; each once, in rising order */
  guint n_vms, n_hosts;
  guint min_domains; /* of those that spread */
} PlanRule;

struct PlanTally;

/* Where VMs are: writes at most two hosts (where it is, then where it goes), returns how many. */
typedef struct {
  guint (*hosts_of)(WsId vm, WsId hosts[2], void *arg);
  void *arg;
  WsId (*domain_of)(
      WsId host, void *arg); /* the same for all hosts of a fault domain; NULL: each host is one of its own */
  struct PlanTally *(*tally_of)(
      const PlanRule *rule,
      void *arg); /* tally.h, of a rule that spreads, up to date; NULL, or NULL from it: VMs are looked up */
  WsId (*home_of)(
      WsId vm,
      void *arg); /* where it runs now, even if it binds nobody there; 0: nowhere; NULL: by hosts_of */
} PlanWhere;

static inline bool plan_rule_names_hosts(PlanRuleKind kind)
{
  return kind >= PLAN_RULE_MUST_RUN_ON && kind <= PLAN_RULE_SHOULD_NOT_RUN_ON;
}

static inline bool plan_rule_spreads(PlanRuleKind kind)
{
  return kind == PLAN_RULE_MUST_SPREAD || kind == PLAN_RULE_SHOULD_SPREAD;
}

static inline bool plan_rule_is_hard(PlanRuleKind kind)
{
  return kind <= PLAN_RULE_MUST_NOT_RUN_ON || kind == PLAN_RULE_MUST_SPREAD;
}

bool plan_rule_has_vm(const PlanRule *rule, WsId vm);
bool plan_rule_has_host(const PlanRule *rule, WsId host);

/* Would the VM break the rule on this host, with all others where they are? *other (may be NULL): the VM that it collides with; 0: none.
 * A VM that the rule is not about breaks nothing. */
bool plan_rule_breaks(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other);
/* First hard rule that it would break, or NULL. `together`: keep together counts. */
const PlanRule *plan_rules_refusal(const PlanRule *rules, guint n, WsId vm, WsId host, bool together, const PlanWhere *where, WsId *other);
/* How many soft rules it would break. */
guint plan_rules_dislikes(const PlanRule *rules, guint n, WsId vm, WsId host, const PlanWhere *where);
/* "rule web keeps it apart from db-1": a phrase. `other`: name of the VM it collides with; NULL: none. Caller frees. */
char *plan_rule_reason(const PlanRule *rule, const char *other);

typedef struct {
  guint rule; /* index */
  WsId vm, host, other;
} PlanViolation;

/* All that breaks them now: of VMs that should be apart all but one for each host, of those that should be
 * together those that are not where most are, of those that spread as many as domains are missing. Caller
 * unrefs. */
GArray *plan_rules_violations(const PlanRule *rules, guint n, const PlanWhere *where);

typedef struct {
  guint a, b;         /* indexes; may be the same */
  const char *reason; /* static text, a phrase */
} PlanConflict;

/* The hosts that there are, each with its fault domain. */
typedef struct {
  const WsId *hosts, *domains; /* borrowed; hosts in rising order */
  guint n;
} PlanDomains;

/* Is there a way to keep all of them, however many hosts and however much room there is? True: there is none,
 * and *conflict names two that cannot be. Of VMs that must spread it must be so whichever of them run.
 * False may be wrong where those that must spread may be in sets of domains that overlap, none within
 * another. `domains`: NULL: hosts that rules do not name are not known, and each is a domain of its own. */
bool plan_rules_conflict(const PlanRule *rules, guint n, const PlanDomains *domains, PlanConflict *conflict);
/* The same of the last of them: what the others cannot keep among themselves is not told. */
bool plan_rules_conflict_last(const PlanRule *rules, guint n, const PlanDomains *domains,
                              PlanConflict *conflict);
