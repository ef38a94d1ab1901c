// SPDX-License-Identifier: Apache-2.0
/* The readers of single parts; each fills its part of the facts. */
#pragma once
#include "host/node/node.h"
#include "host/node/tree.h"

void node_read_cpu(const char *root, WsHostFacts *facts);      /* cpu, virtualisation */
void node_read_memory(const char *root, WsHostFacts *facts);   /* memory_bytes, numa_nodes */
void node_read_firmware(const char *root, WsHostFacts *facts); /* system, memory_modules */
void node_read_nics(const char *root, WsHostFacts *facts);
void node_read_disks(const char *root, WsHostFacts *facts);
void node_read_pci(const char *root, WsHostFacts *facts);      /* pci_devices, iommu */
void node_read_readiness(const char *root, WsHostFacts *facts);
void node_read_usb(const char *root, WsHostFacts *facts);

/* The last PCI address in a path of /sys/devices; NULL: none. */
char *node_pci_address_in(const char *path);
/* Model name of the processor as the firmware (SMBIOS type 4) tells it, and its highest frequency; where cpuinfo tells none. */
char *node_firmware_cpu_model(const char *root, gint64 *frequency_mhz);
/* A physical NIC, bond or the like that load and facts show; false for loopback, taps of VMs, switch internals. */
bool node_shows_nic(const char *root, const char *name);
bool node_shows_disk(const char *root, const char *name);
