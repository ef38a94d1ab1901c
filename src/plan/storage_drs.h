// SPDX-License-Identifier: Apache-2.0
/* Storage DRS: which disks to move from pools that are too full, where to, and why. Pure: a snapshot in,
 * moves with their reasons out.
 *
 * A pool that was above the threshold for long enough is relieved to a *goal* below it (PLAN_STORAGE_DRS_BAND
 * percent points, what it grows by in an hour counted), with as few bytes copied as are found: among the ways
 * "the largest disks that do not overshoot, then the one that covers the rest" the cheapest. What is moved
 * never brings a pool above the goal, its growth counted too. So no pool that took a disk is relieved of it
 * again, and one that was relieved, or for which nothing more can be done, has no moves at the second look.
 *
 * What a move frees is not what it takes: a disk that shares blocks with a parent leaves these behind and
 * takes a copy of them along. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define PLAN_STORAGE_DRS_BAND         5.0 /* percent points below the threshold; half of a threshold below 10 */
#define PLAN_STORAGE_DRS_HORIZON_S    3600 /* growth is counted for so long */
#define PLAN_STORAGE_DRS_MOVES_MAX    64
#define PLAN_STORAGE_DRS_ALTERNATIVES 8

typedef struct {
  const char *name;           /* borrowed */
  gint64 capacity_bytes;      /* 0: not known: it is left alone */
  gint64 used_bytes;          /* by whatever lies there */
  gint64 growth_bytes;        /* more in an hour */
  gint64 coming_bytes;        /* on their way there: counted when it is to take more */
  gint64 promised_bytes;      /* sizes of its volumes */
  gint64 promise_limit_bytes; /* 0: no limit is known */
  bool leaves, takes;         /* disks may be moved away, there */
  double full_s;              /* above the threshold for so long, as the caller saw */
} PlanStorageDrsPool;

typedef struct {
  const char *name; /* borrowed */
  guint64 vm;       /* disks of one VM move one after the other */
  guint32 pool;     /* where it is */
  guint32 reach;    /* row of the table of reasons */
  gint64 frees_bytes, takes_bytes;
  gint64 size_bytes;  /* that it is promised */
  const char *pinned; /* why it is not moved; NULL: it may be. Borrowed */
} PlanStorageDrsDisk;

typedef struct {
  guint32 n_pools, n_disks;
  PlanStorageDrsPool *pools;
  PlanStorageDrsDisk *disks;
  const char **reach; /* [disk.reach x n_pools + pool]: why a disk of this row cannot go there; NULL: it can.
                         Borrowed */
} PlanStorageDrs;

typedef struct {
  double space_percent; /* threshold */
  double duration_s;    /* pools full for less are left alone */
  guint max_moves;      /* 0: PLAN_STORAGE_DRS_MOVES_MAX */
} PlanStorageDrsOptions;

typedef struct {
  guint32 pool;
  double space_after;  /* percent, if it took the disk */
  const char *refused; /* NULL: it could. Borrowed from the problem, or static */
} PlanStorageDrsAlternative;

typedef struct {
  guint32 disk, from, to;
  guint wave;                                          /* one begins when the one before has ended */
  double from_before, from_after, to_before, to_after; /* percent used, moves before this one done */
  PlanStorageDrsAlternative alternatives[PLAN_STORAGE_DRS_ALTERNATIVES];
  guint n_alternatives;
} PlanStorageDrsMove;

typedef struct {
  GArray *moves; /* PlanStorageDrsMove; cheapest first */
  GArray *stuck; /* guint32: pools that stay above the threshold whatever is moved */
} PlanStorageDrsResult;

void plan_storage_drs(const PlanStorageDrs *problem, const PlanStorageDrsOptions *options,
                      PlanStorageDrsResult *result);
void plan_storage_drs_result_clear(PlanStorageDrsResult *result);

/* Percent used; in_an_hour: with its growth. 0 where its size is not known. */
double plan_storage_drs_space(const PlanStorageDrsPool *pool, bool in_an_hour);
bool plan_storage_drs_is_full(const PlanStorageDrsPool *pool, const PlanStorageDrsOptions *options);
/* Why a disk stays: what the caller says, or that moving it frees too little. NULL: it may move. */
const char *plan_storage_drs_pinned(const PlanStorageDrsDisk *disk);
