// SPDX-License-Identifier: Apache-2.0
/* History of measured values: what hosts, VMs and pools were seen to use, every 20 s, kept for a year in ring files (rings.h) in DATA_DIR/history.
 * It is apart from the inventory: when it cannot be written that is logged, and nothing else suffers. */
#pragma once
#include "center/center.h"

/* Begins to note; NULL when nothing is to be noted (simulator) or the files cannot be opened (logged). Core loop. */
MonitorHistory *monitor_history_new(Center *center);
void monitor_history_free(MonitorHistory *history); /* core loop; NULL is fine */
/* Notes what a snapshot says, as the step that ends at `now_us`. Blocks. For whoever makes up a past (tests); else it is done every 20 s.
 * WS_ERROR_IO_ERROR. */
bool monitor_history_note(MonitorHistory *history, const InvSnapshot *snap, gint64 now_us, GError **error);
