// SPDX-License-Identifier: Apache-2.0
/* A day of a cluster whose load changes: office hours, evenings, jobs at night, bursts and noise; VMs come
 * and go, hosts fail and return. One of several policies looks at it once a minute, and what it decides is
 * done at once. All of it is a function of the seed, and what guests want does not depend on the policy. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef enum {
  PLAN_DAY_NOBODY,
  PLAN_DAY_GREEDY, /* of each host hot for long enough the largest VM goes to the host that is used least */
  PLAN_DAY_HBAL, /* every so many minutes all moves that gain what hbal's score wants at least (balance.h) */
  PLAN_DAY_DRS
} PlanDayPolicy;

typedef struct {
  guint n_hosts; /* of 16 threads; ten VMs of 4 vCPUs for each */
  guint64 seed;
  double crowd;    /* what all want, times so much */
  bool churn;      /* VMs come and go, hosts fail */
  guint memory;    /* of guests and hosts, times so much: what a move costs; 0: once */
  guint every_min; /* how often hbal looks */
} PlanDay;

typedef struct {
  guint moves;          /* that the policy made; where VMs were started anew is not its doing */
  guint back;           /* of them to a host that the VM left less than an hour before */
  guint hot_min;        /* of hosts, by what is wanted in truth: above the threshold; */
  double contended_min; /* more wanted than there is */
  guint broken;         /* moves after which more rules were broken */
  guint advised_again;  /* moves, by a second look of DRS at what the first one left */
  guint not_worth; /* moves of DRS that save less than twice what they cost, as its aggression asks for */
  guint too_soon;  /* moves of a VM that moved a minute before, or was hardly measured yet */
  guint started, failed; /* VMs that came; hosts that failed */
  double wanted, served; /* thread minutes */
} PlanDayOutcome;

PlanDayOutcome plan_day_live(const PlanDay *day, PlanDayPolicy policy);
const char *plan_day_policy_name(PlanDayPolicy policy);
