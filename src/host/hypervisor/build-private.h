// SPDX-License-Identifier: Apache-2.0
/* What domain_xml.c and device_xml.c share while one domain's XML is written. */
#pragma once
#include "host/hypervisor/domain.h"

typedef struct {
  VirtXml *xml;
  const WsVmSpec *spec;
  const VirtHost *host;
  const VirtArch *arch;
  const char *machine;         /* type with its version, where one is known */
  const VirtPlaces *places;    /* NULL: none */
  const VirtPlaces *addresses; /* the same, or NULL when addresses are left to libvirt */
  GHashTable *devs;            /* alias -> target name ("vda") of disks and CDs */
  GError *error;               /* first failure; writing goes on, the text is thrown away */
} VirtBuild;

#define VIRT_ALIAS_SEED "ua-_seed"

void virt_build_init(VirtBuild *b, const WsVmSpec *spec, const VirtHost *host, const VirtPlaces *places, bool with_addresses);
/* Frees what init made; the text, or NULL with the first failure. */
char *virt_build_end(VirtBuild *b, GError **error);

void virt_build_disk(VirtBuild *b, const WsVmSpecDisk *disk);
void virt_build_cdrom(VirtBuild *b, const WsVmSpecCdrom *cdrom);
void virt_build_seed(VirtBuild *b);
void virt_build_nic(VirtBuild *b, const WsVmSpecNic *nic);
/* <alias> and, where there is one to keep, <address>. */
void virt_build_identity(VirtBuild *b, const char *alias, const char *kind);
/* Bus that the seed CD uses. */
WsVmSpecCdromBus virt_build_seed_bus(const WsVmSpec *spec);
