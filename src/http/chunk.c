// SPDX-License-Identifier: Apache-2.0
/* Chunked bodies; see chunk.h. */
#include "http/chunk.h"
#include <stdbool.h>

enum {
  MAX_SIZE_LINE_BYTES = 256,
  MAX_TRAILER_BYTES = 4096,
};

static bool is_text(char c)
{
  return c == '\t' || ((guchar)c >= 0x20 && c != 0x7f);
}

static bool take_size(ChunkReader *reader, char c)
{
  int digit = g_ascii_xdigit_value(c);
  if (digit >= 0) {
    reader->left = reader->left << 4 | (guint)digit;
    return ++reader->digits <= 15;
  }
  reader->at = c == ';' ? CHUNK_AT_EXTENSION : CHUNK_AT_SIZE_LF;
  return reader->digits > 0 && (c == ';' || c == '\r');
}

static bool take_extension(ChunkReader *reader, char c)
{
  if (c == '\r')
    reader->at = CHUNK_AT_SIZE_LF;
  return c == '\r' || is_text(c);
}

static bool take_trailer(ChunkReader *reader, char c)
{
  if (c == '\r') {
    reader->at = reader->column == 0 ? CHUNK_AT_LAST_LF : CHUNK_AT_TRAILER_LF;
    return true;
  }
  return is_text(c) && (reader->column++ > 0 || (c != ' ' && c != '\t' && c != ':'));
}

/* One byte that is not data. */
static bool take_byte(ChunkReader *reader, char c)
{
  if (++reader->line_bytes > (reader->at >= CHUNK_AT_TRAILER ? MAX_TRAILER_BYTES : MAX_SIZE_LINE_BYTES))
    return false;
  switch (reader->at) {
  case CHUNK_AT_SIZE:
    return take_size(reader, c);
  case CHUNK_AT_EXTENSION:
    return take_extension(reader, c);
  case CHUNK_AT_SIZE_LF:
    reader->at = reader->left > 0 ? CHUNK_AT_DATA : CHUNK_AT_TRAILER;
    reader->line_bytes = reader->column = 0;
    return c == '\n';
  case CHUNK_AT_CR:
    reader->at = CHUNK_AT_LF;
    return c == '\r';
  case CHUNK_AT_LF:
    *reader = (ChunkReader){.at = CHUNK_AT_SIZE};
    return c == '\n';
  case CHUNK_AT_TRAILER:
    return take_trailer(reader, c);
  case CHUNK_AT_TRAILER_LF:
    reader->at = CHUNK_AT_TRAILER;
    reader->column = 0;
    return c == '\n';
  case CHUNK_AT_LAST_LF:
    reader->at = CHUNK_AT_END;
    return c == '\n';
  default:
    g_assert_not_reached();
  }
}

ChunkResult chunk_reader_take(ChunkReader *reader, const char **bytes, gsize *n, const char **part,
                              gsize *part_n)
{
  while (reader->at != CHUNK_AT_END) {
    if (*n == 0)
      return CHUNK_MORE;
    if (reader->at == CHUNK_AT_DATA) {
      *part = *bytes;
      *part_n = MIN(*n, reader->left);
      *bytes += *part_n;
      *n -= *part_n;
      reader->left -= *part_n;
      if (reader->left == 0)
        reader->at = CHUNK_AT_CR;
      return CHUNK_DATA;
    }
    (*n)--;
    if (!take_byte(reader, *(*bytes)++))
      return CHUNK_BAD;
  }
  return CHUNK_END;
}
