// SPDX-License-Identifier: Apache-2.0
/* One request of each kind of task that the contract has, on a site that has something of everything. */
#pragma once
#include "center-rig.h"

typedef struct {
  const char *name, *kind, *target, *json;
  bool no_way_back; /* from some step on it can only go forward: when it fails it can be asked for again */
  bool host_off;    /* the first host has lost its power before, and is back when all is over */
  bool acts_only;   /* changes what is not kept: undone does not mean as before */
  bool has_secret;  /* that no record keeps: a manager that was started anew may have to give up */
} Scene;
extern const Scene scenes[];
extern const guint n_scenes;

/* A site in `dir` (empty) and world: a host with pools, switches, port groups, images, volumes, and VMs in each state. */
void scenes_make_site(const char *dir, RigWorld *world);
