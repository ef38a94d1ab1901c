// SPDX-License-Identifier: Apache-2.0
/* qcow2, versions 2 and 3: a big-endian header, then (version 3) extensions up to the backing file's name or the first cluster's end. */
#include "host/storage/image_header-private.h"

enum {
  V2_HEADER_BYTES = 72,
  V3_HEADER_BYTES = 104,
  MAX_EXTENSIONS = 64,
  MAX_L1_BYTES = 32 << 20, /* QEMU's own limits */
  MAX_REFTABLE_BYTES = 8 << 20,
  MAX_SNAPSHOTS = 65536,
};

/* Incompatible features. What is not here is not known, and a file that has it is refused. */
enum {
  F_DIRTY = 1 << 0,
  F_CORRUPT = 1 << 1,
  F_DATA_FILE = 1 << 2,
  F_COMPRESSION_TYPE = 1 << 3,
  F_EXTENDED_L2 = 1 << 4
};

enum {
  EXT_END = 0,
  EXT_BACKING_FORMAT = 0xe2792aca,
  EXT_FEATURE_NAMES = 0x6803f857,
  EXT_BITMAPS = 0x23852875,
  EXT_CRYPTO = 0x0537be77,
  EXT_DATA_FILE = 0x44415441,
};

typedef struct {
  guint8 raw[112];
  guint32 version, header_bytes;
  guint64 cluster_bytes, incompatible;
  guint64 backing_offset;
  guint32 backing_bytes;
} Qcow2;

static bool claims(const guint8 head[512], const guint8 tail[512])
{
  return memcmp(head, "QFI\xfb", 4) == 0;
}

static bool read_features(ImageReader *r, Qcow2 *q)
{
  q->incompatible = image_be64(q->raw + 72);
  q->header_bytes = image_be32(q->raw + 100);
  if (q->header_bytes < V3_HEADER_BYTES || q->header_bytes > q->cluster_bytes || q->header_bytes % 8 != 0)
    return image_refuse(r, "its header length of %u is not possible", q->header_bytes);
  guint64 known = F_DIRTY | F_CORRUPT | F_DATA_FILE | F_COMPRESSION_TYPE | F_EXTENDED_L2;
  if (q->incompatible & ~known)
    return image_refuse(r, "it has unknown features (%#" G_GINT64_MODIFIER "x)", q->incompatible & ~known);
  if (q->incompatible & F_CORRUPT)
    return image_refuse(r, "it is marked corrupt");
  if ((q->incompatible & F_EXTENDED_L2) && q->cluster_bytes < 16384)
    return image_refuse(r, "its clusters are too small for its subclusters");
  if (image_be32(q->raw + 96) > 6)
    return image_refuse(r, "its reference count width is not possible");
  if (q->incompatible & F_COMPRESSION_TYPE) {
    if (q->header_bytes <= V3_HEADER_BYTES || q->raw[104] > 1)
      return image_refuse(r, "its compression type is not known");
  }
  r->header->is_dirty = q->incompatible & F_DIRTY;
  r->header->has_data_file = q->incompatible & F_DATA_FILE;
  return true;
}

/* Tables must lie inside the file, and the L1 table must cover the disk. */
static bool check_tables(ImageReader *r, const Qcow2 *q)
{
  ImageHeader *h = r->header;
  guint64 entry_bytes = q->incompatible & F_EXTENDED_L2 ? 16 : 8;
  guint64 bytes_per_l1_entry = q->cluster_bytes * (q->cluster_bytes / entry_bytes);
  guint64 l1_entries = image_be32(q->raw + 36), l1_offset = image_be64(q->raw + 40);
  guint64 reftable_offset = image_be64(q->raw + 48),
          reftable_bytes = image_be32(q->raw + 56) * q->cluster_bytes;

  if (l1_entries * 8 > MAX_L1_BYTES || l1_entries < image_div_up(h->size_bytes, bytes_per_l1_entry))
    return image_refuse(r, "its L1 table has %" G_GUINT64_FORMAT " entries, which does not fit its size",
                        l1_entries);
  if (l1_entries > 0 && (l1_offset % q->cluster_bytes != 0 || l1_offset == 0 ||
                         !image_range_is_inside(r, l1_offset, l1_entries * 8)))
    return image_refuse(r, "its L1 table lies outside the file");
  if (reftable_bytes == 0 || reftable_bytes > MAX_REFTABLE_BYTES || reftable_offset == 0 ||
      reftable_offset % q->cluster_bytes != 0 || !image_range_is_inside(r, reftable_offset, reftable_bytes))
    return image_refuse(r, "its reference count table lies outside the file");
  h->snapshots = image_be32(q->raw + 60);
  if (h->snapshots > MAX_SNAPSHOTS)
    return image_refuse(r, "it announces %u snapshots", h->snapshots);
  guint64 snapshots_offset = image_be64(q->raw + 64);
  if (h->snapshots > 0 &&
      (snapshots_offset % 8 != 0 || !image_range_is_inside(r, snapshots_offset, (guint64)h->snapshots * 40)))
    return image_refuse(r, "its snapshot table lies outside the file");
  return true;
}

