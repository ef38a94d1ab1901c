// SPDX-License-Identifier: Apache-2.0
/* The transfer coding "chunked" of HTTP/1.1 (RFC 9112, 7.1), read strictly. Extensions and trailers are
 * checked and dropped. Pure. Private to src/http. */
#pragma once
#include <glib.h>

typedef struct {
  enum {
    CHUNK_AT_SIZE,
    CHUNK_AT_EXTENSION,
    CHUNK_AT_SIZE_LF,
    CHUNK_AT_DATA,
    CHUNK_AT_CR,
    CHUNK_AT_LF,
    CHUNK_AT_TRAILER,
    CHUNK_AT_TRAILER_LF,
    CHUNK_AT_LAST_LF,
    CHUNK_AT_END
  } at;
  guint64 left;     /* of the chunk */
  guint digits;     /* of its size */
  guint line_bytes; /* of the line with the size, or of all trailers: limited */
  guint column;     /* in a trailer */
} ChunkReader;

typedef enum { CHUNK_MORE, CHUNK_DATA, CHUNK_END, CHUNK_BAD } ChunkResult;

/* Takes from *bytes and moves it on. DATA: *part of *part_n bytes, inside the input; call again. MORE: all is
 * taken. Begin with a zeroed reader. */
ChunkResult chunk_reader_take(ChunkReader *reader, const char **bytes, gsize *n, const char **part,
                              gsize *part_n);
