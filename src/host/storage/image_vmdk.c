// SPDX-License-Identifier: Apache-2.0
/* VMDK in one file: monolithicSparse and streamOptimized. All others are a text that names further files; they are
 * refused (a bare descriptor is recognised in image_header.c). */
#include "host/storage/image_header-private.h"

enum {
  SECTOR = 512,
  MAX_DESCRIPTOR_BYTES = 64 << 10,
  QEMU_DESCRIPTOR_BYTES = 20 * SECTOR, /* qemu-img looks at so much whatever the header says */
  MAX_DIRECTORY_ENTRIES = 4 << 20,     /* 128 TiB with the usual grains */
};
#define GD_AT_END G_MAXUINT64 /* stream-optimised: the true header is in the footer */

static bool claims(const guint8 head[512], const guint8 tail[512])
{
  return memcmp(head, "KDMV", 4) == 0;
}

/* Value of `key=` in the descriptor's lines, or NULL; not NUL-terminated, *n bytes. Keys are matched without case. */
static const char *find_value(const char *text, const char *key, gsize *n)
{
  gsize key_bytes = strlen(key);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    while (*line == '\n' || *line == ' ' || *line == '\t' || *line == '\r')
      line++;
    if (*line == 0)
      break;
    if (g_ascii_strncasecmp(line, key, key_bytes) != 0)
      continue;
    const char *v = line + key_bytes;
    v += strspn(v, " \t");
    if (*v++ != '=')
      continue;
    v += strspn(v, " \t\"");
    *n = strcspn(v, "\"\r\n");
    return v;
  }
  return NULL;
}

static bool value_is(const char *v, gsize n, const char *wanted)
{
  return v && n == strlen(wanted) && g_ascii_strncasecmp(v, wanted, n) == 0;
}

/* qemu-img takes the descriptor from the second sector whatever the header says; so it must say that. */
static bool check_descriptor(ImageReader *r, guint64 at_sector, guint64 sectors)
{
  if (at_sector != 1)
    return image_refuse(r, "its descriptor is not in its second sector");
  if (sectors == 0 || sectors > MAX_DESCRIPTOR_BYTES / SECTOR)
    return image_refuse(r, "its descriptor of %" G_GUINT64_FORMAT " sectors is not possible", sectors);
  if (!image_range_is_inside(r, SECTOR, sectors * SECTOR))
    return image_refuse(r, "its descriptor lies outside the file");
  gsize bytes = MIN(MAX(sectors * SECTOR, QEMU_DESCRIPTOR_BYTES), r->source->bytes - SECTOR);
  g_autofree char *text = g_malloc0(bytes + 1);
  if (!image_read(r, SECTOR, text, bytes, "descriptor"))
    return false;

  gsize n = 0;
  const char *type = find_value(text, "createType", &n);
  if (!value_is(type, n, "monolithicSparse") && !value_is(type, n, "streamOptimized"))
    return image_refuse(r, "only VMDK files of type monolithicSparse and streamOptimized are taken");
  const char *parent = find_value(text, "parentCID", &n);
  if (strstr(text, "parentFileNameHint") || (parent && !value_is(parent, n, "ffffffff")))
    r->header->has_backing = true;
  if (strstr(text, "encryption.") || strstr(text, "keySafe"))
    r->header->is_encrypted = true;
  return true;
}

static bool check_header(ImageReader *r, const guint8 *b)
{
  ImageHeader *h = r->header;
  h->version = image_le32(b + 4);
  if (h->version < 1 || h->version > 3)
    return image_refuse(r, "VMDK version %u is not known", h->version);
  guint64 sectors = image_le64(b + 12), grain_sectors = image_le64(b + 20);
  if (sectors == 0 || sectors > IMAGE_MAX_SIZE_BYTES / SECTOR)
    return image_refuse(r, "its size of %" G_GUINT64_FORMAT " sectors is not possible", sectors);
  h->size_bytes = sectors * SECTOR;
  if (!image_is_power_of_two(grain_sectors) || grain_sectors < 8 || grain_sectors > 2048)
    return image_refuse(r, "its grains of %" G_GUINT64_FORMAT " sectors are not possible", grain_sectors);
  h->cluster_bytes = (guint32)(grain_sectors * SECTOR);
  guint64 entries_per_table = image_le32(b + 44);
  if (entries_per_table == 0 || entries_per_table > 512)
    return image_refuse(r, "its grain tables of %" G_GUINT64_FORMAT " entries are not possible",
                        entries_per_table);
  guint64 tables = image_div_up(sectors, grain_sectors * entries_per_table), gd_at = image_le64(b + 56);
  if (tables > MAX_DIRECTORY_ENTRIES)
    return image_refuse(r, "its grain directory of %" G_GUINT64_FORMAT " entries is too large", tables);
  if (gd_at == 0 || gd_at > G_MAXUINT64 / SECTOR || !image_range_is_inside(r, gd_at * SECTOR, tables * 4))
    return image_refuse(r, "its grain directory lies outside the file");
  if (image_le16(b + 77) > 1)
    return image_refuse(r, "its compression method is not known");
  h->is_dirty = b[72] != 0;
  return true;
}

static bool read_vmdk(ImageReader *r)
{
  guint8 head[SECTOR], b[SECTOR];
  if (!image_read(r, 0, head, sizeof head, "header"))
    return false;
  memcpy(b, head, sizeof b);
  if (image_le64(head + 12) == 0)
    return image_refuse(r, "its data are in other files");
  if (image_le64(head + 56) == GD_AT_END) {
    /* footer: marker, header, end-of-stream marker, one sector each, at the very end */
    if (r->source->bytes < 4 * SECTOR)
      return image_refuse(r, "it ends before its footer");
    if (!image_read(r, r->source->bytes - 2 * SECTOR, b, sizeof b, "footer"))
      return false;
    if (memcmp(b, "KDMV", 4) != 0)
      return image_refuse(r, "it is truncated: its footer is missing");
  }
  return check_header(r, b) && check_descriptor(r, image_le64(head + 28), image_le64(head + 36));
}

const ImageFormatReader image_vmdk_reader = {IMAGE_FORMAT_VMDK, claims, read_vmdk};