static bool read_backing_format(ImageReader *r, guint64 offset, guint32 bytes)
{
  ImageHeader *h = r->header;
  if (bytes >= sizeof h->backing_format)
    return image_refuse(r, "the format name of its backing file is too long");
  return image_read(r, offset, h->backing_format, bytes, "backing format");
}

static bool read_extensions(ImageReader *r, const Qcow2 *q)
{
  guint64 at = q->header_bytes, end = q->backing_offset ? q->backing_offset : q->cluster_bytes;
  for (guint i = 0; i < MAX_EXTENSIONS; i++) {
    guint8 head[8];
    if (at > end || end - at < sizeof head || !image_range_is_inside(r, at, sizeof head))
      return true; /* the end mark may be left out when there is no room for it */
    if (!image_read(r, at, head, sizeof head, "header extensions"))
      return false;
    guint32 kind = image_be32(head), bytes = image_be32(head + 4);
    at += sizeof head;
    if (kind == EXT_END)
      return true;
    if (bytes > end - at)
      return image_refuse(r, "a header extension is longer than the header");
    if (kind == EXT_BACKING_FORMAT && !read_backing_format(r, at, bytes))
      return false;
    if (kind == EXT_DATA_FILE)
      r->header->has_data_file = true;
    if (kind == EXT_CRYPTO)
      r->header->is_encrypted = true;
    at += ((guint64)bytes + 7) & ~G_GUINT64_CONSTANT(7);
  }
  return image_refuse(r, "it has more than %d header extensions", MAX_EXTENSIONS);
}

static bool read_backing(ImageReader *r, const Qcow2 *q)
{
  ImageHeader *h = r->header;
  if (q->backing_offset == 0)
    return true;
  h->has_backing = true;
  if (q->backing_bytes >= sizeof h->backing_file || q->backing_bytes == 0 ||
      q->backing_offset < q->header_bytes || q->backing_offset > q->cluster_bytes ||
      q->backing_bytes > q->cluster_bytes - q->backing_offset)
    return image_refuse(r, "the name of its backing file is not inside its header");
  if (!image_read(r, q->backing_offset, h->backing_file, q->backing_bytes, "backing file's name"))
    return false;
  if (memchr(h->backing_file, 0, q->backing_bytes))
    return image_refuse(r, "the name of its backing file holds a NUL");
  /* It goes into messages: what is no text is shown as such. */
  if (!g_utf8_validate(h->backing_file, -1, NULL))
    return image_refuse(r, "the name of its backing file is no text");
  return true;
}

static bool read_qcow2(ImageReader *r)
{
  ImageHeader *h = r->header;
  Qcow2 q = {.header_bytes = V2_HEADER_BYTES};
  if (!image_read(r, 0, q.raw, V2_HEADER_BYTES, "header"))
    return false;
  h->version = q.version = image_be32(q.raw + 4);
  if (q.version != 2 && q.version != 3)
    return image_refuse(r, "qcow version %u is not known", q.version);
  guint32 cluster_bits = image_be32(q.raw + 20);
  if (cluster_bits < 9 || cluster_bits > 21)
    return image_refuse(r, "its clusters of 2^%u bytes are not possible", cluster_bits);
  q.cluster_bytes = G_GUINT64_CONSTANT(1) << cluster_bits;
  h->cluster_bytes = (guint32)q.cluster_bytes;
  h->size_bytes = image_be64(q.raw + 24);
  if (h->size_bytes > IMAGE_MAX_SIZE_BYTES)
    return image_refuse(r, "its size of %" G_GUINT64_FORMAT " bytes is above 64 TiB", h->size_bytes);
  guint32 crypt = image_be32(q.raw + 32);
  if (crypt > 2)
    return image_refuse(r, "its encryption method %u is not known", crypt);
  h->is_encrypted = crypt != 0;
  q.backing_offset = image_be64(q.raw + 8);
  q.backing_bytes = image_be32(q.raw + 16);

  if (q.version == 3) {
    if (!image_read(r, V2_HEADER_BYTES, q.raw + V2_HEADER_BYTES, V3_HEADER_BYTES - V2_HEADER_BYTES, "header"))
      return false;
    if (image_range_is_inside(r, 0, sizeof q.raw) && !image_read(r, 0, q.raw, sizeof q.raw, "header"))
      return false;
    if (!read_features(r, &q))
      return false;
  }
  return check_tables(r, &q) && read_backing(r, &q) && read_extensions(r, &q);
}

const ImageFormatReader image_qcow2_reader = {IMAGE_FORMAT_QCOW2, claims, read_qcow2};
