// SPDX-License-Identifier: Apache-2.0
/* An image without its zeroes, as an ImageSource: length of the file (8 bytes, little endian), then pieces, each offset (8), length
 * (4) and bytes; later pieces lie over earlier ones. For the unit test and the fuzzer; made by tests/data/image-header/make-samples. */
#pragma once
#include "host/storage/image_header-private.h"

typedef struct {
  ImageSource source; /* first: read() gets it */
  const guint8 *pieces;
  gsize n;
} ImageSample;

static bool image_sample_read(const ImageSource *source, guint64 offset, void *buf, gsize n)
{
  const ImageSample *sample = (const ImageSample *)source;
  memset(buf, 0, n);
  for (gsize at = 0; at + 12 <= sample->n;) {
    guint64 start = image_le64(sample->pieces + at), bytes = image_le32(sample->pieces + at + 8);
    at += 12;
    bytes = MIN(bytes, sample->n - at);
    guint64 from = MAX(start, offset), to = MIN(start + bytes, offset + n);
    if (start + bytes >= start && from < to)
      memcpy((guint8 *)buf + (from - offset), sample->pieces + at + (from - start), to - from);
    at += bytes;
  }
  return true;
}

/* `data` is borrowed. false: too short to be a sample. */
static inline bool image_sample_init(ImageSample *sample, const guint8 *data, gsize n)
{
  if (n < 8)
    return false;
  *sample = (ImageSample){.source = {.read = image_sample_read, .bytes = image_le64(data), .fd = -1}, .pieces = data + 8, .n = n - 8};
  return true;
}
