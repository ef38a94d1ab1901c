// SPDX-License-Identifier: Apache-2.0
/* Placement of one new VM: which hosts can take it, and which is best. Pure: no I/O, no clock.
 *
 * Filters name their reason per host ("host-7: architecture aarch64"). Among those left the one that breaks
 * fewest soft rules, then what the strategy says, lowest id on a tie:
 *
 *     spread        the host that is used least with the VM there
 *     concentrated  the one that is used most, of those that are filled up to the threshold at most with it;
 * when each would be above it, as spread
 *
 * Each host has the strategy of its cluster, unless the demand names one. Where both meet, hosts to be filled
 * come first.
 *
 * How much a host is used is the mean of what is promised (the larger of memory and vCPUs, with the VM) and
 * of what was measured (the larger of processors and memory); of one that was not measured it is what is
 * promised alone. Where that is alike the other one of memory and vCPUs says it. How far it is filled is the
 * largest of the four. What was measured never forbids a host.
 *
 * What VMs have reserved is never promised twice: memory reserved counts as a whole, beside it the rest
 * divided by the overcommit ratio; processors reserved are never more than there are. */
#pragma once
#include "base/id.h"
#include <stdbool.h>

typedef enum { PLAN_SPREAD = 1, PLAN_CONCENTRATED } PlanStrategy; /* in the order of the contract */

#define PLAN_FILL_PERCENT 80 /* where nobody says */

typedef struct {
  WsId id;
  const char *name;         /* for reasons; borrowed */
  int architecture;         /* of the contract's enum; 0: unknown */
  bool connected;
  bool in_service;          /* not in maintenance mode, nor on the way there */
  bool reaches;             /* sees every pool that the VM needs */
  WsId cluster;             /* 0: none */
  gint64 memory_bytes;      /* that may be promised, with overcommit; 0: unknown */
  gint64 memory_used_bytes; /* promised to VMs that are not off */
  gint64 vcpus, vcpus_used; /* the same of vCPUs */
  gint64 memory_real_bytes; /* that VMs can have at all, without overcommit; 0: unknown */
  gint64 memory_reserved_bytes; /* of memory_used_bytes: by VMs for themselves */
  gint64 cpu_percent, cpu_reserved_percent; /* 100: one hardware thread; there are, are reserved; 0: unknown */
  bool measured;                            /* the two below are known */
  double measured_cpu_percent, measured_memory_percent; /* used of the machine, lately */
  PlanStrategy strategy;                                /* 0: spread */
  guint fill_percent;       /* concentrated: filled so far; 0: PLAN_FILL_PERCENT */
  guint dislikes;           /* soft affinity rules that it would break there */
  const char *barred;       /* what else stands against it, found by who asks; borrowed. NULL: nothing */
} PlanHost;

typedef struct {
  int architecture; /* 0: any */
  gint64 memory_bytes, vcpus;
  gint64 memory_reserved_bytes, cpu_reserved_percent; /* 0: nothing */
  WsId only_host;    /* 0: any */
  WsId only_cluster; /* 0: any */
  bool running;      /* it is to be started at once: what is promised now counts, not only what there is */
  PlanStrategy strategy; /* 0: each host's own */
} PlanDemand;

/* Why this host cannot take it (static text, or host->barred), or NULL: it can. */
const char *plan_refusal(const PlanHost *host, const PlanDemand *demand);
/* The same, of what is reserved alone. */
const char *plan_reservation_refusal(const PlanHost *host, const PlanDemand *demand);
/* What the host is chosen by: concentrated only as long as it is below its threshold with the VM. */
PlanStrategy plan_chosen_by(const PlanHost *host, const PlanDemand *demand);
/* 0 to 100: what share of it is not used once the VM is there. */
int plan_score(const PlanHost *host, const PlanDemand *demand);
/* It holds its share there from now on; minus: no more. */
void plan_host_add(PlanHost *host, const PlanDemand *demand, int times);
/* Id of the host, or 0; then *why (caller frees) says for each host why not. */
WsId plan_place(const PlanHost *hosts, guint n, const PlanDemand *demand, char **why);

/* ---- what was weighed ---- */

#define PLAN_OTHERS_MAX 3
#define PLAN_OUT_MAX    5 /* hosts that are named, of those left out */

typedef struct {
  guint chosen;                  /* index; n: none */
  guint others[PLAN_OTHERS_MAX]; /* the next best, the best first */
  guint n_others;
  guint n_out;                   /* hosts that cannot take it */
  char *out;                     /* the first of them with their reasons; NULL: none. Owned */
} PlanChoice;

void plan_weigh(const PlanHost *hosts, guint n, const PlanDemand *demand, PlanChoice *choice);
void plan_choice_clear(PlanChoice *choice);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PlanChoice, plan_choice_clear)

/* ---- many alike, as one ---- */

/* Marks anew what depends on where the members before it are (dislikes, barred): the first `placed` of at[] are indexes of hosts. */
typedef void (*PlanMarks)(PlanHost *hosts, guint n, const guint *at, guint placed, void *arg);

/* A host for each of `count` alike, `at[i]` its index. False: at most so many fit (*fit), and *why (caller frees) says of each host why it takes no
 * more. hosts are left as they would be then. marks NULL: nothing depends on the others. */
bool plan_place_many(PlanHost *hosts, guint n, const PlanDemand *demand, guint count, PlanMarks marks, void *arg, guint *at, guint *fit, char **why);
