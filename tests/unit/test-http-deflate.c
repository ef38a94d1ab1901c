// SPDX-License-Identifier: Apache-2.0
/* permessage-deflate: who agrees to what, and that every message comes out as it went in. */
#include "http/deflate.h"
#include "http/frame.h"
#include <string.h>

enum { PLENTY = 16 * 1024 * 1024 };

static void assert_survives(const char *bytes, gsize n)
{
  g_autoptr(GBytes) message = g_bytes_new(bytes, n);
  g_autoptr(GBytes) packed = deflate_message(message);
  bool too_long;
  const char *why;
  gsize packed_n;
  const char *packed_bytes = g_bytes_get_data(packed, &packed_n);
  g_autoptr(GByteArray) out = deflate_unpack(packed_bytes, packed_n, n, &too_long, &why);
  g_assert_nonnull(out);
  g_assert_cmpmem(out->data, out->len, bytes, n);
  if (n > 0)
    g_assert_null(deflate_unpack(packed_bytes, packed_n, n - 1, &too_long, &why));
  g_assert_true(n == 0 || too_long);
}

/* Like what a watch sends: much alike, but never quite. */
static char *changes_text(guint n, GRand *rand)
{
  GString *text = g_string_new("{\"revision\":7,\"changes\":[");
  for (guint i = 0; i < n; i++)
    g_string_append_printf(text, "{\"type\":\"Host\",\"id\":\"host-%u\",\"op\":\"put\",\"object\":{\"id\":\"host-%u\",\"revision\":%u,\"load\":%g}},", i, i,
                           g_rand_int(rand), g_rand_double(rand));
  return g_string_free(text, FALSE);
}

static void every_message_comes_out_as_it_went_in(void)
{
  g_autoptr(GRand) rand = g_rand_new_with_seed(7);
  assert_survives("", 0);
  assert_survives("a", 1);
  for (guint n = 1; n < 3000; n = n * 3 / 2 + 1) {
    g_autofree char *text = changes_text(n, rand);
    assert_survives(text, strlen(text));
    g_autofree char *noise = g_malloc(n * 100);
    for (guint i = 0; i < n * 100; i++)
      noise[i] = (char)g_rand_int(rand);
    assert_survives(noise, n * 100);
  }
  g_autofree char *zeros = g_malloc0(PLENTY - 1);
  assert_survives(zeros, PLENTY - 1);
}

/* RFC 7692, 7.2.3: the same word as compressors may write it. */
static void all_forms_of_the_rfc_are_taken(void)
{
  static const struct {
    const char *bytes;
    gsize n;
  } forms[] = {
      {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7},                               /* one block */
      {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11},              /* not compressed */
      {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8},                           /* final */
      {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13},     /* two blocks */
  };
  for (guint i = 0; i < G_N_ELEMENTS(forms); i++) {
    bool too_long;
    const char *why;
    g_autoptr(GByteArray) out = deflate_unpack(forms[i].bytes, forms[i].n, 100, &too_long, &why);
    g_assert_nonnull(out);
    g_assert_cmpmem(out->data, out->len, "Hello", 5);
  }
}

static void what_is_not_compressed_is_refused(void)
{
  static const char *const wrong[] = {"\xff\xff\xff", "hello, this is text", "\x07"};
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    bool too_long;
    const char *why;
    g_assert_null(deflate_unpack(wrong[i], strlen(wrong[i]), 100, &too_long, &why));
    g_assert_false(too_long);
    g_assert_cmpstr(why, ==, "the message is not compressed as agreed");
  }
}

static void only_what_can_be_kept_is_agreed_to(void)
{
  static const char *const good[] = {DEFLATE_OFFER, "permessage-deflate", "permessage-deflate; client_max_window_bits",
                                     "permessage-deflate;client_max_window_bits=10 ; server_max_window_bits=15",
                                     "x-other, permessage-deflate; server_max_window_bits=9, permessage-deflate"};
  static const char *const bad[] = {"", "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=9", "permessage-deflate; new_thing",
                                    "permessage-deflate; server_no_context_takeover; server_no_context_takeover"};
  for (guint i = 0; i < G_N_ELEMENTS(good); i++)
    g_assert_cmpstr(deflate_accept(good[i]), ==, DEFLATE_OFFER);
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
    g_assert_null(deflate_accept(bad[i]));
  g_assert_null(deflate_accept(NULL));
  g_assert_true(deflate_is_accepted(DEFLATE_OFFER));
  g_assert_true(deflate_is_accepted("permessage-deflate; server_no_context_takeover; server_max_window_bits=12"));
  g_assert_false(deflate_is_accepted("permessage-deflate"));
  g_assert_false(deflate_is_accepted("permessage-deflate; server_no_context_takeover; client_max_window_bits=9"));
  g_assert_false(deflate_is_accepted("x-other"));
}

