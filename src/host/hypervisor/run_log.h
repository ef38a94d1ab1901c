// SPDX-License-Identifier: Apache-2.0
/* The run log of a domain, as libvirt and QEMU write it: command line of each start, what QEMU had to say, why it ended.
 *
 * What is in it was partly chosen by people (names, command lines of kernels, SMBIOS texts), partly by the guest. So it is cleaned before it
 * leaves the host: values of what may be a secret become "***", and what could move a cursor or turn the direction of writing becomes U+FFFD.
 * Rather too much is hidden than too little. Threads: any; blocks. */
#pragma once
#include "model/model.h"

#define RUN_LOG_MAX_BYTES (1024 * 1024)

/* n bytes of a log as valid UTF-8 without control characters (but line ends and tabs) and secrets. Caller frees. */
char *run_log_clean(const char *bytes, gsize n);
/* The newest lines of folder/<name>.log, and of the older ones .0, .1, ... that virtlogd keeps, cleaned: at most `lines` and RUN_LOG_MAX_BYTES.
 * None there: an empty text. WS_ERROR_IO_ERROR (path). */
bool run_log_read(const char *folder, const char *name, guint lines, WsRpcVmLogResult *result, GError **error);
