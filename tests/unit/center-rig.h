// SPDX-License-Identifier: Apache-2.0
/* The manager's real domains, tasks, links and audit on a real database, with two simulated hosts and no network: what the tests of
 * src/center share.
 *
 * The world is shared memory: it outlives a manager that is killed, as a host does. A manager is opened on a directory, connects its
 * hosts by itself (also again, a while after each cut), is asked for tasks by kind and JSON, and looked at. Time is virtual: it moves on
 * when nothing is to do and nothing is on its way to the disk.
 *
 * At each commit of the store and each act of the host is a *point*, counted over a process's life, where the process can be killed; at
 * each act one of the other faults can happen instead, at each operation of the store one of its own. */
#pragma once
#include "center-host.h"
#include "center/center.h"

#define RIG_NAMES 64
#define RIG_HOSTS 3
#define RIG_MEMBERS 2 /* are in the site from the beginning; the last one is a machine that may be added over SSH (center-machine.c) */

typedef enum {
  RIG_NO_FAULT,
  RIG_KILL,       /* SIGKILL at a point */
  RIG_CUT_BEFORE, /* the link is gone before the host acts, and comes back */
  RIG_CUT_AFTER,  /* ... after it acted: the answer is lost */
  RIG_AWAY,       /* the same as before, and the host stays away longer than a step waits for it */
  RIG_FAIL,       /* the act fails */
  RIG_CANCEL,     /* a person cancels the task at that moment */
  RIG_FULL,       /* the disk under the database is full from an operation of the store on, for a few of them */
  RIG_IO_ERROR,   /* one operation fails */
  RIG_NO_SYNC,    /* a sync fails: the process ends with status 74 */
  RIG_NO_MEMORY,  /* SQLite gets no memory, once */
} RigFault;

typedef struct {
  HostTruth hosts[RIG_HOSTS];
  HostDisks disks;
  struct {
    char name[24];
    WsId id;
  } names[RIG_NAMES]; /* what the fixture made, for "@name" in requests */
  WsId last_id;       /* tasks above it are the test's own */
  gint64 back_us[RIG_HOSTS]; /* the host is off until then, the first one also until its BMC has said so twice */
  gint n_off_told;
  gint64 now_us;      /* goes on where the manager before stopped */
  bool away[RIG_HOSTS]; /* its power is off, and stays so */
  struct {
    WsId host; /* what it is when it has joined; 0: nothing */
    bool installed, runs;
    gint64 away_us; /* nobody answers there until then */
  } machine;
  bool lied_to; /* the manager was told that a host is off which is not: two may run for a while */
  RigFault fault;
  gint at;            /* the point or act where it happens; 0: never */
  gint n_points, n_acts, n_ops; /* n_ops: of the store, or of SQLite's memory */
  gint happened;
  char where[64];     /* the method at which it happened */
} RigWorld;

typedef struct CenterRig CenterRig;
typedef struct RigHost RigHost;
struct CenterRig {
  WsClock clock;
  gint64 now_us;
  RigWorld *world;
  Center center;
  struct RigHost {
    CenterRig *rig;
    WsId id; /* 0: the site has none yet */
    HostSim *sim;
    bool connecting; /* a timer for that runs */
  } hosts[RIG_HOSTS];
  WsId task; /* asked for last, as soon as it is known */
};

/* A point: the process is killed here if it is the one. */
void rig_point(RigWorld *world, const char *where);
void rig_connect_soon(RigHost *host);
/* The machine's SSH server is there from now on. */
void rig_machine_listen(CenterRig *rig);
bool rig_machine_is_clean(const RigWorld *world);
void rig_cancel_task(void *rig);
#define RIG_AWAY_US ((gint64)400 * G_USEC_PER_SEC)

RigWorld *rig_world_new(void); /* for ever */
void rig_world_name(RigWorld *world, const char *name, WsId id);
WsId rig_world_find(const RigWorld *world, const char *name); /* asserts that it is there */

CenterRig *center_rig_open(const char *dir, RigWorld *world);
/* Takes it down in order, for the end of a process that was not killed. */
void center_rig_close(CenterRig *rig);
/* Runs func(arg) in a coroutine to its end. */
void center_rig_run(CenterRig *rig, WsCoFunc func, void *arg);
/* Puts members `first` to `first + n - 1` into a new cluster, of that name for the world too; fill (may be NULL) sets the rest of it. */
void center_rig_make_cluster(CenterRig *rig, const char *name, guint first, guint n, void (*fill)(WsCluster *cluster));
/* Changes what the world calls by that name, in a transaction of its own. */
void center_rig_edit(CenterRig *rig, const WsType *type, const char *name, void (*change)(void *object));
/* VMs of the cluster with this label keep apart. */
void center_rig_keep_apart(CenterRig *rig, const char *cluster, const char *rule, const char *label);
/* A processor that guests can have: model kvm64 and these features, ended by NULL. */
WsHostGuestCpu *center_rig_guest_cpu(const char *const *features);
/* Until the hosts are connected, no task lives, and a while has passed in which events were taken. */
void center_rig_settle(CenterRig *rig);
void center_rig_run_for(CenterRig *rig, gint64 us);
/* The power of a host fails, and it stays off; or it is there again. center_rig_settle() does not wait for one that is off. */
void center_rig_switch(CenterRig *rig, guint host, bool on);
/* Only its link to the manager is cut, and stays so (on: comes back); its guests run on. */
void center_rig_link(CenterRig *rig, guint host, bool on);

/* Asks for a task as the API does, audit record and all; "@name" in the JSON (may be NULL) stands for an id, ' for ". 0: refused, with error. */
WsId center_rig_start(CenterRig *rig, const char *kind, const char *target, const char *json, GError **error);
/* The same to its end, which must be done; the id of its result. `name` (may be NULL): how the world calls that. */
WsId center_rig_do(CenterRig *rig, const char *name, const char *kind, const char *target, const char *json);
/* It must be refused with this code. */
void center_rig_assert_refused(CenterRig *rig, WsErrorCode code, const char *kind, const char *target, const char *json);
/* The newest root task of the test's own, or NULL; borrowed until the next call. */
const WsTask *center_rig_last_task(CenterRig *rig);

/* What must hold whenever nothing happens: no task, lock or passing state; inventory, host and files agree; the audit chain verifies and
 * has one record for each root task. NULL, or what does not hold, in words; caller frees. */
char *center_rig_quarrel(CenterRig *rig);
void center_rig_assert_no_quarrel(CenterRig *rig);
/* Inventory and host as text, without times, revisions and records of tasks: two that are alike are equal. Caller frees. */
char *center_rig_portrait(CenterRig *rig);
