// SPDX-License-Identifier: Apache-2.0
/* DPM: which host to switch off while little is wanted, and which to wake before more is wanted than there is.
 *
 * A host is switched off when the cluster wanted less than the low thresholds for long enough, its VMs find room on the others with every rule kept, none of these
 * comes above the high thresholds by the forecast, and what is left on still bears the loss of `spare` hosts. A host is woken when more than a high threshold is
 * wanted for long enough, by what is measured or by the forecast (a host takes minutes to come up), or at once when the loss of `spare` hosts could not be borne or
 * fewer than `min_on` are on. One host at a time: the next look sees what came of it. Pure. */
#pragma once
#include "plan/drs.h"

typedef struct {
  bool may_sleep; /* it can be switched off and woken again, and nothing keeps it */
  bool asleep;    /* DPM switched it off: it may be woken */
} PlanDpmHost;

typedef struct {
  double low_cpu_percent, low_memory_percent; /* both must be fallen below */
  double high_cpu_percent, high_memory_percent; /* one that is passed is enough */
  double low_s, high_s; /* the cluster is below, above for so long, as the caller saw */
  double duration_s;
  guint min_on, spare;
} PlanDpmOptions;

typedef enum { PLAN_DPM_NOTHING, PLAN_DPM_SLEEP, PLAN_DPM_WAKE } PlanDpmAction;

/* In the order of the contract. */
typedef enum {
  PLAN_DPM_IDLE = 1, /* the low thresholds */
  PLAN_DPM_BUSY,     /* the high ones */
  PLAN_DPM_SPARE,    /* what is on does not bear the loss of hosts */
  PLAN_DPM_FEW,      /* fewer than min_on are on */
} PlanDpmReason;

typedef struct {
  double cpu, cpu_forecast, memory; /* percent of what is on; memory: the larger of used and promised */
  guint n_on, n_asleep;
} PlanDpmLoad;

typedef struct {
  PlanDpmAction action;
  PlanDpmReason reason;
  guint32 host;
  PlanDpmLoad before, after;
} PlanDpm;

PlanDpmLoad plan_dpm_load(const PlanDrs *problem, const PlanDpmHost *hosts);
bool plan_dpm_is_low(const PlanDpmLoad *load, const PlanDpmOptions *options);
bool plan_dpm_is_high(const PlanDpmLoad *load, const PlanDpmOptions *options);
/* `hosts`: one for each of the problem's. */
PlanDpm plan_dpm(const PlanDrs *problem, const PlanDrsOptions *drs, const PlanDpmHost *hosts, const PlanDpmOptions *options);
