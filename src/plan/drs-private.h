// SPDX-License-Identifier: Apache-2.0
/* Inside of DRS: where each VM is, what hosts carry, known at once after each move. */
#pragma once
#include "plan/drs.h"

typedef struct {
  double cpu;          /* threads wanted */
  gint64 memory_used;
  gint64 promised, vcpus;       /* after all moves so far */
  gint64 held, held_vcpus;      /* while the moves of this wave are under way: on both ends */
} DrsHostState;

typedef struct DrsSpread DrsSpread;

typedef struct {
  const PlanDrs *problem;
  const PlanDrsOptions *options;
  double horizon_s;
  guint32 *at;         /* host of each VM */
  guint32 *left;       /* host that it is leaving in this wave; PLAN_DRS_NOWHERE: it stays */
  DrsHostState *hosts;
  GArray **rules;      /* by VM: guint32, rules that it is in; NULL: none */
  guint32 *domain;     /* [host]: number of its fault domain; NULL: no rule asks */
  DrsSpread **spread;  /* [rule]: where the VMs are that it spreads; NULL: it does not */
  bool sees_both;      /* rules see VMs that move on both hosts */
  guint wave;
  GArray *moves;       /* PlanDrsMove */
} DrsState;

void drs_state_init(DrsState *state, const PlanDrs *problem, const PlanDrsOptions *options);
void drs_state_clear(DrsState *state);

static inline double drs_vm_cpu(const PlanDrsVm *vm)
{
  return (vm->cpu + vm->cpu_forecast) / 2;
}

PlanDrsLoad drs_load(const DrsState *state, guint32 host);
/* Of a host with so much more on it; threads. */
double drs_stress(const DrsState *state, guint32 host, double more_cpu, gint64 more_memory_used);
double drs_all_stress(const DrsState *state);
bool drs_is_hot(const DrsState *state, guint32 host);
PlanWhere drs_where(DrsState *state);

/* ---- drs_domains.c: rules that spread, each question answered without a look at their other VMs ---- */
void drs_domains_init(DrsState *state);
void drs_domains_clear(DrsState *state);
/* The VM counts there from now on; either may be PLAN_DRS_NOWHERE. */
void drs_domains_shift(DrsState *state, guint32 vm, guint32 from, guint32 to);
bool drs_domains_counts(const DrsState *state, guint32 rule);
/* Is the host of the fault domain that the VM is in? */
bool drs_domains_stays(const DrsState *state, guint32 vm, guint32 host);
/* As plan_rule_breaks(), with all others where they count, none of them on two hosts. */
bool drs_domains_refuse(DrsState *state, guint32 rule, guint32 vm, guint32 host);
guint drs_domains_missing(const DrsState *state, guint32 rule);
/* How many domains rules that should spread miss with these VMs (each once) on this host. */
guint drs_domains_dislikes(DrsState *state, const guint32 *unit, guint n, guint32 host);
/* Is another VM of the rule in the fault domain of this one? */
bool drs_domains_shares(const DrsState *state, guint32 rule, guint32 vm);
/* Does some rule spread both? */
bool drs_domains_bind(const DrsState *state, guint32 a, guint32 b);

/* Why this VM cannot go there, or NULL: static text, or *owned (caller frees), which is also what is returned. `together`: as in rules.h. */
const char *drs_refusal(DrsState *state, guint32 vm, guint32 host, bool together, char **owned);
/* The same, but only whether; cheap. `room`: memory and vCPUs count too. */
bool drs_may(DrsState *state, guint32 vm, guint32 host, bool together, bool room);
/* Soft rules that it breaks there, those that spread left out (drs_domains_dislikes()). */
guint drs_dislikes(DrsState *state, guint32 vm, guint32 host);
/* Processor seconds that the move of these VMs (all on one host) saves, cost taken off. */
double drs_gain(const DrsState *state, const guint32 *vms, guint n, guint32 to);
/* The same if so much more of its memory were in use (may be negative). */
double drs_gain_with(const DrsState *state, const guint32 *vms, guint n, guint32 to, gint64 more_memory_used);
/* Moves it, with reasons and alternatives. */
void drs_move(DrsState *state, guint32 vm, guint32 to, PlanDrsReason reason, guint32 rule, double gain_s);
/* Puts one there that runs nowhere yet. */
void drs_enter(DrsState *state, guint32 vm, guint32 host);

/* Hosts that are alike, the one whose processors are used least first: from some place on none can be worth
 * it. */
typedef struct {
  double threads;
  gint64 memory_bytes;
  guint32 *hosts, n;
  gint64 least_used; /* memory, on any of them, or less */
} DrsKind;

typedef struct {
  const DrsState *state;
  DrsKind *kinds;
  guint n_kinds;
  guint32 *hosts; /* of all kinds */
  guint32 *kind;  /* [host] */
} DrsOrder;

DrsOrder *drs_order_new(const DrsState *state);
void drs_order_free(DrsOrder *order);
/* What is on the host has changed. */
void drs_order_changed(DrsOrder *order, guint32 host);
/* No host from that place on can save more by taking these VMs (as drs_gain()). */
double drs_order_gain(const DrsOrder *order, const guint32 *vms, guint n, guint kind, guint32 from_place);
