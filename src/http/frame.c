// SPDX-License-Identifier: Apache-2.0
/* WebSocket framing; see frame.h. */
#include "http/frame.h"
#include "http/deflate.h"
#include <string.h>

static FrameResult fail(FrameEvent *event, int code, const char *why)
{
  event->close_code = code;
  event->why = why;
  return FRAME_ERROR;
}

void frame_mask(char *to, const char *from, gsize n, const guint8 *mask, guint at)
{
  guint8 turned[8];
  guint64 wide, chunk;
  for (guint i = 0; i < 8; i++)
    turned[i] = mask[(at + i) & 3];
  memcpy(&wide, turned, 8);
  gsize i = 0;
  for (; i + 8 <= n; i += 8) {
    memcpy(&chunk, from + i, 8);
    chunk ^= wide;
    memcpy(to + i, &chunk, 8);
  }
  for (; i < n; i++)
    to[i] = (char)((guint8)from[i] ^ turned[i & 7]);
}

gsize frame_header_length(gsize n, bool masked)
{
  return (n < 126 ? 2u : n <= 0xffff ? 4u : 10u) + (masked ? 4 : 0);
}

gsize frame_header(guint8 *out, FrameKind kind, bool deflated, gsize n, const guint8 *mask)
{
  guint bits = 0;
  out[0] = (guint8)(0x80 | (deflated ? 0x40 : 0) | kind);
  if (n < 126) {
    out[1] = (guint8)n;
  } else if (n <= 0xffff) {
    out[1] = 126;
    bits = 16;
  } else {
    out[1] = 127;
    bits = 64;
  }
  gsize length = 2;
  while (bits > 0) {
    bits -= 8;
    out[length++] = (guint8)((guint64)n >> bits);
  }
  if (mask) {
    out[1] |= 0x80;
    memcpy(out + length, mask, 4);
    length += 4;
  }
  return length;
}

