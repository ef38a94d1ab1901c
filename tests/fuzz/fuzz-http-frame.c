// SPDX-License-Identifier: Apache-2.0
/* WebSocket frames from any bytes. The first byte: bit 0, which side we are; bit 1, whether messages may be compressed; the rest, in how small steps the
 * bytes come. Events must not depend on the steps. */
#include "http/frame.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_MESSAGE_BYTES = 4096 };

static void note(GString *story, FrameResult result, const FrameEvent *event)
{
  if (result == FRAME_ERROR) {
    g_assert_true(frame_close_code_is_valid(event->close_code) && event->why);
    g_string_append_printf(story, "error %d;", event->close_code);
    return;
  }
  g_assert_cmpuint(event->n, <=, event->kind >= FRAME_CLOSE ? FRAME_MAX_CONTROL_BYTES : MAX_MESSAGE_BYTES);
  g_string_append_printf(story, "%d %d ", event->kind, event->close_code);
  g_string_append_len(story, event->bytes, (gssize)event->n);
  g_string_append_c(story, ';');
}

/* Everything that the reader says about these bytes. */
static GString *read_all(const uint8_t *data, gsize n, gsize step, bool from_client, bool deflates)
{
  FrameReader reader = {.from_client = from_client, .takes_deflated = deflates, .max_message_bytes = MAX_MESSAGE_BYTES};
  GString *story = g_string_new(NULL);
  FrameResult result = FRAME_MORE;
  for (gsize at = 0; at < n && result != FRAME_ERROR; at += step) {
    gsize left = MIN(step, n - at);
    g_autofree char *piece = g_memdup2(data + at, left);
    char *bytes = piece;
    FrameEvent event;
    while ((result = frame_reader_take(&reader, &bytes, &left, &event)) == FRAME_EVENT)
      note(story, result, &event);
    if (result == FRAME_ERROR)
      note(story, result, &event);
    else
      g_assert_cmpuint(left, ==, 0);
  }
  frame_reader_clear(&reader);
  return story;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  if (n < 2)
    return 0;
  bool from_client = data[0] & 1;
  bool deflates = data[0] & 2;
  gsize step = 1 + (data[0] >> 2);
  GString *whole = read_all(data + 1, n - 1, n, from_client, deflates);
  GString *steps = read_all(data + 1, n - 1, step, from_client, deflates);
  g_assert_true(g_string_equal(whole, steps));
  g_string_free(whole, TRUE);
  g_string_free(steps, TRUE);
  return 0;
}
