// SPDX-License-Identifier: Apache-2.0
/* Inside of src/host/hypervisor: the struct, and what its files share. */
#pragma once
#include "base/error.h"
#include "host/hypervisor/domain.h"
#include "host/hypervisor/hypervisor.h"
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* One connection to libvirtd. Connections are few and shared by threads. Held by Hypervisor.conns, by callers, and by libvirt
 * for its callbacks; it holds the Hypervisor, so a late callback finds it there (stopped). */
typedef struct {
  Hypervisor *hv;
  virConnectPtr c;
  gint refs;
  guint calls; /* under way; guarded by Hypervisor.lock */
  bool dead;   /* closed by the other side; guarded by Hypervisor.lock */
} VirtConn;

/* Totals of one reading; time 0: none yet. */
typedef struct {
  gint64 time_us; /* wall */
  gint64 cpu_ns, net_rx_bytes, net_tx_bytes;                     /* quick */
  gint64 read_bytes, write_bytes, read_requests, write_requests; /* slow */
  gint64 wait_ns; /* slow: all vCPUs together waited for a processor; -1: this libvirt does not say */
} VirtCounters;
typedef struct VirtSweep VirtSweep;
typedef struct VirtMove VirtMove;
struct VirtLeases;

/* What is remembered of a domain beyond what libvirt knows. Guarded by Hypervisor.lock. */
typedef struct {
  WsId vm;               /* 0: a stranger */
  WsPowerState state;    /* last seen; 0: never */
  char *reason;
  gint64 since_us;       /* wall; 0: before we looked */
  WsVmGuest *guest;      /* NULL: nothing known */
  bool asking_guest;     /* a question to the agent is under way */
  gint64 ask_guest_us;   /* monotonic; 0: not asked */
  guint guest_questions; /* since the agent connected */
  guint agent_epoch;     /* grows when the agent comes or goes: an answer of an older one is dropped */
  VirtCounters quick, slow; /* last readings, see stats.c */
  WsVmUsage *slow_usage; /* what the slow ones came to: disk rates, memory; NULL: nothing yet */
  gint64 restarting_us;  /* monotonic: asked through ACPI to restart; 0: not */
  gint64 reset_us;       /* monotonic: last reset by us; 0: none */
  bool stuck;            /* its QEMU did not answer when asked for the slow ones, and has not yet */
} VirtFacts;

struct Hypervisor {
  gint refs;
  HypervisorConfig config; /* strings are ours */
  VirtHost host;           /* native, kvm: guarded by lock */
  GThread *thread;         /* connects, watches, asks guests */
  GMutex lock;
  GCond changed;           /* connection, ready, stop, removed devices */
  GPtrArray *conns;        /* VirtConn; [0] is the one with events. Empty: libvirt is away */
  GArray *callbacks;       /* int: ids of event callbacks on conns[0] */
  bool ready, stop;
  GHashTable *facts;       /* uuid -> VirtFacts */
  GQueue removed;          /* VirtRemoval: the newest device events, for those who wait */
  VirtSweep *sweep;        /* reading of the slow counters under way; NULL: none (stats.c) */
  GHashTable *moves;       /* session -> VirtMove, referenced; NULL: none yet (move.c) */
  struct VirtLeases *leases; /* NULL: none are kept; what is in it is guarded by lock (lease.c) */
  gint64 sequence;         /* of the last event sent */
  gint64 looks;            /* number of the last look (api: Power.look); guarded by lock */
  GMutex emit_lock;        /* held while an event gets its number and is sent: order. Taken before `lock` */
  guint pending;           /* jobs of ours on config.workers; guarded by lock */
};

/* ---- connection.c ---- */
Hypervisor *virt_hv_ref(Hypervisor *hv);
void virt_hv_unref(void *hv);
bool virt_is_stopped(Hypervisor *hv);
/* A connection for one call. NULL: WS_ERROR_HYPERVISOR_UNREACHABLE. */
VirtConn *virt_conn_acquire(Hypervisor *hv, GError **error);
void virt_conn_release(VirtConn *conn); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtConn, virt_conn_release)
/* Reads and tells what guests can have of the processor, on a worker (guest_cpu.c). */
void virt_guest_cpu_tell(VirtConn *conn);
VirtConn *virt_conn_ref(VirtConn *conn);
void virt_conn_unref(void *conn);
/* What specs are filled with. */
VirtHost virt_host(Hypervisor *hv);
/* Runs func(arg) on a worker, in line with others of the same key, counted, so that hypervisor_free() can wait. When the hypervisor is
 * stopped func is not called, destroy is. */
void virt_run(Hypervisor *hv, const char *key, WsLoopFunc func, void *arg, GDestroyNotify destroy);

/* ---- errors (fail.c) ---- */
/* Sets `error` from libvirt's last error. operation: "start", ... Always false. */
bool virt_fail(GError **error, WsId vm, const char *uuid, const char *operation);
/* "vm-42", or the uuid for 0; into buf of WS_ID_TEXT_MAX or longer. */
#define VIRT_OBJECT_MAX 48
const char *virt_object(WsId vm, const char *uuid, char *buf);
bool virt_wrong_state(GError **error, WsId vm, const char *uuid, const char *verb, WsPowerState state);
/* Whether libvirt's last error has this code. */
bool virt_error_is(int code);

