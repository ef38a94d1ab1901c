// SPDX-License-Identifier: Apache-2.0
/* The machine's power, as far as its own system has it in hand, and waking other machines. Blocking; any thread. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Asks the system's init to shut down, or to start anew; returns when it was taken. WS_ERROR_PROGRAM_*. */
bool node_power_off(bool reboot, GError **error);
/* Sends the magic packet (six bytes 0xff, then the address 16 times) as a UDP broadcast on each network; *networks: how many it went to.
 * WS_ERROR_BAD_VALUE: no MAC address; WS_ERROR_IO_ERROR: no socket. */
bool node_wake(const char *mac, guint *networks, GError **error);
/* The packet, 102 bytes; false: `mac` is none. Pure. */
bool node_magic_packet(const char *mac, guint8 *packet);
