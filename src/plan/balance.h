// SPDX-License-Identifier: Apache-2.0
/* Balance of a cluster: which VMs to move so that its hosts are used evenly, with few moves, each of which leaves a state that is allowed.
 *
 * A VM is on a host and may have a standby copy of its disks on a second one (then that host keeps memory in reserve for it); or its disks are shared
 * and it may go anywhere. Hosts that are out of service take nothing and are emptied: the same search plans maintenance, and the restart of VMs
 * whose hosts failed.
 *
 * The score is the sum, over what is measured of hosts, of the standard deviation between them (0: all alike), and of what should not be at all: hosts
 * that lack the memory they should keep in reserve, VMs on hosts that are out of service, VMs of one group on one host. It is the score of
 * Ganeti's hbal, weight by weight, so that both can be compared. A move is made only for a gain of at least `min_gain`; what was planned from a state
 * and done leaves a state from which nothing is planned. Pure. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define PLAN_NO_HOST G_MAXUINT32

typedef enum { PLAN_LOAD_CPU, PLAN_LOAD_MEMORY, PLAN_LOAD_DISK, PLAN_LOAD_NET, PLAN_N_LOADS } PlanLoad;

typedef struct {
  gint64 memory, memory_free; /* any unit, the same throughout */
  gint64 disk, disk_free;
  double cpus;                /* hardware threads, times their speed */
  double spindles;            /* I/O load that it should carry; 0: not measured */
  guint32 set;                /* VMs move between hosts of one set only */
  bool in_service;
} PlanBalanceHost;

typedef enum {
  PLAN_DISKS_FIXED,    /* on the host: it cannot move */
  PLAN_DISKS_MIRRORED, /* on two hosts */
  PLAN_DISKS_SHARED,
} PlanDisks;

typedef struct {
  gint64 memory, disk;
  guint32 vcpus;
  double spindles;
  double load[PLAN_N_LOADS];
  PlanDisks disks;
  bool runs;            /* takes memory and processors */
  bool is_reserved_for; /* the second host keeps memory for it */
  guint32 host, second; /* PLAN_NO_HOST: none */
  guint32 tags_start, n_tags; /* groups to be kept apart, as numbers in PlanCluster.tags */
} PlanBalanceVm;

typedef struct {
  guint32 n_hosts, n_vms, n_tags;
  PlanBalanceHost *hosts;
  PlanBalanceVm *vms;
  guint32 *tags;       /* below n_tags */
  double vcpu_ratio;   /* vCPUs for each of a host's cpus; 0: no limit */
} PlanCluster;

typedef enum {
  PLAN_STEP_FAILOVER,         /* the two hosts change roles */
  PLAN_STEP_NEW_SECOND,
  PLAN_STEP_NEW_HOST,         /* failover, new second host, failover back: a new first host */
  PLAN_STEP_FAILOVER_SECOND,  /* the second becomes the first; another second */
  PLAN_STEP_SECOND_FAILOVER,  /* another second, which becomes the first; the first becomes the second */
  PLAN_STEP_MIGRATE,          /* shared disks: to another host */
  PLAN_N_STEPS,
} PlanStepKind;

typedef struct {
  guint32 vm;
  PlanStepKind kind;
  guint32 host_before, second_before, host, second;
  double score; /* of the cluster after it */
} PlanStep;

#define PLAN_N_SCORE_PARTS 14

typedef struct {
  double min_gain; /* of one move; 0: the default, which grows with the score at the beginning and falls with the number of VMs */
  guint32 max_steps; /* 0: no limit */
  bool only_evacuate; /* move only what is on hosts out of service */
} PlanBalanceOptions;

typedef struct {
  double score_before, score_after;
  PlanStep *steps;
  guint32 n_steps;
  guint32 n_stranded; /* VMs on hosts out of service that nothing can take */
} PlanBalanceResult;

/* A planner that stays: it keeps what it knows of the cluster and answers at once. It copies hosts and VMs; the tags are borrowed. One thread at a time. */
typedef struct PlanBalancer PlanBalancer;
PlanBalancer *plan_balancer_new(const PlanCluster *cluster);
void plan_balancer_free(PlanBalancer *balancer); /* NULL: nothing */
/* What has changed: a host goes into service or out of it, a VM is on other hosts. */
void plan_balancer_set_in_service(PlanBalancer *balancer, guint32 host, bool in_service);
void plan_balancer_move(PlanBalancer *balancer, guint32 vm, guint32 host, guint32 second);
/* As plan_balance(), plan_balance_place() and plan_balance_score() of the cluster as it is; nothing is moved. */
void plan_balancer_plan(PlanBalancer *balancer, const PlanBalanceOptions *options, PlanBalanceResult *result);
guint32 plan_balancer_place(PlanBalancer *balancer, const PlanBalanceVm *vm, double *score);
double plan_balancer_score(const PlanBalancer *balancer, double parts[PLAN_N_SCORE_PARTS]);

void plan_balance(const PlanCluster *cluster, const PlanBalanceOptions *options, PlanBalanceResult *result);
void plan_balance_result_clear(PlanBalanceResult *result);
/* The score alone, in its parts (names in plan_score_part_name()). */
double plan_balance_score(const PlanCluster *cluster, double parts[PLAN_N_SCORE_PARTS]);
const char *plan_score_part_name(guint part);
/* The host on which one more VM (its host and second are not looked at) leaves the best score; PLAN_NO_HOST: none has room. */
guint32 plan_balance_place(const PlanCluster *cluster, const PlanBalanceVm *vm, double *score);
