// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an image (in the form of image-sample.h): the header reader must answer, and what it accepts must keep its promises. */
#include "base/error.h"
#include "image-sample.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  ImageSample sample;
  if (!image_sample_init(&sample, data, n) || sample.source.bytes > G_MAXINT64)
    return 0;
  ImageHeader header;
  g_autoptr(GError) error = NULL;
  if (!image_header_read(&sample.source, "input", &header, &error)) {
    g_assert_nonnull(error);
    g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_IMAGE_REFUSED);
    return 0;
  }
  g_assert_cmpint(header.format, !=, IMAGE_FORMAT_UNKNOWN);
  g_assert_true(memchr(header.label, 0, sizeof header.label));
  g_assert_true(memchr(header.backing_file, 0, sizeof header.backing_file));
  g_assert_true(memchr(header.backing_format, 0, sizeof header.backing_format));
  for (ImageFormat declared = IMAGE_FORMAT_QCOW2; declared <= IMAGE_FORMAT_VDI; declared++) {
    g_autoptr(GError) refusal = NULL;
    if (!image_header_accept(&header, declared, "input", &refusal))
      continue;
    g_assert_cmpint(header.format, ==, declared);
    g_assert_false(header.has_backing || header.has_data_file || header.is_encrypted || header.is_dirty);
    g_assert_cmpuint(header.size_bytes, >, 0);
    g_assert_cmpuint(header.size_bytes, <=, IMAGE_MAX_SIZE_BYTES);
  }
  return 0;
}
