// SPDX-License-Identifier: Apache-2.0
/* See message.h. Nothing is taken on trust: each length is compared with what is there before it is used. */
#include "host/guard/message.h"
#include <string.h>

#define FIELD_MAX 80 /* VIR_TYPED_PARAM_FIELD_LENGTH */

/* virTypedParameterType, on the wire as in memory. */
enum { TYPE_INT = 1, TYPE_UINT, TYPE_LLONG, TYPE_ULLONG, TYPE_DOUBLE, TYPE_BOOLEAN, TYPE_STRING };

static guint32 read_u32(const guint8 *at)
{
  return (guint32)at[0] << 24 | (guint32)at[1] << 16 | (guint32)at[2] << 8 | at[3];
}

void message_head_read(const guint8 bytes[MESSAGE_HEAD], MessageHead *head)
{
  *head = (MessageHead){read_u32(bytes),      read_u32(bytes + 4),  read_u32(bytes + 8), read_u32(bytes + 12),
                        read_u32(bytes + 16), read_u32(bytes + 20), read_u32(bytes + 24)};
}

static bool skip(MessageArgs *args, gsize n)
{
  if (args->n < n)
    return false;
  args->at += n;
  args->n -= n;
  return true;
}

bool message_u32(MessageArgs *args, guint32 *value)
{
  const guint8 *at = args->at;
  if (!skip(args, 4))
    return false;
  *value = read_u32(at);
  return true;
}

/* XDR fills up to four bytes with zeroes. */
static bool skip_filling(MessageArgs *args, gsize length)
{
  static const guint8 zeroes[3];
  gsize n = (4 - length % 4) % 4;
  const guint8 *at = args->at;
  return skip(args, n) && memcmp(at, zeroes, n) == 0;
}

bool message_text(MessageArgs *args, gsize max, char **text)
{
  guint32 length;
  if (!message_u32(args, &length) || length > max)
    return false;
  const guint8 *at = args->at;
  if (!skip(args, length) || memchr(at, 0, length) || !skip_filling(args, length))
    return false;
  *text = g_strndup((const char *)at, length);
  return true;
}

bool message_text_or_none(MessageArgs *args, gsize max, char **text)
{
  guint32 there;
  *text = NULL;
  return message_u32(args, &there) && there <= 1 && (there == 0 || message_text(args, max, text));
}

static bool read_param(MessageArgs *args, gsize text_max, MessageParam *param)
{
  if (!message_text(args, FIELD_MAX, &param->field) || !message_u32(args, &param->type))
    return false;
  switch (param->type) {
  case TYPE_INT:
  case TYPE_UINT:
  case TYPE_BOOLEAN:
    return skip(args, 4);
  case TYPE_LLONG:
  case TYPE_ULLONG:
  case TYPE_DOUBLE:
    return skip(args, 8);
  case TYPE_STRING:
    return message_text(args, text_max, &param->text);
  default:
    return false;
  }
}

bool message_params(MessageArgs *args, gsize text_max, MessageParams *params)
{
  guint32 n;
  *params = (MessageParams){.n = 0};
  if (!message_u32(args, &n) || n > MESSAGE_PARAMS_MAX)
    return false;
  for (guint i = 0; i < n; i++) {
    params->n = i + 1;
    if (!read_param(args, text_max, &params->items[i]))
      return false;
  }
  return true;
}

void message_params_clear(MessageParams *params)
{
  for (guint i = 0; i < params->n; i++) {
    g_free(params->items[i].field);
    g_free(params->items[i].text);
  }
  params->n = 0;
}
