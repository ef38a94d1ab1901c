// SPDX-License-Identifier: Apache-2.0
/* A pool's directory, before it is a pool in use: opening, identity, sweeping. Threads: any; no state. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define POOL_IDENTITY_FILE ".winsphere-pool"
#define POOL_LEASE_FOLDER  ".winsphere-leases"

/* Plain, and below one of the roots: else WS_ERROR_BAD_VALUE. */
bool pool_dir_check_path(char *const *allowed_roots, const char *path, GError **error);
/* Opens `path`, which must lie below one of the roots, following no symbolic link below that root. make: creates what is absent. -1:
 * WS_ERROR_BAD_VALUE (not below a root), WS_ERROR_IO_ERROR. */
int pool_dir_open(char *const *allowed_roots, const char *path, bool make, GError **error);
/* Opens what lies below the directory, through no symbolic link and no way out of it (openat2, Linux 5.6; step by step before). -1 with errno. */
int pool_dir_open_beneath(int dir_fd, const char *name, int flags, mode_t mode);
/* Renames a file to a name that nobody has, durably only with fsync() of the folder. false with errno; EEXIST: the name is taken. Where the file system has no
 * such call (NFS) the file has both names for a moment: a crash then leaves the old one, which is swept. */
bool pool_dir_publish(int from_fd, const char *from, int to_fd, const char *to);
extern bool storage_as_on_old_kernel; /* a seam for tests: as on Linux 4.19, and on NFS */
/* UUID in its identity file. NULL without error: it has none. Caller frees. */
char *pool_dir_identity(int dir_fd, const char *path, GError **error);
/* Others than root and we may write it, or own it: what is made there could be swapped. Who may write an export its server says, and for that
 * the right of all alone tells. */
bool pool_dir_is_open(const struct stat *st, bool nfs);
bool pool_dir_mark(int dir_fd, const char *path, const char *uuid, const char *new_prefix, GError **error);
/* Removes what a crash left half made. Not while calls run on the pool. */
void pool_dir_sweep(int dir_fd, const char *path, const char *new_prefix);
/* A folder of ours in it, with the files in that; false: there is none, or it could not be emptied. */
bool pool_dir_remove_folder(int dir_fd, const char *name);
char *pool_dir_filesystem(int dir_fd); /* "ext4"; a number for one that is not known */
bool pool_dir_can_reflink(int dir_fd, const char *new_prefix); /* by trying */
/* Nothing but the identity in it, and leases (storage.h). */
bool pool_dir_is_empty(int dir_fd);
/* Leases of VMs whose disks are gone. */
void pool_dir_drop_leases(int dir_fd);
