// SPDX-License-Identifier: Apache-2.0
/* The VMs of one host, behind libvirt.
 *
 *     manager's call -> serve.c (coroutine) -> hypervisor_vm_*() on a worker -> libvirt
 *     libvirt's event -> events.c (libvirt's event thread) -> worker: look, report -> on_event
 *
 * Connections. One connection takes events; calls have others, one each as far as it goes, since a frozen QEMU holds its call
 * and slows down all others of its connection. When libvirtd goes away the room tries again (0.2 s doubling to 5 s); once back, everything is
 * read anew and reported in full, for events were lost.
 *
 * Idempotence. Every call says how it should be: to start what runs is a success. Repeating a call whose answer was lost is
 * therefore right; reboot and reset, which cannot be told from their repetition, just happen again.
 *
 * Memory. libvirt does not know since when a domain is in its state, nor what its guest agent last said: that is kept here,
 * per domain, and is lost with the process.
 *
 * Threads: hypervisor_vm_*() block and may be called on any worker thread, at the same time for different domains. Callbacks come on
 * worker threads. Errors, beside those named: WS_ERROR_HYPERVISOR_UNREACHABLE (libvirt is away), WS_ERROR_NOT_FOUND (domain),
 * WS_ERROR_HYPERVISOR_ERROR (object, operation, cause: libvirt's own words), WS_ERROR_DEADLINE_EXCEEDED. */
#pragma once
#include "base/loop.h"
#include "http/http.h"
#include "model/model.h"

typedef struct Hypervisor Hypervisor;

typedef struct {
  const char *uri;            /* "qemu:///system" */
  WsClock *clock;
  WsWorkers *workers;         /* for what events need to look up; outlives the hypervisor */
  const char *seed_dir;       /* cloud-init seed CDs */
  const char *serial_log_dir; /* what serial ports say; NULL: not kept */
  const char *run_log_dir;    /* where libvirt keeps run_log_dir/<domain>.log; NULL: none is shown */
  const char *lease_dir;      /* this host's own records of who may run a VM, durable; NULL: no leases are kept */
  const char *started_file;   /* is gone when the machine starts (below /run): then VMs that start with their host are started. NULL: never */
  gint64 lease_wait_us;       /* how long a start waits for another host to give the right back; 0: 3 s */
  const char *move_dir;       /* sockets of moves, a short path; made when needed */
  bool move_emulated_live;    /* in a lab: see virt_move_stands_still() */
  HttpTls tls;                /* who this host is, for moves */
  struct Storage *storage;    /* disks of VMs that move while they are off, and records of leases; NULL: such moves are refused, no records are written */
  /* Files of pools: see VirtHost. */
  char *(*pool_file)(void *arg, WsId pool, const char *file, GError **error);
  bool (*find_pool)(void *arg, const char *path, WsId *pool, char **file);
  /* Something happened to a domain: the plain object is the callee's. Sequence numbers rise by one. */
  void (*on_event)(WsRpcVmEvent *event, void *arg);
  /* libvirt is there (again): one page of the full report, the callee's. */
  void (*on_report)(WsRpcVmReport *page, void *arg);
  /* libvirt is there (again): versions such as "9.0.0"; may be NULL. */
  void (*on_versions)(const char *libvirt, const char *qemu, void *arg);
  /* libvirt is there (again): what guests can have of the processor, the callee's; may be NULL. */
  void (*on_guest_cpu)(WsHostGuestCpu *cpu, void *arg);
  void *arg;
} HypervisorConfig;

/* Of a libvirt that answers now, without a Hypervisor; else both stay NULL. Blocks; caller frees. */
void hypervisor_ask_versions(const char *uri, char **libvirt, char **qemu);

/* Never fails for libvirt being away: it is tried again. Strings are copied. */
Hypervisor *hypervisor_new(const HypervisorConfig *config);
void hypervisor_free(Hypervisor *hv); /* no call may be running; guests go on; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hypervisor, hypervisor_free)
/* Waits until libvirt is there and was reported. false: not within timeout_ms. */
bool hypervisor_wait_ready(Hypervisor *hv, guint timeout_ms);

/* How a long call tells of its progress and is stopped. */
typedef struct {
  void (*progress)(gint64 done_bytes, gint64 total_bytes, void *arg); /* any thread; may be NULL */
  void *arg;
  volatile gint *cancel; /* non-zero: stop and undo; may be NULL */
} HypervisorOp;

