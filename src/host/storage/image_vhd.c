// SPDX-License-Identifier: Apache-2.0
/* VHD (footer "conectix", at the end and for dynamic disks also at the start) and VHDX (Microsoft MS-VHDX). Differencing
 * disks need another file and are refused; so is a VHDX whose log was not written back. */
#include "host/storage/image_header-private.h"

/* ---- VHD ---- */

enum {
  VHD_FIXED = 2,
  VHD_DYNAMIC = 3,
  VHD_DIFFERENCING = 4,
  VHD_FOOTER_BYTES = 512,
  VHD_DYNAMIC_BYTES = 1024
};

static bool vhd_claims(const guint8 head[512], const guint8 tail[512])
{
  return memcmp(head, "conectix", 8) == 0 || memcmp(tail, "conectix", 8) == 0;
}

/* One's complement of the sum of all bytes but the checksum's own four. */
static bool vhd_checksum_is_right(const guint8 *b, gsize n, gsize checksum_at)
{
  guint32 sum = 0;
  for (gsize i = 0; i < n; i++)
    if (i < checksum_at || i >= checksum_at + 4)
      sum += b[i];
  return ~sum == image_be32(b + checksum_at);
}

static bool read_vhd_dynamic(ImageReader *r, guint64 at)
{
  ImageHeader *h = r->header;
  guint8 b[VHD_DYNAMIC_BYTES];
  if (at < VHD_FOOTER_BYTES || at % 512 != 0)
    return image_refuse(r, "its dynamic header is at no possible place");
  if (!image_read(r, at, b, sizeof b, "dynamic header"))
    return false;
  if (memcmp(b, "cxsparse", 8) != 0 || !vhd_checksum_is_right(b, sizeof b, 36))
    return image_refuse(r, "its dynamic header is damaged");
  guint64 table_at = image_be64(b + 16), entries = image_be32(b + 28), block = image_be32(b + 32);
  if (!image_is_power_of_two(block) || block < 4096 || block > 256 << 20)
    return image_refuse(r, "its blocks of %" G_GUINT64_FORMAT " bytes are not possible", block);
  h->cluster_bytes = (guint32)block;
  if (entries < image_div_up(h->size_bytes, block) || entries > (G_GUINT64_CONSTANT(256) << 20) / 4)
    return image_refuse(r, "its block table of %" G_GUINT64_FORMAT " entries does not fit its size", entries);
  if (table_at < VHD_FOOTER_BYTES || !image_range_is_inside(r, table_at, entries * 4))
    return image_refuse(r, "its block table lies outside the file");
  return true;
}

static bool read_vhd(ImageReader *r)
{
  ImageHeader *h = r->header;
  guint8 b[VHD_FOOTER_BYTES];
  if (r->source->bytes < 2 * sizeof b)
    return image_refuse(r, "it ends before its footer");
  if (!image_read(r, r->source->bytes - sizeof b, b, sizeof b, "footer"))
    return false;
  if (memcmp(b, "conectix", 8) != 0)
    return image_refuse(r, "it is truncated: its footer is missing");
  if (!vhd_checksum_is_right(b, sizeof b, 64))
    return image_refuse(r, "its footer is damaged");
  h->version = image_be32(b + 12);
  if (h->version >> 16 != 1)
    return image_refuse(r, "VHD version %#x is not known", h->version);
  h->size_bytes = image_be64(b + 48);
  if (h->size_bytes == 0 || h->size_bytes > IMAGE_MAX_SIZE_BYTES || h->size_bytes % 512 != 0)
    return image_refuse(r, "its size of %" G_GUINT64_FORMAT " bytes is not possible", h->size_bytes);
  switch (image_be32(b + 60)) {
  case VHD_FIXED:
    if (h->size_bytes > r->source->bytes - sizeof b)
      return image_refuse(r, "it is truncated: it is shorter than its disk");
    return true;
  case VHD_DIFFERENCING:
    h->has_backing = true;
    return true;
  case VHD_DYNAMIC: {
    /* qemu-img goes by the copy at the start: both must be the same. */
    guint8 copy[VHD_FOOTER_BYTES];
    if (!image_read(r, 0, copy, sizeof copy, "header"))
      return false;
    if (memcmp(b, copy, sizeof b) != 0)
      return image_refuse(r, "its header and its footer differ");
    return read_vhd_dynamic(r, image_be64(b + 16));
  }
  default:
    return image_refuse(r, "VHD type %u is not known", image_be32(b + 60));
  }
}

