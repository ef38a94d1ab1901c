// SPDX-License-Identifier: Apache-2.0
/* A simulated host: what a host agent does to a machine, without a machine.
 *
 * HostTruth is what *is* on the host - domains, pools, switches, moves - and HostDisks what lies in the directories that hosts see, each alone or
 * together: plain memory without pointers, so that it can lie in memory that several processes share and outlives a manager that is killed,
 * and two of them can be compared with memcmp(). HostSim is the agent on it: it
 * speaks the agent's RPC (typed handlers over a link of the caller's) and behaves as the contract in api/rpc says: every call is
 * idempotent, a file appears whole, a domain that runs holds its files.
 *
 * Each act on the truth is announced before and after (HostAct), where a test may kill the manager, cut the link, or say that the act fails.
 * Core loop only. */
#pragma once
#include "rpc/methods.h"

#define HOST_DOMAINS 32
#define HOST_FILES   64
#define HOST_POOLS   10
#define HOST_MOVES   2
#define HOST_NETS    12
#define HOST_LEASES  32
#define HOST_SPEC_MAX 6144

typedef struct {
  bool there;
  WsId vm; /* whose mark it carries; 0: a stranger */
  int power; /* WsPowerState */
  gint64 ends_us; /* the guest was asked to shut down and will have at this (wall) time; 0: not */
  bool arrived, gone_over; /* arrived: complete, and never released; gone_over: off, because it moved */
  gint64 generation, arriving; /* of its right to run; arriving: that of the move that brings it */
  int lease;                   /* WsVmLeaseState; 0: never had one */
  char reason[16];             /* libvirt's word for its power state; "": one that says nothing, "-": libvirt has none */
  char uuid[40], name[64];
  char spec[HOST_SPEC_MAX]; /* WsVmSpec as JSON: its definition, and what runs */
} HostDomain;

/* Beside the disks of a VM: who may run it. */
typedef struct {
  bool there, held;
  WsId pool;
  gint64 generation;
  char uuid[40], holder[16];
} HostLease;

typedef struct {
  bool there;
  bool partial; /* an upload on its way */
  WsId pool;
  int format; /* 1 qcow2, 2 raw: as the contract's enums */
  gint64 size_bytes, received_bytes, allocated_bytes;
  guint32 content; /* stands for the bytes: equal content, equal bytes */
  char file[208], parent[208];
} HostFile;

typedef struct {
  bool there, suspended;
  WsId pool;
  char path[128], uuid[40];
} HostPool;

typedef struct {
  bool there, is_group;
  WsId id, of; /* of: a port group's switch */
  gint64 mtu, tag;
  char bridge[16];
} HostNet;

/* A session of a move, on the source or the target. */
typedef struct {
  bool there;
  bool off; /* the VM is off, and stays so */
  int job; /* WsRpcVmMigrateStatusResultJob; a target's has none */
  gint64 ends_us; /* when all is over there; 0: not under way */
  char uuid[40], session[40];
  char failure[32];
  gint64 generation; /* on the target: of its right to run it */
  WsId peer;         /* on the target: the source */
  char spec[HOST_SPEC_MAX]; /* as it will be on the target */
} HostMove;

typedef struct {
  HostDomain domains[HOST_DOMAINS];
  HostPool pools[HOST_POOLS];
  HostNet nets[HOST_NETS];
  HostMove moves[HOST_MOVES];
  gint64 sequence; /* of events */
  gint64 looks;    /* number of the last look at a domain */
  char firewall[512]; /* as JSON */
  gint is_off, boots; /* its power; how often it has started */
  bool suspects;      /* it finds that the source of a move asks it for something else */
  guint libvirt_late; /* after its next start: so many lists are asked for in vain, its libvirt is not there yet, and no VM can come */
  gint64 dirty_bytes_per_s; /* what it measures of each guest; 0: it cannot */
  guint n_measured;
  char deaf[40];      /* UUID of a VM whose guest does not hear that it is to shut down */
} HostTruth;

