// SPDX-License-Identifier: Apache-2.0
/* The grammars that we parse ourselves, without a network: escapes, paths, queries, ranges, cookies, heads,
 * chunks, frames. */
#include "http/chunk.h"
#include "http/frame.h"
#include "http/head.h"
#include <string.h>

static void escapes_are_decoded_strictly(void)
{
  static const struct {
    const char *text, *result; /* NULL: refused */
    bool plus;
  } cases[] = {
      {"", "", false},
      {"abc", "abc", false},
      {"a%20b+c", "a b+c", false},
      {"a%20b+c", "a b c", true},
      {"%E4%B8%AD", "中", false},
      {"%e4%b8%ad", "中", false},
      {"%", NULL, false},
      {"%4", NULL, false},
      {"%4g", NULL, false},
      {"%g4", NULL, false},
      {"a%00", NULL, false},
      {"%0a", NULL, false},
      {"%7f", NULL, false},
      {"%ff", NULL, false},
      {"%c0%af", NULL, false},
      {"a\tb", NULL, false},
      {"%25%32%30", "%20", false},
      {"%ed%a0%80", NULL, false},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *text = g_strdup(cases[i].text);
    bool ok = http_decode_escapes(text, cases[i].plus);
    g_test_message("%s", cases[i].text);
    g_assert_cmpint(ok, ==, cases[i].result != NULL);
    if (ok)
      g_assert_cmpstr(text, ==, cases[i].result);
  }
}

