// SPDX-License-Identifier: Apache-2.0
/* List cursors: an opaque text that names a place in an order, not an offset. Any thread. */
#pragma once
#include "model/type.h"

/* The place of `object` in the list that has this sort and filter. Caller frees. */
char *cursor_format(const WsType *type, const char *sort, const char *filter, const void *object);
/* A partial object that compares like the one the cursor was made of; free with ws_object_free(). NULL: WS_ERROR_BAD_CURSOR, also when
 * it belongs to another sort or filter. */
void *cursor_parse(const WsType *type, const char *sort, const char *filter, const char *cursor, GError **error);
