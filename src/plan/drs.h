// SPDX-License-Identifier: Apache-2.0
/* DRS: which VMs of a cluster to move now, why, and in which order. Pure: a snapshot in, moves with their reasons out.
 *
 * **Unit.** All is weighed in processor seconds over a horizon. A host's stress is the processor time that its guests lose there, in hardware threads:
 *
 *     threads x (f(cpu, threshold) + f(memory, threshold)),   f(u, t) = u^4 + 4 max(0, u - t)
 *
 * u is what the guests want over what there is, and may be above 1. The first term is the waiting that comes before the limit (it grows as queues do:
 * little at a half, much at nine tenths); the second what is above the threshold. A move saves the fall of the stress of its two hosts times the
 * horizon, and costs what it takes to copy the guest. It is made only when what it saves is a multiple of the cost (the aggression says which), so
 * each plan lowers one number by a least amount; and where none is left that does, nothing moves: a static load is moved once and never again.
 *
 * **Order.** First VMs leave hosts that are to be empty, then broken rules are healed, then hosts that were above the thresholds for long enough are
 * relieved. Each move leaves a state in which every VM has its memory and vCPUs and no hard rule is broken that was not before. VMs are on both hosts
 * while they move: moves of one *wave* fit all at once; a wave begins when the one before it has ended. */
#pragma once
#include "plan/rules.h"
#include <glib.h>

#define PLAN_DRS_NOWHERE G_MAXUINT32

typedef struct {
  const char *name;          /* borrowed */
  const char *domain;        /* fault domain; NULL: one of its own. Borrowed */
  double threads;            /* of its processors; 0: not known: it takes nothing */
  gint64 memory_bytes;       /* that it has */
  gint64 memory_limit_bytes; /* that may be promised; 0: no limit is known */
  gint64 vcpus_limit;        /* the same */
  gint64 memory_real_bytes, cpu_percent; /* what VMs may reserve; 0: not known */
  bool takes;                /* VMs may go there: connected, in service */
  bool empties;              /* its VMs are to leave */
  double hot_s;              /* above the thresholds for so long, as the caller saw; only then its VMs leave for the load's sake */
} PlanDrsHost;

typedef struct {
  const char *name;         /* borrowed */
  guint32 host;             /* PLAN_DRS_NOWHERE: it runs nowhere yet (plan_drs_place()) */
  guint32 reach;            /* row of the table of reasons */
  double cpu, cpu_forecast; /* hardware threads wanted: now, and over the horizon */
  gint64 memory_used_bytes; /* what it uses, ... */
  gint64 memory_bytes;      /* and what it was promised */
  gint64 vcpus;
  gint64 memory_reserved_bytes, cpu_reserved_percent; /* for itself alone; dpm.h counts them */
  double cost_s;            /* processor seconds that moving it takes */
  bool movable;             /* it may be moved at all */
  bool rested;              /* and for the load's sake: it is measured, and did not move just now */
} PlanDrsVm;

typedef struct {
  guint32 n_hosts, n_vms, n_rules;
  PlanDrsHost *hosts;
  PlanDrsVm *vms;
  const char **reach;    /* [vm.reach x n_hosts + host]: why a VM of this row cannot go there; NULL: it can. Borrowed */
  const PlanRule *rules; /* VMs and hosts by their index here, plus 1 */
} PlanDrs;

typedef struct {
  double cpu_percent, memory_percent; /* thresholds */
  bool both;          /* a host is hot when both are passed, else when one is */
  double duration_s;  /* hosts hot for less are left alone */
  guint aggression;   /* 1 to 5, as the contract says */
  double uneven_s;    /* used unevenly for so long, as the caller saw: for aggression 4 and 5 */
  bool balance, heal; /* what to do */
  double horizon_s;   /* 0: PLAN_DRS_HORIZON_S */
  guint max_moves;    /* 0: PLAN_DRS_MOVES_MAX */
} PlanDrsOptions;

#define PLAN_DRS_HORIZON_S 600
#define PLAN_DRS_MOVES_MAX 64
#define PLAN_DRS_ALTERNATIVES 8

/* In the order of the contract. */
typedef enum {
  PLAN_DRS_RULE = 1,
  PLAN_DRS_EVACUATE,
  PLAN_DRS_CPU,
  PLAN_DRS_MEMORY,
  PLAN_DRS_BALANCE,
  PLAN_DRS_POWER,
  PLAN_DRS_MAKE_ROOM,
} PlanDrsReason;

typedef struct {
  double cpu, memory; /* percent wanted */
} PlanDrsLoad;

typedef struct {
  guint32 host;
  double gain_s;
  char *refused; /* NULL: it could take it. Owned by the move */
} PlanDrsAlternative;

typedef struct {
  guint32 vm, from, to;
  PlanDrsReason reason;
  guint32 rule;         /* that it heals; G_MAXUINT32: none */
  guint priority;       /* 1 to 5 */
  guint wave;
  double gain_s, cost_s; /* gain: cost taken off */
  PlanDrsLoad from_before, from_after, to_before, to_after;
  PlanDrsAlternative alternatives[PLAN_DRS_ALTERNATIVES];
  guint n_alternatives;
} PlanDrsMove;

typedef struct {
  GArray *moves;     /* PlanDrsMove, in order */
  double stress_before, stress_after; /* of all hosts, hardware threads */
  guint n_broken;    /* hard rules' violations that no move could heal */
} PlanDrsResult;

void plan_drs(const PlanDrs *problem, const PlanDrsOptions *options, PlanDrsResult *result);
void plan_drs_result_clear(PlanDrsResult *result);

/* What guests want of each host now. `loads`: n_hosts of them. */
void plan_drs_loads(const PlanDrs *problem, PlanDrsLoad *loads, guint *n_vms);
bool plan_drs_is_hot(const PlanDrsLoad *load, const PlanDrsOptions *options);
/* Between the host that is used most and the one that is used least, of those that take VMs; percent points. */
double plan_drs_imbalance(const PlanDrs *problem);
/* From what on hosts count as used unevenly; 0: they never do. */
double plan_drs_uneven_percent(guint aggression);

/* Finds a host for each VM that runs nowhere, the largest first, with the least stress, and sets vm.host. Returns how many found none; *why (may be
 * NULL; caller frees) says why the first of them did not. */
guint plan_drs_place(PlanDrs *problem, const PlanDrsOptions *options, char **why);
