// SPDX-License-Identifier: Apache-2.0
/* NFS exports that the agent mounts itself: what is mounted, how, and whether it is.
 *
 * mount(8) does it, for it knows the versions, finds mount.nfs and its port mapper, and loads the kernel's module; it is run with argv, and every
 * word of it is made here from checked fields. Where systemd runs, systemd-mount does, because the agent's own mount name space is not the
 * one that libvirt sees. What is mounted is read from the kernel's own list: a folder that lies there without a mount is never taken for one.
 *
 * Threads: any; no state. All of it may block for as long as its time-out: never the core loop. */
#pragma once
#include "model/model.h"

#define NFS_MOUNT_TIMEOUT_MS 30000
#define NFS_GIVE_UP_TIMEOUT_MS 10000 /* it asks nobody */

typedef enum { NFS_ABSENT, NFS_MOUNTED, NFS_OTHER /* another file system, or another export */ } NfsState;

/* The fields, once more: they come over the wire. WS_ERROR_BAD_VALUE, WS_ERROR_REQUIRED, WS_ERROR_OUT_OF_RANGE. */
bool nfs_check(const WsPoolNfs *nfs, GError **error);
/* "server:/export", an IPv6 address in brackets; "vers=4.2,proto=tcp,...". Caller frees. */
char *nfs_source(const WsPoolNfs *nfs);
char *nfs_options(const WsPoolNfs *nfs);
/* What the kernel says is mounted at `path`. */
NfsState nfs_state(const WsPoolNfs *nfs, const char *path);
/* Mounts it at `path`, a folder that is there. What is mounted already is a success. WS_ERROR_UNSUPPORTED: the kernel has no NFS client;
 * WS_ERROR_PROGRAM_MISSING: nfs-common is not installed; WS_ERROR_IN_USE: something else is mounted there; WS_ERROR_IO_ERROR with what mount said. */
bool nfs_mount(const WsPoolNfs *nfs, const char *path, GError **error);
/* The same, but a server that is away just now is not asked again. */
bool nfs_mount_once(const WsPoolNfs *nfs, const char *path, GError **error);
/* What is not mounted is a success. WS_ERROR_IN_USE: files in it are open. A server that does not answer is given up: the mount goes from the folder at once
 * and from the kernel when nothing uses it any more. */
bool nfs_unmount(const WsPoolNfs *nfs, const char *path, GError **error);
/* A mount whose server is gone: off the tree at once, and what waits for it gets an error. */
bool nfs_give_up(const WsPoolNfs *nfs, const char *path, GError **error);

/* Seams for tests, which have no kernel with NFS: the kernel's lists, and the helper of mount(8). */
extern const char *nfs_mountinfo_file;    /* /proc/self/mountinfo */
extern const char *nfs_filesystems_file;  /* /proc/filesystems */
extern const char *nfs_helper_file;       /* /sbin/mount.nfs */
extern const char *nfs_systemd_folder;    /* /run/systemd/system: is there when systemd is the first process */
