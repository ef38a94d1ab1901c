// SPDX-License-Identifier: Apache-2.0
/* The processor that guests of a cluster may count on: what each of its hosts can show. Pure.
 *
 * Hosts say, by libvirt's own names, all features that a guest can have there and the named models that can be had whole. The baseline is the
 * features common to all, and of the models common to all the richest of the hosts' own vendor (or of none: qemu64, kvm64). Such a guest runs
 * on every host of the cluster, and moves between them. */
#pragma once
#include "model/model.h"

typedef struct {
  const char *name;            /* of the host; borrowed */
  const WsHostGuestCpu *cpu;   /* borrowed */
} PlanCpuHost;

/* NULL: there is no host, or no model is common to all (another architecture, or nothing is known). Features are sorted. Caller frees. */
WsClusterCpuBaseline *plan_cpu_baseline(const PlanCpuHost *hosts, guint n);
/* What of `features`, and of the model (NULL: none), a guest cannot have there: sorted names, the model as "model X". Empty: nothing is missing,
 * or nothing is known of that host. g_strfreev(). */
char **plan_cpu_missing(const WsHostGuestCpu *there, const char *model, char *const *features, guint n);
/* The same of a VM: a custom model and its features, or, of a guest that runs with what its host has, all that `here` (NULL: it does not run, or
 * nothing is known) shows. g_strfreev(). */
char **plan_cpu_missing_of_vm(const WsVmCpu *cpu, const WsHostGuestCpu *here, const WsHostGuestCpu *there);
/* Do the two show guests the same? */
bool plan_cpu_alike(const WsHostGuestCpu *a, const WsHostGuestCpu *b);
/* The names in a sentence: the first ones and how many more. Caller frees. */
char *plan_cpu_names(char *const *missing);
