// SPDX-License-Identifier: Apache-2.0
/* Lists of history (audit records, events, ended tasks, migrations), which lies in the database and not in
 * memory.
 *
 * The same filters as for other lists. What the database has an index for chooses the records that are read:
 * equality on indexed fields, a range of time. Everything is then asked of each record, and reading goes on
 * until the page is full or the history ends. Order: by id, which is the order of writing, or by time; newest
 * first where nothing else is asked for. */
#pragma once
#include "center/api/call-private.h"

/* Answers the call on workers, a piece of history at a turn. Takes the call. */
void history_list(ApiCall *call);
