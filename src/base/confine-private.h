// SPDX-License-Identifier: Apache-2.0
/* Confinement of a program by the kernel's means; for exec.c.
 *
 * The parent makes a plan, with everything that needs memory. The child, a copy of one thread of a process that has many,
 * carries it out by system calls alone: no malloc, no locks, no stdio. */
#pragma once
#include "base/exec.h"
#include <linux/filter.h>

/* A path to show in the new root. */
typedef struct {
  char *path;
  char *link; /* what it points to, when it is a symbolic link of the system ("/lib" -> "usr/lib") */
  bool directory;
  guint64 attributes; /* MOUNT_ATTR_... */
  int tree_fd;        /* the child's: detached copy of the mount */
} WsConfineShown;

typedef struct {
  bool whole_root;     /* else a new, empty one */
  GArray *shown;       /* of WsConfineShown, parents before what is in them */
  bool user_namespace; /* we are not root: be root of a namespace of our own */
  char *uid_map, *gid_map;
  struct sock_fprog filter; /* borrowed: made once per process */
} WsConfinePlan;

/* Bound into the new /dev one by one: any other device could be the host's disk. */
#define WS_CONFINE_N_DEVICES 5
extern const char *const ws_confine_devices[WS_CONFINE_N_DEVICES];

/* A seam for tests: do all of exec.c as on Linux 4.19, where there are no detached mounts, no pidfd and no close_range. */
extern bool ws_exec_as_on_old_kernel;

/* `program`: absolute path. NULL with `error`: a path is missing, or there is no seccomp here. */
WsConfinePlan *ws_confine_plan_new(const WsExec *exec, const char *program, GError **error);
void ws_confine_plan_free(WsConfinePlan *plan);

/* The namespaces the child is to be cloned into (CLONE_NEW...). */
int ws_confine_clone_flags(const WsConfinePlan *plan);

/* In the child: its view of the file system; later, with nothing left to prepare, its rights. errno is set and the step that failed
 * returned (a string constant), or NULL. */
const char *ws_confine_enter(const WsConfinePlan *plan);
/* The same by bind mounts that are made read-only afterwards (confine-binds.c), for kernels before 5.12; the other one chooses. */
const char *ws_confine_enter_by_binds(const WsConfinePlan *plan);
/* Makes the directories above `path` and a place of its kind for a mount. What is there stays as it is. */
bool ws_confine_make_place(const char *path, bool directory);
const char *ws_confine_drop_rights(const WsConfinePlan *plan);