typedef struct {
  HostFile files[HOST_FILES];
  HostLease leases[HOST_LEASES];
  WsId marked[HOST_POOLS]; /* pools whose directory carries their identity; 0: free */
  struct {
    WsId pool;
    gint64 capacity_bytes, others_bytes; /* others: what is not in files of ours */
  } spaces[HOST_POOLS]; /* pools whose size matters; others have half a TiB free, whatever lies there */
  guint32 last_content;
  guint n_wiped; /* deletions that asked for it */
} HostDisks;

typedef enum { HOST_BEFORE, HOST_AFTER } HostMoment;
/* false (before an act only): the act fails with *error. Must not wait. */
typedef bool (*HostAct)(const char *method, HostMoment moment, void *arg, GError **error);

typedef struct HostSim HostSim;
HostSim *host_sim_new(WsLoop *loop, const char *name, HostTruth *truth, HostDisks *disks, HostAct act, void *arg);
/* Each moves its VMs to the other: whatever way the manager has to them, they have one of their own. */
void host_sim_meet(HostSim *a, HostSim *b);
void host_sim_free(HostSim *sim);
/* Joins the host to the manager's end; a wire that is still there is cut. The manager's end is borrowed while the wire holds. */
void host_sim_connect(HostSim *sim, RpcLink *manager_end);
void host_sim_cut(HostSim *sim); /* both sides lose the link */
/* Its power fails, and comes back at once: guests end, and nobody is told. Its link is not touched. */
void host_sim_fail_power(HostSim *sim);
bool host_sim_is_connected(const HostSim *sim);
/* From now on its agent is of that version, and does not know these methods ("vm.reset"; ends with NULL). Its link is cut. */
void host_sim_set_version(HostSim *sim, const char *version, const char *const *unknown);
/* Reports load: its clock, all else nothing, and whether its libvirt answers. */
void host_sim_report_load(HostSim *sim, bool libvirt_down);
void host_sim_forget_start_order(HostSim *sim, bool forget); /* as agents before it was sent */
void host_sim_set_clock(HostSim *sim, gint64 ahead_us); /* of the test's */
void host_sim_delay_checks(HostSim *sim, gint64 us);    /* of pools: the server behind them is slow */
/* What happens to a guest past everybody: its state (WsPowerState) and libvirt's reason, as above; told in an
 * event if there is a link. */
void host_sim_set_power(HostSim *sim, const char *uuid, int power, const char *reason);
/* Says of that host that it asked for what is no part of the VM's move, whether there is one or not. */
void host_sim_suspect(HostSim *sim, const char *uuid, WsId peer);
/* Says by itself that a pool of its is full, or is not. */
void host_sim_report_pool(HostSim *sim, WsId pool, bool full);
/* Lists and events are on their way for so long after they were made: what is done meanwhile is answered
 * before they come. 0: as made. */
void host_sim_delay(HostSim *sim, gint64 lists_us, gint64 events_us);

/* ---- looking at the truth, and changing it past the manager ---- */
HostDomain *host_find_domain(HostTruth *truth, const char *uuid);
HostFile *host_find_file(HostDisks *disks, WsId pool, const char *file);
HostPool *host_find_pool(HostTruth *truth, WsId pool);
HostNet *host_find_net(HostTruth *truth, bool is_group, WsId id);
guint host_count_domains(const HostTruth *truth);
guint host_count_files(const HostDisks *disks);
/* Bytes that were uploaded, whole. */
void host_put_upload(HostDisks *disks, WsId pool, const char *file, gint64 bytes);
/* From now on the pool is so large, and so much of it is taken by what is no file of ours. */
void host_set_space(HostDisks *disks, WsId pool, gint64 capacity_bytes, gint64 others_bytes);
gint64 host_free_bytes(const HostDisks *disks, WsId pool);
/* A domain that somebody defined by hand. */
void host_put_stranger(HostTruth *truth, const char *uuid, const char *name);
/* As when its power is cut: nothing runs any more. */
void host_lose_power(HostTruth *truth);
/* Two running domains on one file, on whatever of the n hosts: NULL, or the file. The file lies in `buffer` of 208. */
const char *host_shared_file(const HostTruth *hosts, guint n, char *buffer);
