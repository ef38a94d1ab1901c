// SPDX-License-Identifier: Apache-2.0
/* Inside of DRS and storage DRS in the manager: what their files share. docs/drs.md tells what they do.
 *
 *     drs.c          looks at clusters: samples, due ones planned, rules' alarms
 *     drs_picture.c  from the inventory and the memory of demands to the planner's problem
 *     drs_advice.c   a plan becomes recommendations; old ones expire
 *     drs_apply.c    accepted recommendations become moves
 *     storage_drs*.c the same three of storage DRS, on plan/storage_drs.h, and what it tells
 *     dpm.c          hosts that sleep and wake
 *     drs_calls.c    accept, refresh; drs_views.c: explain, status, fit, what-if
 *
 * Threads: core loop, in coroutines; pictures are made on a worker or in views, so the memory of demands has
 * a lock. */
#pragma once
#include "center/cluster/cluster.h"
#include "center/room_rules.h"
#include "plan/demand.h"
#include "plan/drs.h"
#include "plan/growth.h"
#include "plan/storage_drs.h"

/* Kinds of recommendations. One that was made before there were two has none, and is of hosts. */
typedef enum { DRS_OF_HOSTS, DRS_OF_STORAGE, DRS_N_KINDS } DrsKind;

typedef struct {
  WsId vm;              /* key */
  PlanSeries cpu;       /* hardware threads */
  PlanSeries memory;    /* bytes */
  WsId host;            /* where it was seen last */
  gint64 moved_us;      /* monotonic: it moved, or could not, then; 0: not since it is known */
} DrsMemory;

typedef struct {
  WsId cluster;          /* key */
  gint64 next_us;        /* monotonic: looked at again then */
  gint64 looked_us;      /* wall; 0: never */
  gint64 uneven_since_us; /* monotonic; 0: it is not */
  gint64 dpm_next_us, low_since_us, high_since_us; /* the same of DPM; 0: it is not */
  gint64 sleep_after_us; /* monotonic: no host is sent to sleep before */
  gint64 batch;          /* of its newest plan */
  bool looking, applying[DRS_N_KINDS]; /* a coroutine is at it; core loop only */
  GHashTable *hot;       /* WsId of a host -> gint64 monotonic since when; one block each */
  gint64 storage_next_us, storage_looked_us, storage_batch; /* the same of storage DRS */
  bool storage_looking;                                     /* core loop only */
  GHashTable *full;                                         /* WsId of a pool -> DrsFull */
} DrsCluster;

typedef struct {
  WsId pool;       /* key */
  gint64 since_us; /* monotonic: above the cluster's threshold since */
  bool told;       /* that nothing can be done about it */
} DrsFull;

typedef struct {
  WsId pool; /* key */
  PlanGrowth growth;
} DrsPool;

typedef struct {
  WsId volume;     /* key */
  gint64 moved_us; /* monotonic: it moved, or could not, then */
} DrsVolume;

struct Drs {
  GMutex lock;           /* of all below */
  GHashTable *memories;  /* WsId -> DrsMemory */
  GHashTable *clusters;  /* WsId -> DrsCluster */
  GHashTable *pools;     /* WsId -> DrsPool */
  GHashTable *volumes;   /* WsId -> DrsVolume; those that moved of late */
  GHashTable *tried;     /* hosts that DPM switches: WsId -> monotonic, when last; core loop only */
  GHashTable *acting;    /* WsId of hosts at which DPM is at work; core loop only */
  WsTimer *timer;        /* core loop only */
  bool stopped;          /* core loop only */
};

/* ---- drs_picture.c ---- */

typedef struct {
  PlanDrs plan;
  PlanDrsOptions options;
  WsId cluster;
  WsClusterDrs *settings; /* of the cluster, with the contract's defaults where it says nothing */
  GArray *hosts;        /* WsId by index; 0: hypothetical */
  GArray *vms;          /* the same */
  GArray *plan_hosts, *plan_vms, *plan_rules; /* what plan points at */
  GPtrArray *reach;     /* const char * */
  GHashTable *reach_rows; /* what VMs ask of a host, as text -> row + 1 */
  GHashTable *groups;   /* active port groups, as text */
  GPtrArray *lists;
  RoomRules *rules;
  const InvSnapshot *snap;
} DrsPicture;

/* Enabled, or has rules to keep? */
bool drs_concerns(const InvSnapshot *snap, const WsCluster *cluster);
/* `rule`: a hypothetical one more, or NULL. `now_us`: monotonic. Takes drs->lock. Any thread; the snapshot outlives it. */
DrsPicture *drs_picture_new(Drs *drs, const InvSnapshot *snap, const WsCluster *cluster, const WsAffinityRule *rule, gint64 now_us);
void drs_picture_free(DrsPicture *picture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DrsPicture, drs_picture_free)
/* After more VMs or hosts were put into its arrays. */
void drs_picture_settle(DrsPicture *picture);
/* Takes what hosts last said of the cluster's VMs into the memory of demands. Any thread; takes drs->lock. */
void drs_sample(Drs *drs, const InvSnapshot *snap, WsId cluster, gint64 now_us);
/* The cluster's part of the memory, made when it is not there. With the lock held. */
DrsCluster *drs_cluster(Drs *drs, WsId cluster);

