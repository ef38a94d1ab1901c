// SPDX-License-Identifier: Apache-2.0
/* What /metrics answers. Any thread. */
#pragma once
#include "center/center.h"

/* In Prometheus's text format. Caller frees. */
GString *metrics_write(Center *center, const InvSnapshot *snap);