/* Names of all domains that run or are paused, ours or not (of char *, owned); NULL with error. */
GPtrArray *hypervisor_running(Hypervisor *hv, GError **error);

/* ---- definition (define.c) ---- */
/* WS_ERROR_BAD_VALUE, WS_ERROR_UNSUPPORTED: the spec cannot be. WS_ERROR_ALREADY_EXISTS: its UUID is another VM's. */
bool hypervisor_vm_define(Hypervisor *hv, const WsRpcVmDefine *params, WsVmReport **report, GError **error);
/* WS_ERROR_WRONG_STATE: it runs. */
bool hypervisor_vm_undefine(Hypervisor *hv, const WsRpcVmUndefine *params, GError **error);
bool hypervisor_vm_adopt(Hypervisor *hv, const WsRpcVmAdopt *params, WsVmReport **report, GError **error);
bool hypervisor_vm_release(Hypervisor *hv, const WsRpcVmRelease *params, GError **error);
/* The definition and, of a running guest, all that can change while it runs (update.c). `refused` (of char *, owned by the caller):
 * live changes that failed, "path: why". */
bool hypervisor_vm_update_live(Hypervisor *hv, const WsRpcVmUpdateLive *params, WsVmReport **report, GPtrArray **refused,
                               GError **error);
/* Grows a disk of a running guest. WS_ERROR_WRONG_STATE: it does not run. */
bool hypervisor_vm_disk_resize(Hypervisor *hv, const WsRpcVmDiskResize *params, GError **error);

/* ---- power (power.c): *power is the state afterwards. WS_ERROR_WRONG_STATE where the state forbids it ---- */
bool hypervisor_vm_start(Hypervisor *hv, const WsRpcVmStart *params, WsPower **power, GError **error);
bool hypervisor_vm_shutdown(Hypervisor *hv, const WsRpcVmShutdown *params, WsPower **power, GError **error);
bool hypervisor_vm_power_off(Hypervisor *hv, const WsRpcVmPowerOff *params, WsPower **power, GError **error);
bool hypervisor_vm_reboot(Hypervisor *hv, const WsRpcVmReboot *params, WsPower **power, GError **error);
/* Through the guest agent: WS_ERROR_GUEST_AGENT_ABSENT, or what the guest has to say against it. */
bool hypervisor_vm_set_password(Hypervisor *hv, const WsRpcVmSetPassword *params, GError **error);
bool hypervisor_vm_reset(Hypervisor *hv, const WsRpcVmReset *params, WsPower **power, GError **error);
bool hypervisor_vm_pause(Hypervisor *hv, const WsRpcVmPause *params, WsPower **power, GError **error);
bool hypervisor_vm_resume(Hypervisor *hv, const WsRpcVmResume *params, WsPower **power, GError **error);
bool hypervisor_vm_hibernate(Hypervisor *hv, const WsRpcVmHibernate *params, const HypervisorOp *op, WsPower **power, GError **error);
bool hypervisor_vm_discard_saved(Hypervisor *hv, const WsRpcVmDiscardSaved *params, WsPower **power, GError **error);

/* ---- moves (move.c, move_look.c): see api/rpc/migrate.yaml ---- */
bool hypervisor_vm_migrate_look(Hypervisor *hv, const WsRpcVmMigrateLook *params, WsVmMoveSight **sight, GError **error);
/* Lasts a second or more. */
bool hypervisor_vm_dirty_rate(Hypervisor *hv, const WsRpcVmDirtyRate *params, WsRpcVmDirtyRateResult **result,
                              GError **error);
bool hypervisor_vm_migrate_check(Hypervisor *hv, const WsRpcVmMigrateCheck *params, WsRpcVmMigrateCheckResult **result,
                                 GError **error);
bool hypervisor_vm_migrate_prepare(Hypervisor *hv, const WsRpcVmMigratePrepare *params, WsRpcVmMigratePrepareResult **result,
                                   GError **error);
bool hypervisor_vm_migrate_start(Hypervisor *hv, const WsRpcVmMigrateStart *params, GError **error);
bool hypervisor_vm_migrate_status(Hypervisor *hv, const WsRpcVmMigrateStatus *params, WsRpcVmMigrateStatusResult **result,
                                  GError **error);
