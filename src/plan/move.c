// SPDX-License-Identifier: Apache-2.0
/* The verdict on a move. See move.h. */
#include "plan/move.h"

static bool is_nothing(PlanMoveDomain domain)
{
  return domain == PLAN_MOVE_ABSENT || domain == PLAN_MOVE_OFF || domain == PLAN_MOVE_GONE_OVER;
}

static bool is_arrival(PlanMoveDomain domain)
{
  return domain == PLAN_MOVE_PAUSED || domain == PLAN_MOVE_INCOMING || domain == PLAN_MOVE_OUTGOING;
}

static bool runs(PlanMoveDomain domain)
{
  return domain == PLAN_MOVE_RUNNING || domain == PLAN_MOVE_CRASHED;
}

/* The source has the guest and can go on, or does. */
static PlanMoveVerdict at_home(const PlanMoveSight *s)
{
  if (runs(s->target))
    return runs(s->source) ? PLAN_MOVE_IS_TWICE : PLAN_MOVE_DO_END_SOURCE;
  if (is_arrival(s->target))
    return PLAN_MOVE_DO_DROP;
  if (s->target == PLAN_MOVE_POST_COPY || s->target == PLAN_MOVE_POST_COPY_FAILED)
    return PLAN_MOVE_DO_ASK;
  if (s->begun || s->source == PLAN_MOVE_CRASHED)
    return PLAN_MOVE_IS_STAYED; /* also when the target cannot be asked: what is there was not released */
  return s->target == PLAN_MOVE_UNKNOWN ? PLAN_MOVE_DO_ASK : PLAN_MOVE_DO_START;
}

/* The source was stopped to go over, and nobody is at work on it any more. */
static PlanMoveVerdict between(const PlanMoveSight *s)
{
  if (s->target == PLAN_MOVE_PAUSED || runs(s->target))
    return PLAN_MOVE_DO_END_SOURCE;
  if (s->target == PLAN_MOVE_INCOMING || s->target == PLAN_MOVE_OUTGOING)
    return PLAN_MOVE_DO_WAIT; /* libvirt ends it by itself */
  if (is_nothing(s->target))
    return PLAN_MOVE_DO_RESUME_SOURCE;
  return s->target == PLAN_MOVE_UNKNOWN && s->held ? PLAN_MOVE_DO_RESUME_SOURCE : PLAN_MOVE_DO_ASK;
}

/* Post-copy began: the source never goes on. */
static PlanMoveVerdict split(const PlanMoveSight *s)
{
  if (runs(s->target) || is_nothing(s->target))
    return PLAN_MOVE_DO_END_SOURCE;
  return s->target == PLAN_MOVE_POST_COPY ? PLAN_MOVE_DO_WAIT : PLAN_MOVE_DO_ASK;
}

/* The source has given the guest away. */
static PlanMoveVerdict gone_over(const PlanMoveSight *s)
{
  if (runs(s->target))
    return PLAN_MOVE_IS_WENT;
  if (s->target == PLAN_MOVE_PAUSED)
    return s->was_paused ? PLAN_MOVE_IS_WENT : PLAN_MOVE_DO_RELEASE;
  if (s->target == PLAN_MOVE_OFF) /* it was complete there, may have run, and ended: the disks there are the newer ones, or the same */
    return PLAN_MOVE_IS_WENT;
  if (is_nothing(s->target))
    return PLAN_MOVE_IS_ENDED;
  return s->target == PLAN_MOVE_UNKNOWN || s->target == PLAN_MOVE_POST_COPY_FAILED ? PLAN_MOVE_DO_ASK : PLAN_MOVE_DO_WAIT;
}

/* The source is off for another reason (its guest ended, or the host had no power), or knows nothing of it. */
static PlanMoveVerdict off(const PlanMoveSight *s)
{
  if (runs(s->target))
    return PLAN_MOVE_IS_WENT;
  if ((s->source == PLAN_MOVE_ABSENT && !s->source_removed) || s->target == PLAN_MOVE_UNKNOWN)
    return PLAN_MOVE_DO_ASK;
  /* What stands there complete may be older than what ran here last. */
  if (is_arrival(s->target))
    return PLAN_MOVE_DO_DROP;
  return is_nothing(s->target) ? PLAN_MOVE_IS_ENDED : PLAN_MOVE_DO_ASK;
}

PlanMoveVerdict plan_move_verdict(const PlanMoveSight *s)
{
  if (s->working)
    return PLAN_MOVE_DO_WAIT;
  switch (s->source) {
  case PLAN_MOVE_RUNNING:
  case PLAN_MOVE_PAUSED:
  case PLAN_MOVE_CRASHED:
    return at_home(s);
  case PLAN_MOVE_OUTGOING:
  case PLAN_MOVE_INCOMING:
    return between(s);
  case PLAN_MOVE_POST_COPY:
  case PLAN_MOVE_POST_COPY_FAILED:
    return split(s);
  case PLAN_MOVE_GONE_OVER:
    return gone_over(s);
  case PLAN_MOVE_OFF:
  case PLAN_MOVE_ABSENT:
    return off(s);
  default: /* the source cannot be asked: whoever runs on the target was released by somebody who could */
    return runs(s->target) ? PLAN_MOVE_IS_WENT : s->target == PLAN_MOVE_POST_COPY ? PLAN_MOVE_DO_WAIT : PLAN_MOVE_DO_ASK;
  }
}
