// SPDX-License-Identifier: Apache-2.0
/* Who may run a VM: this host's own record of each, and the records beside the disks (storage.h). Inside of src/host/hypervisor; what is
 * promised stands in docs/leases.md.
 *
 * The manager gives a generation with each right to run. A host takes the right by writing its own record and one in each pool that the VM's disks
 * lie in, under locks that all hosts of a pool share; it starts the guest only then, and gives the right back when the guest has ended. A record that
 * is held by another host, or that has seen a newer generation, refuses - whatever the manager believes.
 *
 * Whoever takes a right, starts or ends a guest does so between virt_lease_enter() and virt_lease_leave(), or an end that is noticed late
 * would give back what a new start has just taken. Threads: workers; all of it blocks. */
#pragma once
#include "host/hypervisor/hypervisor-private.h"

typedef struct {
  gint64 generation;      /* of the manager; WS_INT_UNSET: it gave none */
  const char *take_over;  /* NULL: not; else why the other host is known not to run it */
  gint64 over_generation; /* with take_over: the newest generation of which that is known */
  bool handed_over;       /* the host before has let go of it in this moment: a live move */
  bool own_only;          /* only if nobody had it after this host: it starts by itself */
} VirtAsk;
#define VIRT_ASK_NONE {.generation = WS_INT_UNSET, .over_generation = WS_INT_UNSET}

/* Reads this host's own records. At the hypervisor's start. */
void virt_leases_load(Hypervisor *hv);
void virt_leases_free(Hypervisor *hv);

void virt_lease_enter(Hypervisor *hv, const char *uuid);
void virt_lease_leave(Hypervisor *hv, const char *uuid);

/* Takes the right to run, durably. What is held already with this generation is a success. WS_ERROR_LEASE_HELD, WS_ERROR_LEASE_OUTDATED; pools
 * that cannot be reached, disks that cannot be written. */
bool virt_lease_take(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, const VirtAsk *ask, GError **error);
/* A guest that stands still may go on: nobody has taken the right since. */
bool virt_lease_check(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, GError **error);
/* The guest does not run here (and has no saved memory). What cannot be written now is written later. */
void virt_lease_release(Hypervisor *hv, const char *uuid);
/* The start that the right was taken for has failed: what another host held before (a take-over that QEMU's lock stopped) is its again. */
void virt_lease_give_up(Hypervisor *hv, const char *uuid);
/* The guest went over to another host, under this generation (WS_INT_UNSET: not told). */
void virt_lease_lose(Hypervisor *hv, const char *uuid, gint64 generation);
/* The VM is off, and about to be another host's under this generation; back: it stays after all. Durable on return. */
bool virt_lease_pass(Hypervisor *hv, const char *uuid, gint64 generation, bool back, GError **error);
/* A guest is about to come, with this generation: when it is seen to run, the right is this host's. */
bool virt_lease_expect(Hypervisor *hv, const char *uuid, gint64 generation, GError **error);
/* It is all here, and the host before runs it no more: the right is this host's. */
bool virt_lease_arrive(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, GError **error);
/* Disks of it are about to lie in these pools too: the record is there before anything names them. What is refused is as for a start. */
bool virt_lease_widen(Hypervisor *hv, WsId vm, const char *uuid, const WsId *pools, guint n, GError **error);
/* Disks of it have left pools: records that lie beside none any more go. */
void virt_lease_narrow(Hypervisor *hv, virDomainPtr domain, const char *uuid);
/* The VM leaves this host. */
void virt_lease_forget(Hypervisor *hv, const char *uuid);
/* What the records here say; NULL: nothing. Caller frees. */
WsVmLease *virt_lease_report(Hypervisor *hv, const char *uuid);

/* The domain as it is now: takes the right for one that runs without (started past us, or arrived), gives it back for one that ended. */
void virt_lease_follow(Hypervisor *hv, virDomainPtr domain);
/* All of them; domains that are gone, too. When libvirt has come up. */
void virt_lease_follow_all(Hypervisor *hv, VirtConn *conn);
/* Writes what could not be written. On the hypervisor's own thread, each second. */
void virt_lease_tick(Hypervisor *hv);

/* The mark by which a VM starts with its host. It is not libvirt's: libvirt would ask nobody. */
bool virt_lease_set_autostart(Hypervisor *hv, const char *uuid, bool autostart, GError **error);
bool virt_lease_autostart(Hypervisor *hv, const char *uuid);
/* Starts those that are marked, once after each start of the machine: those that nobody else has taken since. */
void virt_lease_start_marked(Hypervisor *hv, VirtConn *conn);