static void paths_cannot_climb(void)
{
  static const char *const good[] = {"/", "/a", "/a/b", "/a//b", "/...", "/.a", "/a.", "/..a/b", "/a/"};
  static const char *const bad[] = {"",       "a",           "/.",    "/..",       "/../",
                                    "/a/.",   "/a/./b",      "/a/..", "/%2e%2e/b", "/a/%2E./b",
                                    "/a%2Fb", "/a%2f..%2fb", "/a%00"};
  for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
    g_autofree char *path = g_strdup(good[i]);
    g_assert_true(http_decode_path(path));
    g_assert_cmpstr(path, ==, good[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autofree char *path = g_strdup(bad[i]);
    g_test_message("%s", bad[i]);
    g_assert_false(http_decode_path(path));
  }
}

static void queries_are_split(void)
{
  g_autofree char *query = g_strdup("a=1&&b&c=&d=x=y&e%26=%3D+&a=2");
  g_autoptr(GArray) parameters = g_array_new(FALSE, FALSE, sizeof(HttpParameter));
  g_autoptr(GString) all = g_string_new(NULL);
  g_assert_true(http_split_query(query, parameters));
  for (guint i = 0; i < parameters->len; i++) {
    const HttpParameter *p = &g_array_index(parameters, HttpParameter, i);
    g_string_append_printf(all, "[%s|%s]", p->name, p->value);
  }
  g_assert_cmpstr(all->str, ==, "[a|1][b|][c|][d|x=y][e&|= ][a|2]");
  g_autoptr(GString) many = g_string_new("x");
  for (int i = 0; i < HTTP_MAX_PARAMETERS; i++)
    g_string_append(many, "&x");
  g_array_set_size(parameters, 0);
  g_assert_false(http_split_query(many->str, parameters));
}

static void ranges_are_read(void)
{
  static const struct {
    const char *range;
    guint64 size;
    HttpRange verdict;
    guint64 first, n;
  } cases[] = {
      {"bytes=0-99", 1000, HTTP_RANGE_OK, 0, 100},
      {"bytes=0-", 1000, HTTP_RANGE_OK, 0, 1000},
      {"bytes=999-", 1000, HTTP_RANGE_OK, 999, 1},
      {"bytes=5-4000", 1000, HTTP_RANGE_OK, 5, 995},
      {"bytes=-1", 1000, HTTP_RANGE_OK, 999, 1},
      {"bytes=-5000", 1000, HTTP_RANGE_OK, 0, 1000},
      {"BYTES=1-1", 1000, HTTP_RANGE_OK, 1, 1},
      {"bytes=1000-", 1000, HTTP_RANGE_UNSATISFIABLE, 0, 0},
      {"bytes=0-0", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
      {"bytes=-0", 1000, HTTP_RANGE_UNSATISFIABLE, 0, 0},
      {"bytes=-5", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
      {NULL, 1000, HTTP_RANGE_NONE, 0, 0},
      {"bytes=5-4", 1000, HTTP_RANGE_NONE, 0, 0},
      {"bytes=", 1000, HTTP_RANGE_NONE, 0, 0},
      {"bytes=-", 1000, HTTP_RANGE_NONE, 0, 0},
      {"bytes=a-b", 1000, HTTP_RANGE_NONE, 0, 0},
      {"bytes=0-1,5-6", 1000, HTTP_RANGE_NONE, 0, 0},
      {"lines=0-1", 1000, HTTP_RANGE_NONE, 0, 0},
      {"bytes=99999999999999999999-", 1000, HTTP_RANGE_NONE, 0, 0},
      {"bytes=0-9223372036854775807", G_MAXUINT64, HTTP_RANGE_OK, 0, G_GUINT64_CONSTANT(9223372036854775808)},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    guint64 first = 0, n = 0;
    g_test_message("%s", cases[i].range ? cases[i].range : "none");
    g_assert_cmpint(http_parse_range(cases[i].range, cases[i].size, &first, &n), ==, cases[i].verdict);
    g_assert_cmpuint(first, ==, cases[i].first);
    g_assert_cmpuint(n, ==, cases[i].n);
  }
}

static void content_ranges_are_read(void)
{
  static const struct {
    const char *value;
    bool ok;
    guint64 first, n, size;
  } cases[] = {
      {"bytes 0-99/1000", true, 0, 100, 1000},
      {"bytes 999-999/1000", true, 999, 1, 1000},
      {"bytes 0-99/*", true, 0, 100, G_MAXUINT64},
      {"bytes */1000", true, 0, 0, 1000},
      {"bytes */*", false, 0, 0, 0},
      {"bytes 0-1000/1000", false, 0, 0, 0},
      {"bytes 5-4/10", false, 0, 0, 0},
      {"bytes 0-99", false, 0, 0, 0},
      {"bytes 0-99/1000 ", false, 0, 0, 0},
      {"bytes -5/10", false, 0, 0, 0},
      {"bytes=0-99/1000", false, 0, 0, 0},
      {"", false, 0, 0, 0},
      {"bytes 0-99999999999999999999/*", false, 0, 0, 0},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    guint64 first, n, size;
    bool ok = http_parse_content_range(cases[i].value, &first, &n, &size);
    g_test_message("%s", cases[i].value);
    g_assert_cmpint(ok, ==, cases[i].ok);
    if (ok) {
      g_assert_cmpuint(first, ==, cases[i].first);
      g_assert_cmpuint(n, ==, cases[i].n);
      g_assert_cmpuint(size, ==, cases[i].size);
    }
  }
}

static void cookies_are_found(void)
{
  static const char header[] = "a=1; session=abc=def ;  last=";
  g_autofree char *a = http_find_cookie(header, "a"), *session = http_find_cookie(header, "session");
  g_autofree char *last = http_find_cookie(header, "last");
  g_assert_cmpstr(a, ==, "1");
  g_assert_cmpstr(session, ==, "abc=def");
  g_assert_cmpstr(last, ==, "");
  g_assert_null(http_find_cookie(header, "ession"));
  g_assert_null(http_find_cookie(header, "sess"));
  g_assert_null(http_find_cookie(NULL, "a"));
}

static void dates_are_as_in_the_rfc(void)
{
  char buf[30];
  g_assert_cmpstr(http_format_date(784111777 * (gint64)G_USEC_PER_SEC, buf), ==,
                  "Sun, 06 Nov 1994 08:49:37 GMT");
}

/* Both ways of making a head come to the same. */
static void heads_of_both_versions_are_alike(void)
{
  static const char text[] =
      "POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nAccept: a\r\naccept:b \r\nCookie: 1\r\n"
      "cookie: 2\r\n\r\n";
  static const char *const fields[] = {
      ":method", "POST", ":scheme", "https", ":path",  "/a%20b?c=d", ":authority", "x", "content-length", "7",
      "accept",  "a",    "accept",  "b",     "cookie", "1",          "cookie",     "2"};
  HttpFlaw flaw = {0};
  g_autoptr(HttpHead) one = http_head_parse_request(text, sizeof text - 1, &flaw), two = http_head_new();
  for (guint i = 0; i < G_N_ELEMENTS(fields); i += 2)
    g_assert_true(
        http_head_add(two, fields[i], strlen(fields[i]), fields[i + 1], strlen(fields[i + 1]), &flaw));
  g_assert_true(http_head_complete_h2(two, &flaw));
  HttpHead *const both[] = {one, two};
  for (int i = 0; i < 2; i++) {
    g_assert_cmpstr(both[i]->method, ==, "POST");
    g_assert_cmpstr(both[i]->path, ==, "/a b");
    g_assert_cmpstr(g_array_index(both[i]->query, HttpParameter, 0).value, ==, "d");
    g_assert_cmpint(both[i]->content_length, ==, 7);
    g_assert_cmpstr(http_head_field(both[i], "host"), ==, "x");
    g_assert_cmpstr(http_head_field(both[i], "accept"), ==, "a, b");
    g_assert_cmpstr(http_head_field(both[i], "cookie"), ==, "1; 2");
    g_assert_true(http_head_field_has(both[i], "accept", "B"));
    g_assert_false(http_head_field_has(both[i], "accept", "a,"));
  }
}

static void the_end_of_a_head_is_found_in_pieces(void)
{
  static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
  gsize seen = 0, found = 0;
  for (gsize n = 1; n < sizeof text && !found; n++) {
    found = http_head_find_end(text, n, &seen);
    g_assert_true(found == 0 || found == n);
  }
  g_assert_cmpuint(found, ==, strlen(text) - 4);
}

static void chunks_come_out_however_they_are_cut(void)
{
  static const char text[] =
      "4\r\nWiki\r\n6;x=\"y\"\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nA: b\r\nC: d\r\n\r\nnext";
  for (gsize step = 1; step < sizeof text; step++) {
    ChunkReader reader = {0};
    g_autoptr(GString) body = g_string_new(NULL);
    ChunkResult result = CHUNK_MORE;
    const char *at = text;
    while (result != CHUNK_END) {
      const char *part;
      gsize part_n, n = MIN(step, strlen(at));
      do {
        result = chunk_reader_take(&reader, &at, &n, &part, &part_n);
        g_assert_cmpint(result, !=, CHUNK_BAD);
        if (result == CHUNK_DATA)
          g_string_append_len(body, part, (gssize)part_n);
      } while (result == CHUNK_DATA);
    }
    g_assert_cmpstr(body->str, ==, "Wikipedia in \r\n\r\nchunks.");
    g_assert_cmpstr(at, ==, "next");
  }
}

static void bad_chunks_are_refused(void)
{
  static const char *const cases[] = {
      "\r\n",        "g\r\n",      "-1\r\n",     "0x1\r\n",     " 1\r\n",
      "1 \r\nx",     "1\nx",       "1\r\nxy",    "1\r\nx\n",    "1\rx",
      "1;\x01\r\nx", "0\r\nA\x02", "0\r\n A: b", "1\r\nx\r\nz", "0000000000000001\r\nx"};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    ChunkReader reader = {0};
    const char *at = cases[i], *part;
    gsize n = strlen(at), part_n;
    ChunkResult result;
    while ((result = chunk_reader_take(&reader, &at, &n, &part, &part_n)) == CHUNK_DATA)
      ;
    g_test_message("%s", cases[i]);
    g_assert_cmpint(result, ==, CHUNK_BAD);
  }
}

static void long_lines_of_chunks_are_refused(void)
{
  g_autofree char *filler = g_strnfill(5000, 'a'), *size = g_strconcat("1;", filler, NULL);
  g_autofree char *trailer = g_strconcat("0\r\nA: ", filler, NULL);
  const char *const cases[] = {size, trailer};
  for (guint i = 0; i < 2; i++) {
    ChunkReader reader = {0};
    const char *at = cases[i], *part;
    gsize n = strlen(at), part_n;
    g_assert_cmpint(chunk_reader_take(&reader, &at, &n, &part, &part_n), ==, CHUNK_BAD);
  }
}

static void masking_is_its_own_inverse_wherever_it_is_cut(void)
{
  static const guint8 mask[4] = {1, 2, 3, 4};
  char plain[100], masked[100], pieces[100];
  for (guint i = 0; i < sizeof plain; i++)
    plain[i] = (char)(i * 7);
  frame_mask(masked, plain, sizeof plain, mask, 0);
  for (guint i = 0; i < sizeof plain; i++)
    g_assert_cmpint((guint8)masked[i], ==, (guint8)plain[i] ^ mask[i % 4]);
  for (gsize cut = 0; cut <= sizeof plain; cut++) {
    frame_mask(pieces, masked, cut, mask, 0);
    frame_mask(pieces + cut, masked + cut, sizeof plain - cut, mask, (guint)(cut & 3));
    g_assert_cmpmem(pieces, sizeof pieces, plain, sizeof plain);
  }
}

/* What the writer makes the reader takes, at every cut. */
static void frames_survive_every_cut(void)
{
  static const guint8 mask[4] = {9, 8, 7, 6};
  static const gsize sizes[] = {0, 1, 125, 126, 300, 65535, 65536};
  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
    gsize n = sizes[i];
    guint8 header[FRAME_MAX_HEADER_BYTES];
    gsize header_n = frame_header(header, FRAME_BINARY, false, n, mask), total = header_n + n;
    g_assert_cmpuint(header_n, ==, frame_header_length(n, true));
    g_autofree char *payload = g_strnfill(n, 'z'), *whole = g_malloc(total), *copy = g_malloc(total);
    memcpy(whole, header, header_n);
    frame_mask(whole + header_n, payload, n, mask, 0);
    for (gsize cut = 0; cut <= MIN(total, 140); cut++) {
      FrameReader reader = {.from_client = true, .max_message_bytes = 100000};
      FrameEvent event;
      char *at = copy;
      gsize left = cut;
      memcpy(copy, whole, total);
      FrameResult result = frame_reader_take(&reader, &at, &left, &event);
      if (result == FRAME_MORE) {
        g_assert_cmpuint(left, ==, 0);
        left = total - cut;
        result = frame_reader_take(&reader, &at, &left, &event);
      }
      g_assert_cmpint(result, ==, FRAME_EVENT);
      g_assert_cmpmem(event.bytes, event.n, payload, n);
      frame_reader_clear(&reader);
    }
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/http/fields/" #name, name)
  TEST(escapes_are_decoded_strictly);
  TEST(paths_cannot_climb);
  TEST(queries_are_split);
  TEST(ranges_are_read);
  TEST(content_ranges_are_read);
  TEST(cookies_are_found);
  TEST(dates_are_as_in_the_rfc);
  TEST(heads_of_both_versions_are_alike);
  TEST(the_end_of_a_head_is_found_in_pieces);
  TEST(chunks_come_out_however_they_are_cut);
  TEST(bad_chunks_are_refused);
  TEST(long_lines_of_chunks_are_refused);
  TEST(masking_is_its_own_inverse_wherever_it_is_cut);
  TEST(frames_survive_every_cut);
  return g_test_run();
}
