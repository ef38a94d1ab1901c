// SPDX-License-Identifier: Apache-2.0
/* Where the VMs of one rule that spreads are, by fault domain: looked up once, and again for each that is
 * told to be elsewhere now. So what a host would break is known without a look at the other VMs. Inside of
 * rules.h, and for who asks it about many hosts (PlanWhere.tally_of). Pure. */
#pragma once
#include "plan/rules.h"

typedef struct PlanTally PlanTally;

/* The rule is borrowed. */
PlanTally *plan_tally_new(const PlanRule *rule, const PlanWhere *where);
void plan_tally_free(PlanTally *tally);
/* This VM (one that the rule is not about: nothing) may be elsewhere now. */
void plan_tally_look(PlanTally *tally, WsId vm, const PlanWhere *where);
/* As plan_domains_refuse(), with all where they were looked up last. */
bool plan_tally_refuse(PlanTally *tally, WsId vm, WsId host, const PlanWhere *where, WsId *other);
