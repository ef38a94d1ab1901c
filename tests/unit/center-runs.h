// SPDX-License-Identifier: Apache-2.0
/* Runs of scenes (center-scenes.h), each in a process of its own on a copy of one site; what is on the host is shared memory. */
#pragma once
#include "center-scenes.h"

extern RigWorld *runs_world; /* of the present run */

void runs_prepare(void); /* makes the site; once */
void runs_end(void);
/* A fresh copy of the site, where `fault` will happen at its `at`th point or act. */
void runs_begin(RigFault fault, gint at);
/* Asks for the scene's task and waits until all is quiet; false: the process was killed. */
bool runs_ask(const Scene *scene);
/* A manager that comes up after a kill, up to quiet; false: it was killed too. */
bool runs_recover(const Scene *scene);
/* The last manager: all must hold (center_rig_quarrel()), the task be done, or undone without a trace. Fails the test otherwise. */
void runs_check(const Scene *scene);
/* Runs func(rig) on a fresh copy with a manager and its host, in a process of its own. */
void runs_on_site(void (*func)(CenterRig *rig), const char *name);
/* The same where func sets a fault that may kill the process; false: it did. */
bool runs_may_die(void (*func)(CenterRig *rig), const char *name);
/* func(rig), on a fresh copy each time, with the manager killed at each point of it that comes after runs_arm(rig), and after(rig) with a manager that was started
 * anew (at_once: as runs_on_same_site_at_once()). Returns the first point that was tried and not reached. */
gint runs_kill_at_each_point(void (*func)(CenterRig *rig), void (*after)(CenterRig *rig), bool at_once);
void runs_arm(CenterRig *rig);
/* The same after another, with all as that left it: the manager was restarted. */
void runs_on_same_site(void (*func)(CenterRig *rig), const char *name);
/* As before, but func comes at once, before the hosts have: for what does not come to rest by itself. */
void runs_on_same_site_at_once(void (*func)(CenterRig *rig), const char *name);
/* The same after another, with the inventory as it was at first: a backup was restored. The hosts are as they are now. */
void runs_on_older_site(void (*func)(CenterRig *rig), const char *name);
/* 1; more under a sanitizer, where a process costs so much that only some points are tried. */
gint runs_stride(void);
/* A test PATH/scene of each scene. */
void runs_add(const char *path, void (*func)(const void *scene));
