// SPDX-License-Identifier: Apache-2.0
/* Inside the simulated host: its wire (center-host.c) and its calls (center-host-serve.c). */
#pragma once
#include "center-host.h"
#include "base/error.h"

#define HOST_WIRE_US 200 /* of each message */
#define HOST_ACT_US  500 /* of each act */
#define HOST_GOODBYE_US (2 * (gint64)G_USEC_PER_SEC) /* from the request to the end of a guest */
#define HOST_MOVE_US    (2 * (gint64)G_USEC_PER_SEC) /* a guest's memory and disks on their way */

struct HostSim {
  WsLoop *loop;
  char *name;
  HostTruth *truth;
  HostDisks *disks;
  HostSim *peer;
  RpcService *services;
  HostAct act;
  void *arg;
  RpcLink *link, *manager_end;
  guint64 generation; /* of the wire: what was sent on an older one does not arrive */
  bool connected;
  gint64 list_late_us, event_late_us;
  gint64 ahead_us; /* its clock, of the test's */
  bool knows_no_start_order;
  gint64 check_late_us;
  const char *version; /* of its agent; NULL: it does not say */
  GPtrArray *ends; /* WireEnd[2] */
};

typedef struct {
  HostSim *sim;
  guint64 generation;
  bool is_manager;
} WireEnd;

extern const RpcService host_services[], host_move_services[];
extern const guint host_n_services, host_n_move_services;

/* Each call takes its time first; from then on it is one act, as calls of one object are in line in the agent. */
#define SERVE_AS(name, Params, Result)                                                                                 \
  static bool name##_now(RpcCall *call, const Params *params, Result **result, GError **error);                        \
  static bool name(RpcCall *call, const Params *params, Result **result, GError **error)                               \
  {                                                                                                                    \
    ws_co_sleep(HOST_ACT_US);                                                                                          \
    return name##_now(call, params, result, error);                                                                    \
  }                                                                                                                    \
  static bool name##_now(RpcCall *call, const Params *params, Result **result, GError **error)
#define SERVE(name, Name)       SERVE_AS(name, WsRpc##Name, WsRpc##Name##Result)
#define SERVE_PLAIN(name, Name) SERVE_AS(name, WsRpc##Name, void)
#define ROW(method, func) {&rpc_method_##method, (RpcHandler)(void *)func}

HostSim *host_sim_of(RpcCall *call);
/* Around each change of the truth. */
bool host_before(HostSim *sim, const char *method, GError **error);
bool host_after(HostSim *sim, const char *method);
WsPower *host_power(HostTruth *truth, const HostDomain *d);       /* caller frees */
WsVmReport *host_report(HostTruth *truth, const HostDomain *d);   /* caller frees */
void host_write_spec(HostDomain *d, const WsVmSpec *spec);
/* d: NULL: it is gone */
void host_tell(HostSim *sim, const char *uuid, const HostDomain *d, WsRpcVmEventKind kind, bool with_report);
bool host_not_found(const char *what, GError **error);

/* ---- the right to run a VM (center-host-lease.c) ---- */
typedef struct {
  gint64 generation; /* WS_INT_UNSET: none given */
  bool over;         /* leases up to over_generation are */
  gint64 over_generation;
  bool handed_over;
} HostAsk;
bool host_lease_take(HostSim *sim, HostDomain *d, const HostAsk *ask, GError **error);
void host_lease_release(HostSim *sim, HostDomain *d); /* it does not run any more */
void host_lease_forget(HostSim *sim, const char *uuid);

HostDomain *host_new_domain(HostTruth *truth);
HostFile *host_new_file(HostDisks *disks);
HostPool *host_new_pool(HostTruth *truth);
HostNet *host_new_net(HostTruth *truth);
WsVmSpec *host_spec(const HostDomain *d); /* caller frees */
bool host_is_on(const HostDomain *d);
void host_end_guests(void *sim); /* those that were asked and whose time has come */
void host_end_moves(void *sim);  /* the source's, the same */
