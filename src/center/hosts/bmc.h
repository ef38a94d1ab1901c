// SPDX-License-Identifier: Apache-2.0
/* The management controllers (BMCs) of hosts, over IPMI 2.0: asked and told by ipmitool, a program of its own, for each word. Its password
 * goes through a pipe, never into arguments or a file. Core loop; functions wait (coroutine). */
#pragma once
#include "center/center.h"
#include "model/model.h"

typedef enum { BMC_STATUS, BMC_ON, BMC_OFF, BMC_CYCLE } BmcAction;

/* Does it have what is needed to be asked? */
bool bmc_is_set(const WsHost *host);

/* `*is_on` (may be NULL but for BMC_STATUS) is set by BMC_STATUS only. That an order was taken does not mean that it is carried out: ask for the
 * status. Errors: WS_ERROR_BMC_UNREACHABLE, WS_ERROR_BMC_REFUSED (user, password, cipher suite, rights), WS_ERROR_BMC_ERROR (it says
 * something else, or nothing that can be understood), WS_ERROR_NOT_ALLOWED (no settings), WS_ERROR_PROGRAM_MISSING, WS_ERROR_CANCELLED. */
bool bmc_do(Center *center, const WsHost *host, BmcAction action, bool *is_on, volatile gint *cancel, GError **error);

/* Pure: what ipmitool said (stdout and stderr together) and its exit status, as an answer or a refusal. For tests. */
bool bmc_read(const char *said, int status, const char *host, const char *address, BmcAction action, bool *is_on, GError **error);