const ImageFormatReader image_vhd_reader = {IMAGE_FORMAT_VHD, vhd_claims, read_vhd};

/* ---- VHDX ---- */

enum {
  VHDX_HEADER_1 = 64 << 10,
  VHDX_HEADER_2 = 128 << 10,
  VHDX_HEADER_BYTES = 4096,
  VHDX_REGIONS_1 = 192 << 10,
  VHDX_REGIONS_2 = 256 << 10,
  VHDX_TABLE_BYTES = 64 << 10,
  VHDX_MAX_ENTRIES = 2047,
};

typedef struct {
  guint64 at, bytes;
} Region;

/* GUIDs as they lie in the file. */
static const guint8 guid_bat[16] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                    0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
static const guint8 guid_metadata[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                         0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
static const guint8 guid_file_parameters[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                                0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
static const guint8 guid_disk_size[16] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                          0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
static const guint8 guid_sector[16] = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                       0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};

static bool vhdx_claims(const guint8 head[512], const guint8 tail[512])
{
  return memcmp(head, "vhdxfile", 8) == 0;
}

/* CRC-32C (Castagnoli), bit by bit: a few pages in all. The four bytes at `checksum_at` count as zero. */
static guint32 crc32c(const guint8 *b, gsize n, gsize checksum_at)
{
  guint32 crc = 0xffffffff;
  for (gsize i = 0; i < n; i++) {
    crc ^= i >= checksum_at && i < checksum_at + 4 ? 0 : b[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

/* The valid header with the higher sequence number counts. */
static bool read_vhdx_headers(ImageReader *r)
{
  static const guint64 places[] = {VHDX_HEADER_1, VHDX_HEADER_2};
  guint64 best = 0;
  bool found = false, log_is_empty = false;
  for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
    guint8 b[VHDX_HEADER_BYTES];
    if (!image_read(r, places[i], b, sizeof b, "headers"))
      return false;
    if (memcmp(b, "head", 4) != 0 || crc32c(b, sizeof b, 4) != image_le32(b + 4))
      continue;
    guint64 sequence = image_le64(b + 8);
    if (found && sequence <= best)
      continue;
    static const guint8 none[16];
    found = true;
    best = sequence;
    log_is_empty = memcmp(b + 48, none, 16) == 0;
    r->header->version = image_le16(b + 66);
  }
  if (!found)
    return image_refuse(r, "both its headers are damaged");
  if (r->header->version != 1)
    return image_refuse(r, "VHDX version %u is not known", r->header->version);
  r->header->is_dirty = !log_is_empty;
  return true;
}

static bool read_vhdx_regions(ImageReader *r, Region *bat, Region *metadata)
{
  static const guint64 places[] = {VHDX_REGIONS_1, VHDX_REGIONS_2};
  g_autofree guint8 *b = g_malloc(VHDX_TABLE_BYTES);
  bool valid = false;
  for (guint i = 0; i < G_N_ELEMENTS(places) && !valid; i++) {
    if (!image_read(r, places[i], b, VHDX_TABLE_BYTES, "region table"))
      return false;
    valid = memcmp(b, "regi", 4) == 0 && crc32c(b, VHDX_TABLE_BYTES, 4) == image_le32(b + 4);
  }
  if (!valid)
    return image_refuse(r, "both its region tables are damaged");
  guint32 n = image_le32(b + 8);
  if (n > VHDX_MAX_ENTRIES)
    return image_refuse(r, "its region table has %u entries", n);
  for (guint i = 0; i < n; i++) {
    const guint8 *e = b + 16 + i * 32;
    Region region = {image_le64(e + 16), image_le32(e + 24)};
    if (region.at < 1 << 20 || region.at % (1 << 20) != 0 ||
        !image_range_is_inside(r, region.at, region.bytes))
      return image_refuse(r, "a region lies outside the file");
    if (memcmp(e, guid_bat, 16) == 0)
      *bat = region;
    else if (memcmp(e, guid_metadata, 16) == 0)
      *metadata = region;
    else if (image_le32(e + 28) & 1)
      return image_refuse(r, "it requires a region that is not known");
  }
  if (bat->at == 0 || metadata->at == 0)
    return image_refuse(r, "a region it cannot do without is missing");
  return true;
}

typedef struct {
  bool has_parameters, has_size, has_sector;
  guint32 sector_bytes;
} VhdxMetadata;

static bool read_vhdx_item(ImageReader *r, const Region *metadata, const guint8 *entry, VhdxMetadata *m)
{
  ImageHeader *h = r->header;
  guint64 offset = image_le32(entry + 16), bytes = image_le32(entry + 20);
  if (offset < VHDX_TABLE_BYTES || offset > metadata->bytes || bytes > metadata->bytes - offset)
    return image_refuse(r, "a metadata item lies outside its region");
  guint8 b[8] = {0};
  if (!image_read(r, metadata->at + offset, b, MIN(bytes, sizeof b), "metadata"))
    return false;
  if (memcmp(entry, guid_file_parameters, 16) == 0 && bytes == 8) {
    m->has_parameters = true;
    h->cluster_bytes = image_le32(b);
    h->has_backing = image_le32(b + 4) & 2;
  } else if (memcmp(entry, guid_disk_size, 16) == 0 && bytes == 8) {
    m->has_size = true;
    h->size_bytes = image_le64(b);
  } else if (memcmp(entry, guid_sector, 16) == 0 && bytes == 4) {
    m->has_sector = true;
    m->sector_bytes = image_le32(b);
  }
  return true;
}

static bool read_vhdx_metadata(ImageReader *r, const Region *metadata, VhdxMetadata *m)
{
  if (metadata->bytes < VHDX_TABLE_BYTES)
    return image_refuse(r, "its metadata region is too short");
  guint8 head[32];
  if (!image_read(r, metadata->at, head, sizeof head, "metadata"))
    return false;
  guint n = image_le16(head + 10);
  if (memcmp(head, "metadata", 8) != 0 || n > VHDX_MAX_ENTRIES)
    return image_refuse(r, "its metadata are damaged");
  for (guint i = 0; i < n; i++) {
    guint8 entry[32];
    if (!image_read(r, metadata->at + 32 + (guint64)i * 32, entry, sizeof entry, "metadata") ||
        !read_vhdx_item(r, metadata, entry, m))
      return false;
  }
  return true;
}

static bool read_vhdx(ImageReader *r)
{
  ImageHeader *h = r->header;
  Region bat = {0}, metadata = {0};
  VhdxMetadata m = {0};
  if (!read_vhdx_headers(r) || !read_vhdx_regions(r, &bat, &metadata) ||
      !read_vhdx_metadata(r, &metadata, &m))
    return false;
  if (!m.has_parameters || !m.has_size || !m.has_sector)
    return image_refuse(r, "its metadata lack what it cannot do without");
  if (m.sector_bytes != 512 && m.sector_bytes != 4096)
    return image_refuse(r, "its sectors of %u bytes are not possible", m.sector_bytes);
  if (!image_is_power_of_two(h->cluster_bytes) || h->cluster_bytes < 1 << 20 || h->cluster_bytes > 256 << 20)
    return image_refuse(r, "its blocks of %u bytes are not possible", h->cluster_bytes);
  if (h->size_bytes == 0 || h->size_bytes > IMAGE_MAX_SIZE_BYTES || h->size_bytes % m.sector_bytes != 0)
    return image_refuse(r, "its size of %" G_GUINT64_FORMAT " bytes is not possible", h->size_bytes);
  /* One entry per block, and one per chunk of blocks for a bitmap. */
  guint64 chunk_ratio = ((guint64)m.sector_bytes << 23) / h->cluster_bytes;
  guint64 blocks = image_div_up(h->size_bytes, h->cluster_bytes);
  if (bat.bytes / 8 < blocks + (blocks - 1) / chunk_ratio)
    return image_refuse(r, "its block table does not fit its size");
  return true;
}

const ImageFormatReader image_vhdx_reader = {IMAGE_FORMAT_VHDX, vhdx_claims, read_vhdx};