bool hypervisor_vm_migrate_cancel(Hypervisor *hv, const WsRpcVmMigrateCancel *params, GError **error);
/* WS_ERROR_WRONG_STATE: not all of it is here. */
bool hypervisor_vm_migrate_release(Hypervisor *hv, const WsRpcVmMigrateRelease *params, WsPower **power, GError **error);
/* WS_ERROR_WRONG_STATE: it runs. */
bool hypervisor_vm_migrate_drop(Hypervisor *hv, const WsRpcVmMigrateDrop *params, GError **error);
/* WS_ERROR_WRONG_STATE: it runs, or has saved memory. */
bool hypervisor_vm_lease_pass(Hypervisor *hv, const WsRpcVmLeasePass *params, GError **error);
bool hypervisor_vm_migrate_close(Hypervisor *hv, const WsRpcVmMigrateClose *params, GError **error);

/* Compares the right to run of each running VM with the records beside its disks: while this host was alone, another may have been given it.
 * What was lost is reported. Returns at once. Core loop. */
void hypervisor_check_leases(Hypervisor *hv);

/* ---- disks move on their host (move_disks.c) ---- */
/* WS_ERROR_WRONG_STATE: it runs, or does not, against params->offline. WS_ERROR_NO_CAPACITY: the new file's pool is full. */
bool hypervisor_vm_move_disks(Hypervisor *hv, const WsRpcVmMoveDisks *params, const HypervisorOp *op, GError **error);
bool hypervisor_vm_move_disks_abort(Hypervisor *hv, const WsRpcVmMoveDisksAbort *params, WsRpcVmMoveDisksAbortResult **result,
                                    GError **error);

/* ---- looking (report.c, stats.c) ---- */
bool hypervisor_vm_get(Hypervisor *hv, const WsRpcVmGet *params, WsVmReport **report, GError **error);
bool hypervisor_vm_list(Hypervisor *hv, const WsRpcVmList *params, WsRpcVmListResult **result, GError **error);
bool hypervisor_vm_get_xml(Hypervisor *hv, const WsRpcVmGetXml *params, char **xml, GError **error);
/* Rates since the previous call; the first one gives counters only. Never waits for a guest. */
bool hypervisor_vm_stats(Hypervisor *hv, WsRpcVmStatsResult **result, GError **error);

/* ---- console (console.c, screen.c) ---- */
/* One connection to a VM's screen or serial port, as a stream of bytes.
 *
 * Output begins when virt_console_flow(console, true) is called. Events come on libvirt's event thread and must not block. The last
 * one is `ended`, once: the guest or libvirt hung up, or virt_console_close() was called (then on that thread, unless the event thread is
 * just telling something: it ends it then). No other event is under way then, so `arg` may be freed. */
typedef struct VirtConsole VirtConsole;
typedef struct {
  void (*bytes)(const char *bytes, gsize n, void *arg); /* at most 64 KiB at a time */
  void (*room)(void *arg);                              /* after virt_console_send() said false: send on */
  void (*ended)(const char *reason, void *arg);
} VirtConsoleEvents;
/* `events` is borrowed for ever. WS_ERROR_UNSUPPORTED: the VM has no such console. WS_ERROR_WRONG_STATE: it does not run. */
VirtConsole *hypervisor_console_open(Hypervisor *hv, WsId vm, const char *uuid, bool vnc, const VirtConsoleEvents *events, void *arg,
                                     GError **error);
VirtConsole *virt_console_ref(VirtConsole *console); /* (any) */
void virt_console_unref(VirtConsole *console);       /* (any) does not close it; NULL is fine */
void virt_console_flow(VirtConsole *console, bool on); /* (any) whether output is read */
/* (any) Takes the bytes in any case. false: much is waiting, hold back until `room`. */
bool virt_console_send(VirtConsole *console, const char *bytes, gsize n);
void virt_console_close(VirtConsole *console, const char *reason); /* (any) */

/* PNG. WS_ERROR_TOO_LARGE above what one message holds. */
bool hypervisor_vm_screenshot(Hypervisor *hv, const WsRpcVmScreenshot *params, GBytes **png, GError **error);
/* The end of the domain's run log: the newest lines, at most 1 MiB. One that is not there is empty. WS_ERROR_IO_ERROR (path). */
bool hypervisor_vm_log(Hypervisor *hv, const WsRpcVmLog *params, WsRpcVmLogResult *result, GError **error);
bool hypervisor_vm_send_keys(Hypervisor *hv, const WsRpcVmSendKeys *params, GError **error);
