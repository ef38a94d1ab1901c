// SPDX-License-Identifier: Apache-2.0
/* One message of libvirt's RPC as data, out of XDR (RFC 4506): 4 bytes of length, 24 of head, arguments.
 * Inside of src/host/guard. Pure. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define MESSAGE_HEAD       28 /* bytes, its length included */
#define MESSAGE_PARAMS_MAX 64 /* libvirt's own limit */

typedef struct {
  guint32 length, program, version, procedure, type, serial, status;
} MessageHead;
void message_head_read(const guint8 bytes[MESSAGE_HEAD], MessageHead *head);

/* Arguments that are left to be read. All of message_*() are false when there are fewer, or they are not as
 * XDR has them. */
typedef struct {
  const guint8 *at;
  gsize n;
} MessageArgs;

bool message_u32(MessageArgs *args, guint32 *value);
/* Of at most `max` bytes, without NUL in it. The caller's. */
bool message_text(MessageArgs *args, gsize max, char **text);
/* The same, or NULL where libvirt says that there is none. */
bool message_text_or_none(MessageArgs *args, gsize max, char **text);

/* libvirt's typed parameters. Only texts are kept; numbers are read past. */
typedef struct {
  char *field;
  guint32 type;
  char *text; /* NULL: a number */
} MessageParam;
/* n of them. Clear with message_params_clear(), in any case. */
typedef struct {
  MessageParam items[MESSAGE_PARAMS_MAX];
  guint n;
} MessageParams;
bool message_params(MessageArgs *args, gsize text_max, MessageParams *params);
void message_params_clear(MessageParams *params);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MessageParams, message_params_clear)
