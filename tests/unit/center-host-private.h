// SPDX-License-Identifier: Apache-2.0
/* Inside the simulated host: its wire (center-host.c) and its calls (center-host-serve.c). */
#pragma once
#include "center-host.h"
#include "base/error.h"

#define HOST_WIRE_US 200 /* of each message */
#define HOST_ACT_US  500 /* of each act */
#define HOST_GOODBYE_US (2 * (gint64)G_USEC_PER_SEC) /* from the request to the end of a guest */

struct HostSim {
  WsLoop *loop;
  HostTruth *truth;
  HostAct act;
  void *arg;
  RpcLink *link, *manager_end;
  guint64 generation; /* of the wire: what was sent on an older one does not arrive */
  bool connected;
  gint64 list_late_us, event_late_us;
  GPtrArray *ends; /* WireEnd[2] */
};

typedef struct {
  HostSim *sim;
  guint64 generation;
  bool is_manager;
} WireEnd;

extern const RpcService host_services[];
extern const guint host_n_services;

HostDomain *host_new_domain(HostTruth *truth);
HostFile *host_new_file(HostTruth *truth);
HostPool *host_new_pool(HostTruth *truth);
HostNet *host_new_net(HostTruth *truth);
WsVmSpec *host_spec(const HostDomain *d); /* caller frees */
bool host_is_on(const HostDomain *d);
void host_end_guests(void *sim); /* those that were asked and whose time has come */
