// SPDX-License-Identifier: Apache-2.0
/* Structured logs: one event, one line, key=value; to journald where it is, else to stderr or a file.
 *
 *     ws_log(WS_LOG_INFO, "vm-started", "vm", vm_id, "host", host_id, "task", task_id, NULL);
 *
 * The event name is a fixed word; all that varies is in the pairs (strings, NULL values are skipped). Values are
 * escaped, so a guest's name cannot forge a line. Never pass a secret. Threads: any; lines never interleave. */
#pragma once
#include <glib.h>
#include "base/clock.h"

typedef enum { WS_LOG_ERROR = 3, WS_LOG_WARNING = 4, WS_LOG_NOTICE = 5, WS_LOG_INFO = 6, WS_LOG_DEBUG = 7 } WsLogLevel;

/* Once, before there are threads; until then warnings and errors go to stderr. `program` is borrowed for ever. `path` is opened
 * for appending (0640); NULL: journald when standard error is connected to it, else stderr. Levels above `max` are dropped.
 * What libraries log through GLib comes out as events "library-message". */
void ws_log_init(const char *program, WsLogLevel max, const char *path);
/* Times come from here; NULL: the system's clock. For the simulator. */
void ws_log_set_clock(WsClock *clock);
void ws_log(WsLogLevel level, const char *event, ...) G_GNUC_NULL_TERMINATED;
/* The same with an error's code, message and cause as pairs. */
void ws_log_error(WsLogLevel level, const char *event, const GError *error, ...) G_GNUC_NULL_TERMINATED;
