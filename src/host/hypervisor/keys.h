// SPDX-License-Identifier: Apache-2.0
/* Names of keys as people write them, and Linux key codes as virDomainSendKey takes them (keycode set "linux"). */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Code of "ctrl", "a", "f2", "page_up", ...; 0: no such key. */
guint virt_key_code(const char *name);
