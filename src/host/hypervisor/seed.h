// SPDX-License-Identifier: Apache-2.0
/* First-boot settings of a guest: a cloud-init NoCloud seed (volume "cidata") as a CD image, one per VM, kept while the VM is.
 *
 * Passwords go in as SHA-512 crypt hashes, never in clear, and never through another program. The file has mode 0600.
 * Threads: any, for different VMs. */
#pragma once
#include "base/clock.h"
#include "host/hypervisor/domain.h"

typedef struct {
  char *user_data, *meta_data, *network_config;
} SeedTexts;

/* The three files of the seed. `instance_id` NULL: the VM's UUID; the guest takes a new one for a new machine. The spec's NICs that
 * the settings do not name use DHCP. WS_ERROR_BAD_VALUE when the settings name a NIC that the VM does not have. */
bool seed_texts(SeedTexts *texts, const WsVmSpec *spec, const WsVmCloudInit *settings, const char *instance_id, WsClock *clock,
                GError **error);
void seed_texts_clear(SeedTexts *texts); /* wipes them */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SeedTexts, seed_texts_clear)

/* Writes the seed CD of a VM, in one step: the old one or the new one is there, whatever happens. */
bool seed_write(const VirtHost *host, const WsVmSpec *spec, const WsVmCloudInit *settings, const char *instance_id, WsClock *clock,
                GError **error);
/* An empty seed where none is: a VM that has a seed CD starts only with a file there. */
bool seed_ensure(const VirtHost *host, const WsVmSpec *spec, WsClock *clock, GError **error);
/* It not being there is a success. */
bool seed_remove(const VirtHost *host, const char *uuid, GError **error);
