// SPDX-License-Identifier: Apache-2.0
/* permessage-deflate; see deflate.h. zlib does the work. */
#include "http/deflate.h"
#include <string.h>
#include <zlib.h>

enum {
  LEVEL = 1, /* JSON that is much alike: higher levels save little more and cost several times as much */
  FIRST_BYTES = 4096,
};

static const guint8 tail[4] = {0x00, 0x00, 0xff, 0xff}; /* of a flush; not sent (7.2.1) */

/* ---- who agrees ---- */

typedef struct {
  bool server_no_context, client_no_context;
} Terms;

/* One parameter of the extension, 7.1. Windows may be any size that zlib can keep to; ours are the largest, so a wish for a
 * smaller one of the server is not granted. */
static bool take_term(Terms *terms, const char *term, bool offered)
{
  if (strcmp(term, "server_no_context_takeover") == 0 && !terms->server_no_context)
    return terms->server_no_context = true;
  if (strcmp(term, "client_no_context_takeover") == 0 && !terms->client_no_context)
    return terms->client_no_context = true;
  if (offered)
    return strcmp(term, "client_max_window_bits") == 0 || g_str_has_prefix(term, "client_max_window_bits=") ||
           strcmp(term, "server_max_window_bits=15") == 0;
  return g_str_has_prefix(term, "server_max_window_bits="); /* we unpack any */
}

static bool read_terms(Terms *terms, const char *extension, bool offered)
{
  g_auto(GStrv) words = g_strsplit(extension, ";", 8);
  *terms = (Terms){0};
  if (!words[0] || strcmp(g_strstrip(words[0]), "permessage-deflate") != 0)
    return false;
  for (char **word = words + 1; *word; word++)
    if (!take_term(terms, g_strstrip(*word), offered))
      return false;
  return true;
}

const char *deflate_accept(const char *offers)
{
  g_auto(GStrv) list = g_strsplit(offers ? offers : "", ",", 16);
  Terms terms;
  for (char **offer = list; *offer; offer++)
    if (read_terms(&terms, *offer, true))
      return DEFLATE_OFFER; /* both may be demanded of any client: 7.1.1.1, 7.1.1.2 */
  return NULL;
}

bool deflate_is_accepted(const char *answer)
{
  Terms terms;
  return read_terms(&terms, answer, false) && terms.server_no_context;
}

/* ---- packing ---- */

GBytes *deflate_message(GBytes *message)
{
  gsize n;
  const void *bytes = g_bytes_get_data(message, &n);
  z_stream z = {0};
  g_assert(n <= G_MAXUINT32 / 2);
  if (deflateInit2(&z, LEVEL, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    g_error("deflate: out of memory");
  gsize room = deflateBound(&z, n) + 16;
  guint8 *packed = g_malloc(room);
  z.next_in = (Bytef *)bytes;
  z.avail_in = (uInt)n;
  z.next_out = packed;
  z.avail_out = (uInt)room;
  int result = deflate(&z, Z_SYNC_FLUSH);
  g_assert(result == Z_OK && z.avail_in == 0 && z.avail_out > 0); /* deflateBound() says so */
  gsize length = room - z.avail_out - sizeof tail;
  deflateEnd(&z);
  return g_bytes_new_take(g_realloc(packed, MAX(length, 1)), length);
}

/* Goes on until the input is at its end. */
static int unpack_piece(z_stream *z, const guint8 *bytes, gsize n, GByteArray *out, gsize max_bytes)
{
  int result = Z_OK;
  z->next_in = (Bytef *)bytes;
  z->avail_in = (uInt)n;
  do {
    guint at = out->len, more = (guint)MIN(MAX(out->len, FIRST_BYTES), max_bytes + 1 - at);
    if (more == 0)
      return Z_MEM_ERROR; /* too long */
    g_byte_array_set_size(out, at + more);
    z->next_out = out->data + at;
    z->avail_out = more;
    result = inflate(z, Z_SYNC_FLUSH);
    g_byte_array_set_size(out, at + more - z->avail_out);
    if (result == Z_STREAM_END && z->avail_in > 0)
      result = inflateReset(z); /* a final block may be followed by others: 7.2.3.5 */
  } while (result == Z_OK && (z->avail_in > 0 || z->avail_out == 0));
  return result == Z_BUF_ERROR ? Z_OK : result; /* it wants more than there is: the next piece */
}

GByteArray *deflate_unpack(const char *bytes, gsize n, gsize max_bytes, bool *too_long, const char **why)
{
  g_autoptr(GByteArray) out = g_byte_array_new();
  z_stream z = {0};
  g_assert(n <= G_MAXUINT32 / 2 && max_bytes < G_MAXUINT32 / 2);
  *too_long = false;
  if (inflateInit2(&z, -15) != Z_OK)
    g_error("inflate: out of memory");
  int result = unpack_piece(&z, (const guint8 *)bytes, n, out, max_bytes);
  if (result == Z_OK)
    result = unpack_piece(&z, tail, sizeof tail, out, max_bytes);
  bool whole = result == Z_STREAM_END ? z.avail_in == 0 : result == Z_OK;
  inflateEnd(&z);
  *too_long = result == Z_MEM_ERROR || out->len > max_bytes;
  *why = *too_long ? "the message is too long" : "the message is not compressed as agreed";
  return whole && !*too_long ? g_steal_pointer(&out) : NULL;
}
