// SPDX-License-Identifier: Apache-2.0
/* Rules that spread VMs over fault domains: what fails as one, such as the hosts of a rack.
 *
 * A rule is kept when the VMs of it that run are in `min_domains` different domains at least, or, while fewer
 * run, each in one of its own: what is missing is min(running, min_domains) - domains that hold one. A host
 * that names no domain is one of its own. A VM is refused a domain that holds another one of the rule's while
 * any is missing otherwise; one where none of them is, or that it is in itself
 * now, never. So no start and no move lets more be missing
 * than before.
 *
 * Of a VM that moves nobody knows yet which of its two hosts will have it: both domains hold it for those
 * that would come beside it, and of the two at least one is counted, if no other VM holds either. Inside of
 * rules.h. Pure. */
#pragma once
#include "plan/rules.h"

WsId plan_domain_of(const PlanWhere *where, WsId host);
/* Where the VM is or may be soon, each once; 0: nowhere. */
guint plan_domains_of(const PlanWhere *where, WsId vm, WsId domains[2]);
/* Is this the domain that the VM runs in now? It may stay there, whoever else is. */
bool plan_domains_stays(const PlanWhere *where, WsId vm, WsId domain);
/* Would the VM be beside another one of the rule's while domains are missing? *other: that one. */
bool plan_domains_refuse(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other);
/* As many VMs that share a domain as domains are missing, each with one that it shares it with. VMs that move
 * are looked at where they go. */
void plan_domains_find(const PlanRule *rule, guint index, const PlanWhere *where, GArray *found);