/* ---- drs.c ---- */
/* Looks at the cluster: samples; with `now`, or when it is due, plans and enters what comes of it. In a coroutine. */
bool drs_look(Center *center, WsId cluster, bool now, GError **error);
void drs_on_timer(void *center);
/* The VM rests: it moved, or would not. */
void drs_note_moved(Center *center, WsId vm);

/* ---- drs_advice.c ---- */
/* A plan of either kind, as what becomes recommendations: `n` moves in their order, each told about by its number. */
typedef struct {
  DrsKind kind;
  WsId cluster;
  guint n;
  const void *plan; /* passed to: */
  bool (*is_of)(const void *plan, guint i, const WsDrsRecommendation *advice); /* the same move */
  bool (*is_automatic)(const void *plan, guint i); /* it is done without anybody's word */
  guint (*wave)(const void *plan, guint i);
  void (*fill)(const void *plan, guint i, WsDrsRecommendation *advice); /* what is moved where, and why */
  void (*tell)(Center *center, const void *plan, guint i, const WsDrsRecommendation *advice); /* that somebody's word is waited for */
} DrsMoves;
/* Enters them: recommendations of this kind that stand already stay, others expire. Nothing, when one was accepted meanwhile. In a coroutine. */
bool drs_enter_moves(Center *center, const DrsMoves *moves, gint64 batch, GError **error);
/* Enters the plan. In a coroutine. */
bool drs_enter_plan(Center *center, const DrsPicture *picture, const PlanDrsResult *result, gint64 batch, GError **error);
void drs_count(const InvSnapshot *snap, WsId cluster, DrsKind kind, guint *pending, guint *accepted);
DrsKind drs_kind_of(const WsDrsRecommendation *advice);
/* Each recommendation of a cluster, of whatever kind. */
void drs_each_advice(const InvSnapshot *snap, WsId cluster, InvEach func, void *arg);
/* Two places after the point, as they are told. */
double drs_rounded(double value);
/* Those that have ended long ago go. In a coroutine. */
void drs_forget_old(Center *center);

/* ---- drs_apply.c ---- */
/* Does what was accepted in this cluster, in its order; returns at once. */
void drs_apply(Center *center, WsId cluster);
/* The recommendation has ended so. In a coroutine. */
void drs_end_advice(Center *center, WsId advice, int state, const char *note);
/* Begins the move as a task with the cause drs, and an audit record of its own in the same transaction; args are taken over. 0 with *error: refused. In a
 * coroutine. */
WsId drs_begin_task(Center *center, const WsDrsRecommendation *advice, const char *kind, void *args, GError **error);
void drs_set_task(Center *center, WsId advice, WsId task);

/* ---- storage_drs.c ---- */
bool storage_drs_concerns(const WsCluster *cluster);
/* As drs_look(). */
bool storage_drs_look(Center *center, WsId cluster, bool now, GError **error);
/* The volume rests: it moved, or would not; its pools fill anew from here. */
void storage_drs_note_moved(Center *center, WsId volume, WsId from, WsId to);

/* ---- storage_drs_picture.c ---- */
typedef struct {
  PlanStorageDrs plan;
  PlanStorageDrsOptions options;
  WsId cluster;
  WsClusterStorageDrs *settings; /* with the contract's defaults where the cluster says nothing */
  GArray *pools, *volumes, *vms; /* WsId by index of pools, disks, disks */
  GPtrArray *keys;               /* borrowed from snap: the disk's name in its VM, by index of disks */
  GArray *plan_pools, *plan_disks;
  GPtrArray *reach, *texts; /* const char *; texts: those that are ours */
  GHashTable *reach_rows;   /* host and pool as text -> row + 1 */
  const InvSnapshot *snap;
} StorageDrsPicture;

/* `now_us`: monotonic; feed: what was measured is remembered, and so is what is full since when. Takes
 * drs->lock. Any thread; the snapshot outlives it. */
StorageDrsPicture *storage_drs_picture_new(Drs *drs, const InvSnapshot *snap, const WsCluster *cluster,
                                           gint64 now_us, bool feed);
void storage_drs_picture_free(StorageDrsPicture *picture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageDrsPicture, storage_drs_picture_free)

/* ---- storage_drs_advice.c ---- */
bool storage_drs_enter_plan(Center *center, const StorageDrsPicture *picture,
                            const PlanStorageDrsResult *result, gint64 batch, GError **error);

/* ---- storage_drs_apply.c ---- */
/* Does this one, to its end. In a coroutine. */
void storage_drs_do(Center *center, const InvSnapshot *snap, const WsDrsRecommendation *advice);

/* ---- dpm.c ---- */
bool dpm_concerns(const WsCluster *cluster);
/* Does the next thing for hosts that sleep or wake; where DPM is on and it is due, plans. In a coroutine. */
void dpm_look(Center *center, WsId cluster);
