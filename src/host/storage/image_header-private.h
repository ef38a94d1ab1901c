// SPDX-License-Identifier: Apache-2.0
/* Shared by the readers of the single formats: bounded reads, byte orders, and the one way to refuse. */
#pragma once
#include "host/storage/image_header.h"
#include <string.h>

typedef struct {
  const ImageSource *source;
  const char *name;
  ImageHeader *header;
  GError **error;
} ImageReader;

/* Fixed-size pieces. `what` names the piece in the refusal when the file is too short for it. */
bool image_read(ImageReader *r, guint64 offset, void *buf, gsize n, const char *what);
/* Refuses with a reason; always false. */
bool image_refuse(ImageReader *r, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* [offset, offset + bytes) lies inside the file; no overflow. */
bool image_range_is_inside(const ImageReader *r, guint64 offset, guint64 bytes);

/* Each format: does it claim the file (cheap look at magic bytes), and its reader. */
typedef struct {
  ImageFormat format;
  bool (*claims)(const guint8 head[512], const guint8 tail[512]); /* zeroes where the file is shorter */
  bool (*read)(ImageReader *r);
} ImageFormatReader;
extern const ImageFormatReader image_qcow2_reader, image_vmdk_reader, image_vhd_reader, image_vhdx_reader, image_vdi_reader;

static inline guint16 image_be16(const guint8 *p)
{
  return (guint16)(p[0] << 8 | p[1]);
}
static inline guint32 image_be32(const guint8 *p)
{
  return (guint32)image_be16(p) << 16 | image_be16(p + 2);
}
static inline guint64 image_be64(const guint8 *p)
{
  return (guint64)image_be32(p) << 32 | image_be32(p + 4);
}
static inline guint16 image_le16(const guint8 *p)
{
  return (guint16)(p[1] << 8 | p[0]);
}
static inline guint32 image_le32(const guint8 *p)
{
  return (guint32)image_le16(p + 2) << 16 | image_le16(p);
}
static inline guint64 image_le64(const guint8 *p)
{
  return (guint64)image_le32(p + 4) << 32 | image_le32(p);
}
static inline bool image_is_power_of_two(guint64 v)
{
  return v != 0 && (v & (v - 1)) == 0;
}
static inline guint64 image_div_up(guint64 a, guint64 b)
{
  return a / b + (a % b != 0);
}
