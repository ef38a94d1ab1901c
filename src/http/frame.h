// SPDX-License-Identifier: Apache-2.0
/* WebSocket framing, RFC 6455 section 5: frames from bytes and bytes from frames. Pure. The one extension is permessage-deflate
 * (deflate.h), where the owner says that it was agreed: compressed messages are handed out as they were.
 *
 * The reader takes bytes as they come, puts fragments together, lets control frames in between through, and
 * checks all that the RFC asks: masking by the right side, opcodes, lengths, close codes, UTF-8 of text. A
 * message that lies in the input in one piece is unmasked in place and handed out without a copy; memory
 * grows with what came, not with what a header announces. One owner, any thread. Private to src/http. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef enum {
  FRAME_CONTINUATION = 0,
  FRAME_TEXT = 1,
  FRAME_BINARY = 2,
  FRAME_CLOSE = 8,
  FRAME_PING = 9,
  FRAME_PONG = 10
} FrameKind;

enum {
  FRAME_MAX_HEADER_BYTES = 14,
  FRAME_MAX_CONTROL_BYTES = 125,
};

typedef struct {
  bool from_client;        /* set by the owner: frames must be masked; else they must not be */
  gsize max_message_bytes; /* set by the owner; of a compressed message: before and after */
  bool takes_deflated;     /* set by the owner: messages may be compressed */
  guint8 header[FRAME_MAX_HEADER_BYTES];
  guint header_bytes; /* of it there */
  FrameKind kind;     /* of the frame that is being read */
  bool in_frame, final;
  guint64 left; /* payload bytes to come */
  guint8 mask[4];
  guint mask_at;          /* which mask byte comes next */
  FrameKind message_kind; /* TEXT or BINARY inside a fragmented message, else CONTINUATION */
  bool deflated;          /* it, or the frame that begins it, is compressed */
  GByteArray *message;    /* what came of it; NULL: nothing */
  GByteArray *unpacked;   /* the compressed message that was handed out; NULL: it was none */
  guint8 control[FRAME_MAX_CONTROL_BYTES + 1];
  guint control_bytes;
} FrameReader;

typedef struct {
  FrameKind kind;    /* TEXT or BINARY (a whole message), PING, PONG or CLOSE */
  const char *bytes; /* until the next call; of a CLOSE: the reason, NUL-terminated */
  gsize n;
  int close_code;  /* of a CLOSE: 1005 when it has none. Of an error: what to close with */
  const char *why; /* of an error */
} FrameEvent;

typedef enum { FRAME_MORE, FRAME_EVENT, FRAME_ERROR } FrameResult;

/* Takes from *bytes (changed in place) and moves it on. MORE: all is taken. EVENT: call again with the rest.
 * ERROR: over. */
FrameResult frame_reader_take(FrameReader *reader, char **bytes, gsize *n, FrameEvent *event);
void frame_reader_clear(FrameReader *reader);

/* Writes the header of a final frame with n payload bytes into out (FRAME_MAX_HEADER_BYTES); returns its
 * length. deflated: the payload is (RSV1). mask: its four bytes (client), or NULL (server). */
gsize frame_header(guint8 *out, FrameKind kind, bool deflated, gsize n, const guint8 *mask);
gsize frame_header_length(gsize n, bool masked);
/* XORs n bytes with the mask, of which byte `at` comes first. `to` may be `from`. */
void frame_mask(char *to, const char *from, gsize n, const guint8 *mask, guint at);
bool frame_close_code_is_valid(int code);
