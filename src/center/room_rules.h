// SPDX-License-Identifier: Apache-2.0
/* The affinity rules of a cluster, as the planner asks for them, and what they say of a host. Any thread: functions of a snapshot. */
#pragma once
#include "inventory/inventory.h"
#include "model/model.h"
#include "plan/place.h"
#include "plan/rules.h"
#include "plan/tally.h"

/* A VM that has no id yet stands in rules (by its labels) as this one. */
#define ROOM_DRAFT G_MAXUINT64

/* Over so many fault domains a rule spreads that does not say. */
#define ROOM_DOMAINS_MIN 2

/* A VM whose host is chosen and that is not in the inventory yet. */
typedef struct {
  WsId vm; /* what it will be */
  WsId host; /* 0: not chosen yet */
  WsVm *draft;
  bool starts; /* as soon as it is there: it needs its room now */
  const void *batch; /* whose member it is that has not come to its own placement yet; NULL: none */
} RoomPromise;

typedef struct {
  const InvSnapshot *snap; /* borrowed; outlives it */
  const GPtrArray *promises; /* RoomPromise; borrowed; NULL: none. The i-th stands in rules as ROOM_DRAFT - 1 - i */
  GArray *rules;           /* PlanRule: those that are enabled; names borrowed from the snapshot */
  GPtrArray *lists;        /* owns what rules point at */
  GHashTable *arrivals;    /* WsId of a VM that moves -> WsId of the host it goes to */
  const GHashTable *moved; /* WsId of a VM -> WsId: where it is by then, whatever the snapshot says; borrowed; NULL: none */
  GHashTable *domains; /* WsId of a host -> WsId: the first host of its fault domain; NULL: no rule asks */
  GPtrArray *tallies;  /* PlanTally of each rule that was asked about; NULL: none yet */
  WsId emptied;            /* a host whose VMs bind nobody, for they leave it; so do those of hosts that enter maintenance */
} RoomRules;

/* `draft` (may be NULL): a VM that is not in the snapshot yet. `changed` (may be NULL): a rule as it would be, in the place of the one with its id. */
RoomRules *room_rules_new(const InvSnapshot *snap, WsId cluster, const WsVm *draft, const WsAffinityRule *changed);
/* The same with VMs that were promised to hosts of the cluster. Those that are in the snapshot by now must not be among them. */
RoomRules *room_rules_new_with(const InvSnapshot *snap, WsId cluster, const WsVm *draft, const GPtrArray *promises);
void room_rules_free(RoomRules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RoomRules, room_rules_free)

/* Of VMs that run (or are being made or started), of moving ones both hosts. arg: RoomRules. */
guint room_rules_hosts_of(WsId vm, WsId hosts[2], void *arg);
/* What stands for the fault domain of a host: the first host of it. arg: RoomRules. */
WsId room_rules_domain_of(WsId host, void *arg);
/* How many fault domains the hosts of a cluster make up. */
guint room_domains(const InvSnapshot *snap, WsId cluster);
/* Why a rule keeps the VM from this host, or NULL. `together`: keep together counts. Caller frees. */
char *room_rules_refusal(RoomRules *rules, WsId vm, WsId host, bool together);
guint room_rules_dislikes(RoomRules *rules, WsId vm, WsId host);
/* `moved` and `emptied` may have changed since the last call, hosts of promises only if that was told.
 * Marks hosts (of this cluster) that rules keep the VM from, and those that it should not be on. `texts`
 * keeps the reasons: one that frees. */
void room_rules_weigh(RoomRules *rules, WsId vm, PlanHost *hosts, guint n, GPtrArray *texts);
/* From now on the VM counts as on its way to this host. */
void room_rules_sends(RoomRules *rules, WsId vm, WsId host);
/* The host of a promised VM was chosen, or is not any more. */
void room_rules_promised(RoomRules *rules, const RoomPromise *promise);
/* The contract's list of what breaks them now, of one rule (0: of all). Caller frees. */
WsAffinityViolations *room_rules_violations(RoomRules *rules, WsId only);
/* WS_ERROR_RULE_CONFLICT naming the two rules. */
bool room_rules_check(RoomRules *rules, GError **error);
/* The same, of the rule that has changed alone: not what the others were among themselves before. It is
 * enabled. */
bool room_rules_check_last(RoomRules *rules, GError **error);
/* VMs that move now or are about to (room_way()), and where to, by their tasks' records. Caller unrefs. */
GHashTable *room_arrivals(const InvSnapshot *snap);
