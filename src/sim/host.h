// SPDX-License-Identifier: Apache-2.0
/* A simulated host: the truth of one machine, and an agent that speaks the agent RPC of api/rpc about it.
 *
 * The truth (domains, files, bridges) outlives the agent and, except for what only lives in memory, the machine's power. The agent can be
 * stopped and started by itself: guests do not notice. Everything a call does takes virtual time and may fail, as on a real host; what a
 * crash cuts short is done or not done, never half (files appear under their names when they are whole).
 *
 * New methods: a handler and a line in the table of host-vm.c, host-storage.c or host-network.c; whatever is in no table is answered
 * with `unsupported`. All on one thread. */
#pragma once
#include "model/model.h"
#include "rpc/rpc.h"
#include "sim/net.h"

typedef struct SimHost SimHost;

/* A QEMU process, or a definition of one. */
typedef struct {
  char *uuid, *name;
  WsId vm;             /* 0: made by somebody on the host itself */
  WsVmSpec *spec;      /* as the next start takes it */
  WsVmSpec *live;      /* of the running guest; NULL: it does not run */
  WsPowerState state;  /* OFF, RUNNING, PAUSED, HIBERNATED, CRASHED */
  const char *reason;  /* literal */
  gint64 since_us;     /* wall, of the host */
  gint64 generation;   /* of its last right to run (docs/leases.md); 0: none */
  bool released;       /* it was ours and was let go */
  bool obeys;          /* the guest follows a request to shut down */
  SimEvent *ending;    /* its shutdown under way */
  /* of a move (host-move.c) */
  enum { SIM_HERE, SIM_INCOMING, SIM_COMPLETE } arrival; /* arrives from another host: not whole yet; whole, and never ran here */
  bool outgoing;       /* stands still to go over */
  bool gone_over;      /* off, because it moved */
  bool was_paused;     /* before it stood still */
} SimDomain;

typedef struct {
  char *name;          /* "vol-7-1a2b3c4d.qcow2" */
  int format;          /* WsPoolFileFormat */
  gint64 size_bytes, allocated_bytes;
  char *parent;        /* backing file in the same folder, or NULL */
  guint64 content;     /* stands for its bytes: copies have the same */
} SimFile;

/* A folder of the host's disk that is marked as a pool. Outlives the pool. */
typedef struct {
  char *path, *uuid;
  GPtrArray *files; /* SimFile, by name */
  gint64 capacity_bytes;
} SimFolder;

/* What the agent keeps about a pool. */
typedef struct {
  WsId id;
  SimFolder *folder;
  bool suspended;
  guint64 prepared_at;
} SimPool;

/* What the agent keeps about a switch or port group: its parameters as they came. */
typedef struct {
  WsId id, on; /* on: the switch of a port group */
  char *json;
} SimApplied;

typedef struct {
  double call_fails;                   /* chance that a call fails with an error of the host's own */
  gint64 call_us, call_most_us;        /* how long a short call takes */
  double guest_deaf;                   /* chance that a new guest does not follow a request to shut down */
} SimHostFaults;

struct SimHost {
  SimWorld *world;
  SimNet *net;
  guint node;
  char *name;
  SimMachine *machine;
  SimRandom random;
  SimHostFaults faults;
  bool powered;
  bool is_older; /* its agent is of an older version, and knows less (host.c) */

  /* who it is to the manager; serial NULL: not enrolled */
  WsId id;
  char *serial;

  /* the agent; loop NULL: it does not run */
  WsLoop *loop;
  RpcLink *link;
  SimConn *conn;
  SimEvent *dial, *load;
  GHashTable *lines; /* key -> GQueue of waiting calls, while one of the key is at work */
  guint64 sequence; /* of vm.event */
  guint64 looks;    /* number of the last look at a domain (api: Power.look) */
  guint64 starts;   /* agent runs, ever */

  /* the truth */
  GPtrArray *domains;  /* SimDomain, by uuid */
  GPtrArray *folders;  /* SimFolder */
  GPtrArray *pools;    /* SimPool */
  guint64 n_prepared;  /* how often one was */
  GPtrArray *switches; /* SimApplied */
  GPtrArray *groups;   /* SimApplied */
  GPtrArray *sessions; /* of moves */
  char *firewall;      /* as it came last, or NULL */
};

/* A machine without power and without a certificate. node: its place in the network. */
SimHost *sim_host_new(SimWorld *world, SimNet *net, guint node, const char *name);
void sim_host_enrol(SimHost *host, WsId id, const char *serial);
void sim_host_set_faults(SimHost *host, const SimHostFaults *faults);

void sim_host_power_on(SimHost *host);  /* boots; its agent starts */
void sim_host_power_off(SimHost *host); /* as by pulling the plug: every guest dies, nobody is told */
void sim_host_start_agent(SimHost *host);
void sim_host_stop_agent(SimHost *host); /* SIGKILL */
static inline bool sim_host_has_agent(const SimHost *host) { return host->loop != NULL; }

SimDomain *sim_host_find_domain(const SimHost *host, const char *uuid);
SimPool *sim_host_find_pool(const SimHost *host, WsId id);
SimFolder *sim_host_find_folder(const SimHost *host, const char *path);
SimFile *sim_folder_find(const SimFolder *folder, const char *name);
SimApplied *sim_applied_find(const GPtrArray *list, WsId id);
static inline bool sim_domain_is_on(const SimDomain *domain) { return domain->live != NULL; }
/* Who has the file open for writing; NULL: nobody. */
SimDomain *sim_host_writer(const SimHost *host, WsId pool, const char *file);

/* Somebody with virsh: a domain of their own, a start, stop or undefine of any, a crash of a guest. random picks. */
void sim_host_meddle(SimHost *host);

/* ---- for the files of the host ---- */
/* In a handler: takes time, and fails as often as asked. false: cancelled or failed. Calls of one `key` (an object; NULL: none) are one
 * after the other, in order of arrival, also those of a link that is gone: so does the real agent. What follows in the handler is done at
 * once. */
bool sim_host_work(SimHost *host, RpcCall *call, const char *key, GError **error);
/* The same for what takes long, with progress. */
bool sim_host_work_long(SimHost *host, RpcCall *call, const char *key, gint64 bytes, GError **error);
const char *sim_host_key(const char *prefix, WsId id); /* good until the next */
SimHost *sim_host_of_call(RpcCall *call);
void sim_host_note(SimHost *host, const char *format, ...) G_GNUC_PRINTF(2, 3);
void sim_host_tell_event(SimHost *host, const SimDomain *domain, int kind, bool with_report); /* vm.event */
void sim_domain_stop(SimHost *host, SimDomain *domain, WsPowerState state, const char *reason);
void sim_host_guests_die(SimHost *host);

typedef struct {
  const RpcService *services;
  guint n;
} SimServices;
void sim_host_move_know(SimHost *host);
void sim_host_moves_break(SimHost *host); /* its agent is gone */
SimHost *sim_host_nth(guint i);           /* NULL: so many there are not */
void sim_host_add_incoming(SimHost *host, const WsVmSpec *spec);
void sim_host_remove_domain(SimHost *host, SimDomain *domain);
void sim_domain_stand(SimHost *host, SimDomain *domain); /* to go over */
void sim_domain_go_on(SimHost *host, SimDomain *domain); /* here, after it stood still */
WsPower *sim_domain_power(SimHost *host, const SimDomain *domain);

SimServices sim_host_move_services(void), sim_host_vm_services(void), sim_host_storage_services(void), sim_host_network_services(void);