bool frame_close_code_is_valid(int code)
{
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

void frame_reader_clear(FrameReader *reader)
{
  g_clear_pointer(&reader->message, g_byte_array_unref);
  g_clear_pointer(&reader->unpacked, g_byte_array_unref);
}

static bool is_control(FrameKind kind)
{
  return kind >= FRAME_CLOSE;
}

/* How long the header is, as far as its first bytes tell. */
static guint header_needs(const FrameReader *reader)
{
  if (reader->header_bytes < 2)
    return 2;
  guint8 length = reader->header[1] & 0x7f;
  return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (reader->header[1] & 0x80 ? 4 : 0);
}

static FrameResult check_frame(FrameReader *reader, FrameEvent *event)
{
  bool in_message = reader->message_kind != FRAME_CONTINUATION;
  bool begins = reader->kind == FRAME_TEXT || reader->kind == FRAME_BINARY;
  if (reader->header[0] & (reader->takes_deflated && begins ? 0x30 : 0x70))
    return fail(event, 1002, "a reserved bit is set");
  if ((reader->kind > FRAME_BINARY && reader->kind < FRAME_CLOSE) || reader->kind > FRAME_PONG)
    return fail(event, 1002, "the opcode is not known");
  if (!!(reader->header[1] & 0x80) != reader->from_client)
    return fail(event, 1002, "the frame is masked by the wrong side");
  if (is_control(reader->kind)) {
    if (!reader->final || reader->left > FRAME_MAX_CONTROL_BYTES)
      return fail(event, 1002, "a control frame is too long or fragmented");
    return FRAME_MORE;
  }
  if ((reader->kind == FRAME_CONTINUATION) != in_message)
    return fail(event, 1002, "fragments are out of order");
  if (reader->left > reader->max_message_bytes - (reader->message ? reader->message->len : 0))
    return fail(event, 1009, "the message is too long");
  if (begins)
    reader->deflated = reader->header[0] & 0x40;
  return FRAME_MORE;
}

static FrameResult read_header(FrameReader *reader, FrameEvent *event)
{
  const guint8 *header = reader->header;
  guint8 length = header[1] & 0x7f;
  guint at = 2, end = length == 126 ? 4 : length == 127 ? 10 : 2;
  reader->final = header[0] & 0x80;
  reader->kind = header[0] & 0x0f;
  reader->left = length < 126 ? length : 0;
  while (at < end)
    reader->left = reader->left << 8 | header[at++];
  if ((length == 126 && reader->left < 126) ||
      (length == 127 && (reader->left <= 0xffff || reader->left >> 63)))
    return fail(event, 1002, "the length is not in its shortest form");
  if (header[1] & 0x80)
    memcpy(reader->mask, header + at, 4);
  reader->mask_at = 0;
  reader->header_bytes = 0;
  reader->control_bytes = 0;
  reader->in_frame = true;
  return check_frame(reader, event);
}

static FrameResult finish_close(FrameReader *reader, FrameEvent *event)
{
  event->bytes = "";
  event->n = 0;
  event->close_code = 1005;
  if (reader->control_bytes == 0)
    return FRAME_EVENT;
  if (reader->control_bytes == 1)
    return fail(event, 1002, "the close code is cut off");
  event->close_code = reader->control[0] << 8 | reader->control[1];
  if (!frame_close_code_is_valid(event->close_code))
    return fail(event, 1002, "the close code is not allowed");
  reader->control[reader->control_bytes] = '\0';
  event->bytes = (const char *)reader->control + 2;
  event->n = reader->control_bytes - 2;
  if (!g_utf8_validate(event->bytes, (gssize)event->n, NULL))
    return fail(event, 1007, "the close reason is not UTF-8");
  return FRAME_EVENT;
}

/* RFC 3629 text; unlike g_utf8_validate() NUL is a character too. */
static bool is_utf8(const char *bytes, gsize n)
{
  while (n > 0) {
    const char *end;
    if (g_utf8_validate(bytes, (gssize)n, &end))
      return true;
    if (*end != '\0')
      return false;
    n -= (gsize)(end - bytes) + 1;
    bytes = end + 1;
  }
  return true;
}

static FrameResult unpack(FrameReader *reader, FrameEvent *event)
{
  bool too_long;
  reader->unpacked = deflate_unpack(event->bytes, event->n, reader->max_message_bytes, &too_long, &event->why);
  if (!reader->unpacked)
    return fail(event, too_long ? 1009 : 1007, event->why);
  event->bytes = reader->unpacked->len ? (const char *)reader->unpacked->data : "";
  event->n = reader->unpacked->len;
  return FRAME_EVENT;
}

static FrameResult finish_message(FrameReader *reader, FrameEvent *event)
{
  if (reader->deflated && unpack(reader, event) == FRAME_ERROR)
    return FRAME_ERROR;
  if (event->kind == FRAME_TEXT && !is_utf8(event->bytes, event->n))
    return fail(event, 1007, "the text is not UTF-8");
  return FRAME_EVENT;
}

/* Keeps n payload bytes that belong to the frame. */
static void keep_payload(FrameReader *reader, char *bytes, gsize n)
{
  if (reader->from_client)
    frame_mask(bytes, bytes, n, reader->mask, reader->mask_at);
  reader->mask_at = (reader->mask_at + (guint)(n & 3)) & 3;
  reader->left -= n;
  if (is_control(reader->kind)) {
    memcpy(reader->control + reader->control_bytes, bytes, n);
    reader->control_bytes += (guint)n;
    return;
  }
  if (!reader->message)
    reader->message = g_byte_array_new();
  g_byte_array_append(reader->message, (const guint8 *)bytes, (guint)n);
}

/* The frame's payload is complete: is something whole? */
static FrameResult finish_frame(FrameReader *reader, FrameEvent *event)
{
  reader->in_frame = false;
  if (is_control(reader->kind)) {
    event->kind = reader->kind;
    event->bytes = (const char *)reader->control;
    event->n = reader->control_bytes;
    return reader->kind == FRAME_CLOSE ? finish_close(reader, event) : FRAME_EVENT;
  }
  if (reader->kind != FRAME_CONTINUATION)
    reader->message_kind = reader->kind;
  if (!reader->final)
    return FRAME_MORE;
  event->kind = reader->message_kind;
  event->bytes = reader->message ? (const char *)reader->message->data : "";
  event->n = reader->message ? reader->message->len : 0;
  reader->message_kind = FRAME_CONTINUATION;
  return finish_message(reader, event);
}

/* A whole message in one frame, all of it in the input: no copy. */
static FrameResult take_whole(FrameReader *reader, char **bytes, gsize *n, FrameEvent *event)
{
  gsize length = (gsize)reader->left;
  event->kind = reader->kind;
  event->bytes = *bytes;
  event->n = length;
  if (reader->from_client)
    frame_mask(*bytes, *bytes, length, reader->mask, 0);
  *bytes += length;
  *n -= length;
  reader->in_frame = false;
  return finish_message(reader, event);
}

FrameResult frame_reader_take(FrameReader *reader, char **bytes, gsize *n, FrameEvent *event)
{
  FrameResult result = FRAME_MORE;
  memset(event, 0, sizeof *event);
  if (!reader->in_frame && reader->message_kind == FRAME_CONTINUATION)
    frame_reader_clear(reader); /* the last message was handed out */
  while (result == FRAME_MORE) {
    if (!reader->in_frame) {
      if (*n == 0)
        return FRAME_MORE;
      reader->header[reader->header_bytes++] = (guint8) * (*bytes)++;
      (*n)--;
      if (reader->header_bytes < header_needs(reader))
        continue;
      result = read_header(reader, event);
      if (result == FRAME_MORE && reader->final && reader->kind != FRAME_CONTINUATION &&
          !is_control(reader->kind) && reader->left <= *n)
        return take_whole(reader, bytes, n, event);
    } else {
      gsize part = MIN(*n, reader->left);
      if (part == 0 && reader->left > 0)
        return FRAME_MORE;
      keep_payload(reader, *bytes, part);
      *bytes += part;
      *n -= part;
    }
    if (result == FRAME_MORE && reader->in_frame && reader->left == 0)
      result = finish_frame(reader, event);
  }
  return result;
}
