// SPDX-License-Identifier: Apache-2.0
/* What has become of a VM that moves from one host to another, and what is to be done: decided from what both hosts have, never from what
 * a call returned. Pure.
 *
 * The rule behind the table: a VM never runs twice. What arrived on the target stands still until it is released, and it is released only
 * when the source was seen not to run; the source goes on only while the target was not released. Where one host cannot be
 * asked and both might, nothing is done (PLAN_MOVE_ASK). */
#pragma once
#include <stdbool.h>

/* What a host has of the VM. In the order of the contract (vm.migrate_status, domain); 0: the host cannot be asked. */
typedef enum {
  PLAN_MOVE_UNKNOWN,
  PLAN_MOVE_ABSENT,
  PLAN_MOVE_OFF,
  PLAN_MOVE_GONE_OVER, /* off, because it moved */
  PLAN_MOVE_RUNNING,
  PLAN_MOVE_PAUSED,    /* on the target: complete, never ran */
  PLAN_MOVE_INCOMING,
  PLAN_MOVE_OUTGOING,  /* on the source: stopped to go over */
  PLAN_MOVE_POST_COPY,
  PLAN_MOVE_POST_COPY_FAILED,
  PLAN_MOVE_CRASHED,   /* the guest panicked; its QEMU is there */
} PlanMoveDomain;

typedef struct {
  PlanMoveDomain source, target;
  bool working;    /* the source's agent is at work on it */
  bool begun;      /* it was told to, at some time */
  bool was_paused; /* by a person, before it began: it is to stay so */
  bool held;       /* the target does not run before it is released (not so with post-copy) */
  bool source_removed; /* somebody took the source out of the site for good: it is absent, and never answers */
} PlanMoveSight;

typedef enum {
  PLAN_MOVE_DO_START = 1,
  PLAN_MOVE_DO_WAIT,
  PLAN_MOVE_DO_ASK,           /* cannot be told: ask again */
  PLAN_MOVE_DO_RELEASE,       /* let the target run */
  PLAN_MOVE_DO_END_SOURCE,    /* the source stands still for good: end it */
  PLAN_MOVE_DO_RESUME_SOURCE, /* the source stands still, and nothing is over there: let it go on */
  PLAN_MOVE_DO_DROP,          /* forget what arrived */
  PLAN_MOVE_IS_STAYED,        /* it is where it was */
  PLAN_MOVE_IS_WENT,          /* it is on the target */
  PLAN_MOVE_IS_ENDED,         /* it does not run any more; its disks are where they were */
  PLAN_MOVE_IS_TWICE,         /* it runs on both: nobody may decide this but a person */
} PlanMoveVerdict;

PlanMoveVerdict plan_move_verdict(const PlanMoveSight *sight);
