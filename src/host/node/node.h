// SPDX-License-Identifier: Apache-2.0
/* What this machine is (facts) and does (load), read from /proc, /sys and the firmware's tables; no program is run.
 *
 * Facts are read anew on demand and when the kernel tells of devices; load is sampled at intervals, as differences of the kernel's
 * counters. All readers take the root of the tree they read, so that tests run them over recorded machines.
 *
 * Threads: any; a sampler is one thread's at a time. */
#pragma once
#include "base/clock.h"
#include "model/model.h"

typedef struct Node Node; /* the room's state in the agent (serve.c) */

/* `root`: "" on a host, else a recorded tree without a slash at its end. Versions of libvirt, QEMU and Open vSwitch are left absent:
 * who is connected to them knows them. */
WsHostFacts *node_read_facts(const char *root);
#define NODE_PACKAGES_MAX 100
/* What the package manager did last, the newest first. May run rpm, of the host itself. Caller frees. */
WsHostPackages *node_read_packages(const char *root);

/* (any thread) A room tells which version it has met; NULL: it is gone. The manager hears of it as of any changed fact. */
typedef enum { NODE_LIBVIRT, NODE_QEMU, NODE_OVS, N_NODE_VERSIONS } NodeVersion;
void node_tell_version(Node *node, NodeVersion what, const char *version);
/* (any thread) What guests can have of the processor; taken over. */
void node_tell_guest_cpu(Node *node, WsHostGuestCpu *cpu);

typedef struct NodeSampler NodeSampler;
NodeSampler *node_sampler_new(const char *root, WsClock *clock);
void node_sampler_free(NodeSampler *sampler); /* NULL is fine */
/* Rates are means since the sample before, or since the sampler was made. */
WsHostLoad *node_sampler_take(NodeSampler *sampler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NodeSampler, node_sampler_free)

/* The kernel's messages on devices: a non-blocking descriptor that becomes readable (-1: not to be had), and its emptying: true when
 * one of them was on a device that facts show. */
int node_uevents_open(void);
bool node_uevents_drain(int fd);
