// SPDX-License-Identifier: Apache-2.0
/* Inside of a move: what move.c (sessions), move_run.c (the source's work), move_look.c (looking) and move_xml.c share.
 *
 * **A VM never runs twice.** The target gets the guest with VIR_MIGRATE_PAUSED: when libvirt has finished, all of the guest is there
 * and stands still. It is let go ("released") only by somebody who has seen that the source does not run: the source's agent over the
 * session, at once, or the manager, later. So when libvirt's answer to the source is lost, and it lets the source go on, the target
 * never ran. Post-copy cannot work like that: see move_run.c. */
#pragma once
#include "host/guard/guard.h"
#include "host/hypervisor/hypervisor-private.h"
#include "host/hypervisor/judge.h"
#include "host/storage/storage.h"
#include "http/tunnel.h"

#define MOVE_LIBVIRT "libvirt" /* channels of a session */
#define MOVE_MEMORY  "memory"
#define MOVE_DISKS   "disks"
#define MOVE_SEED    "seed"
#define MOVE_RELEASE "release"
#define MOVE_FILES   "files" /* of one that is off */
#define MOVE_STATE   "state"

/* One end of a session. */
struct VirtMove {
  gint refs;
  Hypervisor *hv;   /* referenced */
  WsId vm, peer;    /* peer: the other host */
  char *uuid, *session, *folder;
  char *address;    /* target: where it listens */
  bool is_source;
  Tunnel *tunnel;
  gint64 idle_since_us; /* monotonic; 0: something is open. Guarded by hv->lock, as what follows but for what is constant */
  WsRpcVmMigrateStart *params; /* source; constant */
  volatile gint cancel;
  bool running;     /* the source's thread is at work */
  bool done;
  GError *failure;
  WsVmMoveProgress *progress; /* never NULL on the source */
  /* Target: what may come in; constant but for `refused`. See move_guard.c. */
  WsVmSpec *spec;   /* as it will be here, filled */
  GArray *files;    /* VirtJudgeFile: that its definition may name, ended by an empty one */
  char *memory_uri, *disks_uri;
  VirtJudge judge;
  GuardTerms terms;
  char *refused;     /* what the other host asked for that it may not; NULL: nothing. Guarded */
  gint64 stopped_us; /* monotonic: when the guest was stopped to go over; 0: not yet */
  /* Of one that is off. The source's thread's own, or that of the target's connection. */
  WsRpcVmMigratePrepare *prepared; /* target; constant; NULL: it runs */
  GHashTable *arrivals;            /* target: key -> VolumeArrival that is not whole; NULL value: whole */
  GPtrArray *leaves;               /* source: VolumeLeave; held until the session ends, so that nobody starts it here meanwhile */
};

VirtMove *virt_move_ref(VirtMove *move);
void virt_move_unref(void *move);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirtMove, virt_move_unref)

/* ---- move_run.c ---- */
/* The whole of the source's work, on a thread of its own. Takes the reference. */
gpointer virt_move_run(gpointer move);
/* The last word of a source's thread: whoever asks for the status hears it from now on. Takes `error` (NULL when done). */
void virt_move_conclude(VirtMove *move, bool done, GError *error);

/* ---- move_off.c: a VM that is off ---- */
/* The whole of the source's work, as above. */
gpointer virt_move_off_run(gpointer move);
/* The target's channels: one part of a disk; what else there is, with which it is defined here. */
bool virt_move_take_part(GBytes *payload, void *move, GError **error);
bool virt_move_take_state(GBytes *payload, void *move, GError **error);

/* ---- move_guard.c: the target's end listens to what the source asks for ---- */
/* Knows from now on what may come: the VM as it will be here, with those files. */
bool virt_move_expect(VirtMove *move, const WsVmSpec *spec, const WsRpcVmMigratePrepareResult *files,
                      GError **error);
/* Of the channel to libvirt; its arg is the move. */
extern const TunnelReader virt_move_reader;
/* Is the definition this VM's, and may it be here? What it may not is told. */
bool virt_move_may_be(VirtMove *move, const char *xml, GError **error);

/* ---- move_state.c: what lies on a host beside disks ---- */
/* Of a domain's definition and the files it names. Caller frees. */
WsVmMoveState *virt_move_state(const char *xml, const char *uuid, GError **error);
/* Writes the files for a definition that libvirt has accepted here; durable on return. */
bool virt_move_state_put(const WsVmMoveState *state, const char *xml, const char *uuid, GError **error);

/* ---- move.c ---- */
/* Files of disks and CDs on the target, which must be there. */
bool virt_move_name_files(VirtMove *move, const WsVmSpec *spec, WsRpcVmMigratePrepareResult *result, GError **error);

/* ---- move_net.c ---- */
/* This host's own address in a network ("10.1.0.0/24"), as text; NULL: it has none. Caller frees. */
char *virt_move_address(const char *network);

/* ---- move_look.c ---- */
/* Without KVM, QEMU before 9.0 does not see every write of a guest whose memory it copies: after its list of written pages was fetched, the
 * emulated processor goes on writing by addresses it has looked up, past the list (QEMU's "physmem: Fix migration dirty bitmap coherency
 * with TCG memory access", 2024). What arrives then lacks these writes, and nobody is told. So such a guest stands still while its memory
 * goes. That of the running process is taken for the installed version. */
bool virt_move_stands_still(Hypervisor *hv, VirtConn *conn, bool emulated);
WsRpcVmMigrateStatusResultDomain virt_move_domain_state(virDomainPtr domain); /* 0: libvirt's error */
/* The VM is complete here and stands still: let it run. */
bool virt_move_release(Hypervisor *hv, WsId vm, const char *uuid, GError **error);

/* ---- move_xml.c: pure ---- */
/* What is called otherwise on the target. */
typedef struct {
  const WsVmSpec *spec; /* as it will be there, filled */
  WsVmMovePath *const *paths;
  guint n_paths;
  const char *seed_path, *serial_log; /* may be NULL */
} VirtMoveThere;
/* A domain's XML (running or defined) with files, switches and notes of the target; all else stays, or the guest's devices would
 * differ. NULL with WS_ERROR_UNSUPPORTED (what): a device that the target's spec does not know. Caller frees. */
char *virt_move_xml(const char *xml, const VirtMoveThere *there, GError **error);
/* The same of a definition that comes from another host: where its firmware's settings lie is left to libvirt here. */
char *virt_move_xml_off(const char *xml, const VirtMoveThere *there, GError **error);
/* The same definition with other files for these disks. Caller frees; NULL with WS_ERROR_NOT_FOUND: it lacks one of them. */
char *virt_move_xml_disks(const char *xml, WsVmMoveHere *const *disks, char *const *paths, guint n, GError **error);
/* What a disk of a running VM is copied to, now: path (caller frees) and whether both are the same from here on; NULL: nothing. */
char *virt_move_mirror(const char *xml, const char *key, bool *ready);
/* The file that the disk uses; NULL: there is none. Caller frees. */
char *virt_move_file(const char *xml, const char *key);
/* Target name ("vda") of the disk with this key, or NULL. Caller frees. */
char *virt_move_dev(const char *xml, const char *key);
