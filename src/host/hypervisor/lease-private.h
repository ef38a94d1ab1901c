// SPDX-License-Identifier: Apache-2.0
/* Leases inside: shared by lease_own.c (what this host remembers), lease.c (may it, and who has it), lease_move.c (disks that change pools) and
 * lease_follow.c (what is seen to run). See lease.h. */
#pragma once
#include "host/hypervisor/lease.h"
#include "host/storage/storage.h"

#define LEASE_POOLS_MAX 64

typedef enum { LEASE_NONE, LEASE_FREE, LEASE_HELD, LEASE_LOST } LeaseState;

/* This host's own record of one VM. */
typedef struct {
  gint64 generation; /* the last that was seen; 0: none */
  LeaseState state;
  gint64 arriving;   /* a guest is about to come with this one; 0: none */
  bool autostart;
  WsId pools[LEASE_POOLS_MAX]; /* in which records were written */
  guint n_pools;
} Lease;

struct VirtLeases {
  char *holder;      /* who we are, in records: made once, at random */
  char *host;        /* for people */
  GHashTable *known; /* uuid -> Lease */
  GHashTable *busy;  /* set of uuids between enter and leave */
  GHashTable *before; /* uuid -> Before: what a right that was taken now has replaced */
  GHashTable *due;   /* set of uuids whose record in a pool could not be given back yet */
  gint64 retry_us;   /* monotonic */
  gint losses;       /* how often a guest that runs here was seen to have lost its right; atomic */
};

/* ---- own records (lease_own.c): in memory under hv->lock, written by whoever has entered ---- */
Lease lease_of(Hypervisor *hv, const char *uuid); /* a copy; all zero: nothing is known */
bool lease_keep(Hypervisor *hv, const char *uuid, const Lease *lease, GError **error); /* durable first */
void lease_keep_or_say(Hypervisor *hv, const char *uuid, const Lease *lease);
void lease_drop(Hypervisor *hv, const char *uuid); /* the record, and that it is due */

/* ---- the records of its pools (lease.c), open and locked ---- */
typedef struct {
  StorageLeaseFile *files[LEASE_POOLS_MAX];
  WsId pools[LEASE_POOLS_MAX];
  guint n;
} LeaseRecords;
/* In order of their ids, so that two hosts never wait for each other: sorts `pools`. */
bool lease_records_open(Hypervisor *hv, const char *uuid, WsId *pools, guint n, LeaseRecords *records, GError **error);
void lease_records_close(LeaseRecords *records);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LeaseRecords, lease_records_close)
/* Writes where it does not say so already. */
bool lease_records_write(Hypervisor *hv, const LeaseRecords *records, gint64 generation, bool hold, GError **error);
/* Pools in which files lie that the VM writes to, as its definition and the running guest say. */
bool lease_pools_of(Hypervisor *hv, virDomainPtr domain, WsId *pools, guint *n, GError **error);
bool lease_is_ours(const Hypervisor *hv, const StorageLease *lease);
/* May this host write its right of that generation over a record? WS_ERROR_LEASE_HELD, WS_ERROR_LEASE_OUTDATED. */
bool lease_may_take(Hypervisor *hv, WsId vm, const char *uuid, const VirtAsk *ask, gint64 generation, const StorageLease *there, GError **error);
/* The refusal. Always false. */
bool lease_outdated(WsId vm, const char *uuid, gint64 generation, gint64 known, const char *host, GError **error);
