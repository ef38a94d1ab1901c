// SPDX-License-Identifier: Apache-2.0
/* VDI, version 1.1: dynamic and fixed images; undo and differencing ones need another file and are refused. */
#include "host/storage/image_header-private.h"

enum {
  SIGNATURE = 0xbeda107f,
  VERSION_1_1 = 0x00010001,
  KIND_DYNAMIC = 1,
  KIND_FIXED = 2,
  HEADER_BYTES = 512,
  BLOCK_BYTES = 1 << 20
};

static bool claims(const guint8 head[512], const guint8 tail[512])
{
  return image_le32(head + 64) == (guint32)SIGNATURE;
}

static bool is_zero(const guint8 *p, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (p[i] != 0)
      return false;
  return true;
}

static bool read_vdi(ImageReader *r)
{
  ImageHeader *h = r->header;
  guint8 b[HEADER_BYTES];
  if (!image_read(r, 0, b, sizeof b, "header"))
    return false;
  h->version = image_le32(b + 68);
  if (h->version != VERSION_1_1)
    return image_refuse(r, "VDI version %#x is not known", h->version);
  guint32 kind = image_le32(b + 76);
  if (kind != KIND_DYNAMIC && kind != KIND_FIXED)
    h->has_backing = true;
  /* Links to a snapshot's and a parent's UUID: of no consequence when absent. */
  if (!is_zero(b + 424, 16) || !is_zero(b + 440, 16))
    h->has_backing = true;
  h->size_bytes = image_le64(b + 368);
  guint64 map_at = image_le32(b + 340), data_at = image_le32(b + 344);
  guint64 sector = image_le32(b + 360), block = image_le32(b + 376);
  guint64 blocks = image_le32(b + 384), allocated = image_le32(b + 388);
  if (sector != 512)
    return image_refuse(r, "its sectors of %" G_GUINT64_FORMAT " bytes are not possible", sector);
  if (block != BLOCK_BYTES)
    return image_refuse(r, "its blocks of %" G_GUINT64_FORMAT " bytes are not possible", block);
  h->cluster_bytes = (guint32)block;
  if (h->size_bytes == 0 || h->size_bytes > IMAGE_MAX_SIZE_BYTES ||
      blocks != image_div_up(h->size_bytes, block))
    return image_refuse(r, "its size and its number of blocks do not fit");
  if (allocated > blocks)
    return image_refuse(r, "it has more blocks in use than blocks");
  if (map_at < HEADER_BYTES || map_at % 512 != 0 || !image_range_is_inside(r, map_at, blocks * 4))
    return image_refuse(r, "its block map lies outside the file");
  if (data_at % 512 != 0 || data_at < map_at + blocks * 4 ||
      !image_range_is_inside(r, data_at, allocated * block))
    return image_refuse(r, "it is truncated: its blocks lie outside the file");
  return true;
}

const ImageFormatReader image_vdi_reader = {IMAGE_FORMAT_VDI, claims, read_vdi};
