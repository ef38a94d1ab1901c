// SPDX-License-Identifier: Apache-2.0
/* A VM's definition that another host sends: is it what the manager said would come? Inside of
 * src/host/hypervisor. Pure.
 *
 * A definition is a program for this host: it can name any file as a disk, any program as the emulator, any
 * script for a NIC. So of one that comes from elsewhere only known words are taken, and each file, switch and
 * VLAN in it must be one that this host worked out itself from the manager's spec. What is the guest's own
 * affair (its CPU, its memory, where its devices sit) may be as it is. */
#pragma once
#include "host/hypervisor/domain.h"

/* A file that it may name here, for one use: that of the disk or CD with this key, or one of these. */
typedef struct {
  const char *key, *path;
} VirtJudgeFile;
#define VIRT_JUDGE_SEED   "_seed" /* no device of a spec has such a key */
#define VIRT_JUDGE_LOG    "_log"  /* of the serial port */
#define VIRT_JUDGE_KERNEL "_kernel"
#define VIRT_JUDGE_INITRD "_initrd"

typedef struct {
  WsId vm;
  const char *uuid;
  const WsVmSpec *spec;       /* as it will be here, filled */
  const VirtJudgeFile *files; /* ended by one without a key */
} VirtJudge;

/* *name: libvirt's name of it, the caller's. WS_ERROR_PEER_REFUSED (reason). Whether the name is free here is
 * not known here. */
bool virt_judge_definition(const char *xml, const VirtJudge *judge, char **name, GError **error);
/* libvirt's own cookie: of the VM with this name, and so is the definition in it, if there is one. */
bool virt_judge_cookie(const char *xml, const char *name, const VirtJudge *judge, GError **error);