/* One frame of a server, and what a reader makes of it; NULL: nothing yet. */
static const char *read_frame(FrameReader *reader, guint8 first, const char *payload, gsize n, FrameEvent *event)
{
  static char bytes[4096];
  g_assert_cmpuint(n, <, 126);
  bytes[0] = (char)first;
  bytes[1] = (char)n;
  memcpy(bytes + 2, payload, n);
  char *at = bytes;
  gsize left = n + 2;
  FrameResult result = frame_reader_take(reader, &at, &left, event);
  return result == FRAME_MORE ? NULL : result == FRAME_ERROR ? event->why : event->bytes;
}

#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"

static void a_compressed_message_may_be_cut_and_interrupted(void)
{
  FrameReader reader = {.takes_deflated = true, .max_message_bytes = 100};
  FrameEvent event;
  g_assert_null(read_frame(&reader, 0x41, HELLO, 3, &event));
  read_frame(&reader, 0x89, "ping", 4, &event);
  g_assert_cmpint(event.kind, ==, FRAME_PING);
  g_assert_cmpmem(event.bytes, event.n, "ping", 4);
  read_frame(&reader, 0x80, HELLO + 3, 4, &event);
  g_assert_cmpint(event.kind, ==, FRAME_TEXT);
  g_assert_cmpmem(event.bytes, event.n, "Hello", 5);
  read_frame(&reader, 0x81, "plain", 5, &event); /* the next one need not be */
  g_assert_cmpmem(event.bytes, event.n, "plain", 5);
  frame_reader_clear(&reader);
}

static void compressed_frames_are_refused_where_they_must_not_be(void)
{
  static const struct {
    bool agreed;
    guint8 first;
    const char *payload;
    gsize n;
    int code;
  } wrong[] = {
      {false, 0xc1, HELLO, 7, 1002},         /* nobody agreed */
      {true, 0xc9, HELLO, 7, 1002},          /* a ping */
      {true, 0xa1, HELLO, 7, 1002},          /* another bit */
      {true, 0xc1, "\xff\xff", 2, 1007}, /* no such data */
  };
  for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
    FrameReader reader = {.takes_deflated = wrong[i].agreed, .max_message_bytes = 100};
    FrameEvent event;
    g_assert_nonnull(read_frame(&reader, wrong[i].first, wrong[i].payload, wrong[i].n, &event));
    g_assert_cmpint(event.close_code, ==, wrong[i].code);
    frame_reader_clear(&reader);
  }
}

/* Ten thousand times nothing in sixty bytes: it may not come to more than a message may. */
static void a_bomb_is_refused(void)
{
  g_autofree char *zeros = g_malloc0(10000);
  g_autoptr(GBytes) message = g_bytes_new(zeros, 10000);
  g_autoptr(GBytes) packed = deflate_message(message);
  FrameReader reader = {.takes_deflated = true, .max_message_bytes = 9999};
  FrameEvent event;
  gsize n;
  const char *bytes = g_bytes_get_data(packed, &n);
  g_assert_cmpstr(read_frame(&reader, 0xc2, bytes, n, &event), ==, "the message is too long");
  g_assert_cmpint(event.close_code, ==, 1009);
  frame_reader_clear(&reader);
}

static void text_is_checked_after_it_came_out(void)
{
  g_autoptr(GBytes) message = g_bytes_new_static("\xff\xfe not text", 11);
  g_autoptr(GBytes) packed = deflate_message(message);
  FrameReader reader = {.takes_deflated = true, .max_message_bytes = 100};
  FrameEvent event;
  gsize n;
  const char *bytes = g_bytes_get_data(packed, &n);
  g_assert_cmpstr(read_frame(&reader, 0xc1, bytes, n, &event), ==, "the text is not UTF-8");
  frame_reader_clear(&reader);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/http/deflate/" #name, name)
  TEST(every_message_comes_out_as_it_went_in);
  TEST(all_forms_of_the_rfc_are_taken);
  TEST(what_is_not_compressed_is_refused);
  TEST(only_what_can_be_kept_is_agreed_to);
  TEST(a_compressed_message_may_be_cut_and_interrupted);
  TEST(compressed_frames_are_refused_where_they_must_not_be);
  TEST(a_bomb_is_refused);
  TEST(text_is_checked_after_it_came_out);
  return g_test_run();
}
