// SPDX-License-Identifier: Apache-2.0
/* Confinement of a program by the kernel's means; for exec.c.
 *
 * The parent makes a plan, with everything that needs memory. The child, a copy of one thread of a process that has many,
 * carries it out by system calls alone: no malloc, no locks, no stdio. */
#pragma once
#include "base/exec.h"

typedef struct WsConfinePlan WsConfinePlan;

/* `program`: absolute path. NULL with `error`: a path is missing, or there is no seccomp here. */
WsConfinePlan *ws_confine_plan_new(const WsExec *exec, const char *program, GError **error);
void ws_confine_plan_free(WsConfinePlan *plan);

/* The namespaces the child is to be cloned into (CLONE_NEW...). */
int ws_confine_clone_flags(const WsConfinePlan *plan);

/* In the child: its view of the file system; later, with nothing left to prepare, its rights. errno is set and the step that failed
 * returned (a string constant), or NULL. */
const char *ws_confine_enter(const WsConfinePlan *plan);
const char *ws_confine_drop_rights(const WsConfinePlan *plan);
