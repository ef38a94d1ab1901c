// SPDX-License-Identifier: Apache-2.0
/* The host agent: one process per host, one link to the manager, and the rooms that do the work.
 *
 * It dials the manager and never listens. Calls of the manager arrive on the core loop as coroutines (serve_* of rpc/methods.h,
 * each in the room it belongs to); what blocks - libvirt, files, programs - goes to a worker with agent_blocking(), so a frozen
 * QEMU or a slow disk costs one thread and holds up nobody else. When the link is down everything goes on running; rooms keep
 * their own state and report all of it when the link is up again.
 *
 * Threads: core loop, unless marked (any). */
#pragma once
#include "base/loop.h"
#include "http/http.h"
#include "rpc/rpc.h"

typedef struct Agent Agent;
typedef struct Storage Storage;       /* host/storage/storage.h */
typedef struct Hypervisor Hypervisor; /* host/hypervisor/hypervisor.h */
typedef struct Network Network;       /* host/network/network.h */
typedef struct Node Node;             /* host/node/node.h */

typedef struct {
  char *state_dir;      /* keys, certificate, what rooms remember: mode 0700; default /var/lib/winsphere/host */
  char **pool_roots;    /* folders below which pools may lie; default /var/lib/winsphere/pools */
  char *manager_url;    /* https://name:port; kept in state_dir at enrolment */
  char *libvirt_uri;    /* "qemu:///system" */
  char *ovsdb_socket;   /* "/run/openvswitch/db.sock" */
  guint64 max_workers;  /* 0: 64 */
  gboolean move_emulated_live; /* HypervisorConfig's */
} AgentConfig;

struct Agent {
  AgentConfig config;
  WsClock *clock;
  WsLoop *loop;
  WsWorkers *workers;
  HttpIo *io;
  RpcLink *link; /* for good; up and down as the network is */
  Storage *storage;
  Hypervisor *hypervisor;
  Network *network;
  Node *node;
  struct MissedEvents *missed; /* host/hypervisor/missed.h */
  HttpTls tls;         /* paths of key, certificate and CA */
  WsTimer *dial_timer, *renew_timer;
  bool renewing; /* a coroutine is at it, and plans the next time */
  gint64 backoff_us;   /* last wait before dialling; 0: none yet */
  bool stopping;
};

/* In a serve_* function: whose call it is. */
Agent *agent_of_call(RpcCall *call);

/* The job of a call, on a worker, while the calling coroutine waits. Progress and cancel of the call reach the worker through `job`.
 * `deadline_ms` 0: as long as it takes. After a missed deadline func may still be running: so `arg` is given away, and destroyed when
 * func has ended (also on success: read results from it before, by taking them out in `func` under the job's result, or use
 * AGENT_BLOCKING below). */
typedef struct {
  RpcCall *call;         /* referenced; for rpc_call_progress() (any) */
  volatile gint *cancel; /* non-zero: stop (any) */
} AgentJob;
/* Runs func(job, arg) and waits. Returns what func returned; false with `error` else. */
bool agent_blocking(RpcCall *call, bool (*func)(AgentJob *job, void *arg, GError **error), void *arg, GDestroyNotify destroy,
                    guint deadline_ms, GError **error);

/* Reports progress of the job; the signature is that of StorageOp. (any) */
void agent_job_progress(gint64 done, gint64 total, void *job);

/* Sends a notification to the manager from any thread: takes `params`, a plain object of the method's type; dropped when the link is
 * down (rooms report everything when it comes up). (any) */
void agent_notify(Agent *agent, const RpcMethod *method, void *params);

/* Dials the manager's byte-stream door under the one-time name it gave. `events` and `arg` as for http_socket_connect(). (any) */
HttpSocket *agent_dial_stream(Agent *agent, const char *stream, const HttpSocketEvents *events, void *arg);

/* ---- what each room offers the agent ---- */
/* Called by the agent at start (blocking is allowed, the loop does not run yet) and at the end. The room keeps its state in `agent`
 * (agent->storage = ...). */
bool storage_room_start(Agent *agent, GError **error);
void storage_room_stop(Agent *agent);
bool network_room_start(Agent *agent, GError **error);
void network_room_stop(Agent *agent);
bool node_room_start(Agent *agent, GError **error);
void node_room_stop(Agent *agent);
bool hypervisor_room_start(Agent *agent, GError **error);
void hypervisor_room_stop(Agent *agent);
/* The link is up: rooms that report by themselves begin (again). Core loop. */
void node_room_link_up(Agent *agent);
void hypervisor_room_link_up(Agent *agent);
