// SPDX-License-Identifier: Apache-2.0
/* What of a change a running VM takes at once, and what waits for its next power cycle. A forecast of what
 * the host's libvirt and QEMU do (host/hypervisor/update.c, which has the last word: a guest may refuse).
 * Pure. */
#pragma once
#include "model/model.h"

/* Settings that a guest does not see, or that its host follows at once: they never wait. NULL at the end. */
extern const char *const live_unseen[];
/* Paths of settings that wait (char *, owned), as a VM's pending_restart has them. emulated: its host has no
 * KVM. */
GPtrArray *live_waits(const WsVmSpec *now, const WsVmSpec *next, bool emulated);