static inline void virt_domain_unref(virDomainPtr *domain)
{
  if (*domain)
    virDomainFree(*domain);
}
#define VIRT_AUTO_DOMAIN __attribute__((cleanup(virt_domain_unref))) virDomainPtr

/* The domain of a call. Free with virDomainFree(). NULL: WS_ERROR_NOT_FOUND or libvirt's error. */
virDomainPtr virt_find(VirtConn *conn, WsId vm, const char *uuid, GError **error);

/* ---- define.c ---- */
/* A private copy of a spec from the manager, filled and checked for this host. NULL with error. */
WsVmSpec *virt_prepare_spec(Hypervisor *hv, const WsVmSpec *spec, GError **error);
/* Defines the domain so; makes, keeps or removes its seed CD and sets autostart. *domain (may hold one on entry: the domain as it is) is
 * the domain afterwards. cloud_init NULL: the seed that is there stays. */
bool virt_define(Hypervisor *hv, VirtConn *conn, const WsVmSpec *spec, const WsVmCloudInit *cloud_init, const char *instance_id,
                 virDomainPtr *domain, GError **error);

/* ---- facts.c ---- */
/* A number for a look that begins now. Whatever changes later is seen by a look with a greater one: so the greatest is right at last. */
gint64 virt_look(Hypervisor *hv);
/* Reads the domain's state, and remembers when it changed. NULL: libvirt's error, or gone. Caller frees. */
WsPower *virt_power(Hypervisor *hv, virDomainPtr domain, GError **error);
/* A restart through ACPI is libvirt's own doing: it lets the guest power off and then resets it, and forgets that when the memory is saved.
 * So it is remembered here until the guest has restarted, or has not listened for two minutes. */
void virt_facts_set_restarting(Hypervisor *hv, const char *uuid, bool restarting);
bool virt_facts_is_restarting(Hypervisor *hv, const char *uuid);
/* It was reset by us: nothing is left to restart. Events of that may come late, when a restart has been asked for since, and are not that one's. */
void virt_facts_note_own_reset(Hypervisor *hv, const char *uuid);
void virt_facts_note_reset(Hypervisor *hv, const char *uuid); /* the event: of a reset of ours, or the guest has restarted */
/* State of a domain now, without remembering; 0 on error. */
WsPowerState virt_state(virDomainPtr domain);
WsId virt_facts_vm(Hypervisor *hv, const char *uuid);
void virt_facts_set_vm(Hypervisor *hv, const char *uuid, WsId vm);
void virt_facts_forget(Hypervisor *hv, const char *uuid);
WsVmGuest *virt_facts_guest(Hypervisor *hv, const char *uuid); /* a copy, NULL: nothing known */
/* Call with the lock held. Never NULL; made when absent. */
VirtFacts *virt_facts(Hypervisor *hv, const char *uuid);
void virt_facts_free(void *facts);
const char *virt_uuid(virDomainPtr domain, char *buf); /* buf of VIR_UUID_STRING_BUFLEN; returns buf */

/* ---- report.c ---- */
WsVmReport *virt_report(Hypervisor *hv, virDomainPtr domain, GError **error);
/* Every domain, in order of UUID, page by page to config.on_report. */
bool virt_report_all(Hypervisor *hv, VirtConn *conn, GError **error);
/* XML of a domain; free() it. */
char *virt_xml(virDomainPtr domain, bool live);

/* ---- events.c ---- */
bool virt_events_register(Hypervisor *hv, VirtConn *conn, GError **error);
void virt_events_unregister(Hypervisor *hv, VirtConn *conn);
/* Sends an event: numbers it, fills in the time and the VM. Takes it. */
void virt_emit(Hypervisor *hv, WsRpcVmEvent *event);
/* Waits until libvirt told that the device with this alias is gone (true) or refused, or timeout_ms passed (false). A removal that came
 * before the call counts when it came after `since_us` (monotonic). */
bool virt_wait_removed(Hypervisor *hv, const char *uuid, const char *alias, gint64 since_us, guint timeout_ms);
void virt_removal_free(void *removal);

/* ---- guest_agent.c ---- */
/* The agent of a domain opened its channel (true), or it is closed or missing. Any thread. */
void virt_guest_connected(Hypervisor *hv, const char *uuid, bool connected);
/* The domain does not run any more. */
void virt_guest_gone(Hypervisor *hv, const char *uuid);
/* Asks the guests that are due. On the hypervisor's own thread. */
void virt_guest_tick(Hypervisor *hv);

/* ---- move.c ---- */
/* Ends sessions that nobody uses or closes. On the hypervisor's own thread. */
void virt_moves_tick(Hypervisor *hv);
/* Removes what sessions of an earlier run have left; they ended with it. */
void virt_moves_sweep(const char *move_dir);
void virt_moves_stop(Hypervisor *hv);
/* A running guest was stopped to go over to another host. Any thread. */
void virt_moves_note_stopped(Hypervisor *hv, const char *uuid);
/* Does it leave, or arrive, now? With hv->lock held. */
bool virt_moves_has(Hypervisor *hv, const char *uuid);
