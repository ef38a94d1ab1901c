// SPDX-License-Identifier: Apache-2.0
/* The members of one JSON object whose shape others decide (claims of a token, a discovery document): each is found by name and read as what is wanted.
 *
 * For objects that the contract does not describe; typed data goes through model/type.c. Strict as the reader (json.h); a key that comes twice is
 * refused, so that no two readers understand the object differently. Threads: one object, one thread. */
#pragma once
#include "base/json.h"

typedef struct WsJsonMembers WsJsonMembers;

/* The text is copied. WS_ERROR_BAD_JSON, also when it is not an object. */
WsJsonMembers *ws_json_members_parse(const char *text, gsize n, GError **error);
void ws_json_members_free(WsJsonMembers *members); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsJsonMembers, ws_json_members_free)

bool ws_json_members_has(const WsJsonMembers *members, const char *name);
/* NULL: absent, or not a string. Caller frees. */
char *ws_json_members_string(const WsJsonMembers *members, const char *name);
/* A number, cut to the whole; false: absent, not a number, or not within +-2^53. */
bool ws_json_members_number(const WsJsonMembers *members, const char *name, gint64 *value);
/* Is it there and true? */
bool ws_json_members_is_true(const WsJsonMembers *members, const char *name);
/* A list of strings, or one string as a list of one. NULL: absent or anything else. Caller unrefs. */
GPtrArray *ws_json_members_strings(const WsJsonMembers *members, const char *name);
/* The items of a list as their JSON texts. NULL: absent or not a list. Caller unrefs. */
GPtrArray *ws_json_members_items(const WsJsonMembers *members, const char *name);
