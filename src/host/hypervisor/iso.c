// SPDX-License-Identifier: Apache-2.0
/* ISO 9660 (ECMA-119) and Joliet, one directory deep. See iso.h.
 *
 * Sectors: 0-15 empty, 16 primary and 17 Joliet volume descriptor, 18 end of descriptors, 19-22 path tables (little and big
 * endian, for each tree), 23 and 24 the two root directories, from 25 on the files, which both trees share. */
#include "host/hypervisor/iso.h"
#include <string.h>
#include <time.h>

#define SECTOR 2048
/* Empty sectors at the end, as on every real CD: readers ahead (the kernel, busybox's findfs, which looks at 64 KiB) fail on a
 * device that ends before. */
#define PADDING_SECTORS 150
enum {
  SECTOR_PRIMARY = 16,
  SECTOR_JOLIET,
  SECTOR_END,
  SECTOR_PATHS, /* four of them */
  SECTOR_ROOT = SECTOR_PATHS + 4,
  SECTOR_ROOT_JOLIET,
  SECTOR_FILES,
};

typedef struct {
  GByteArray *image;
  struct tm when;
} Iso;

static guint8 *at(Iso *iso, guint sector, guint offset)
{
  return iso->image->data + (gsize)sector * SECTOR + offset;
}

static void put_le(guint8 *p, guint32 v, guint n)
{
  for (guint i = 0; i < n; i++)
    p[i] = (guint8)(v >> (8 * i));
}

static void put_be(guint8 *p, guint32 v, guint n)
{
  for (guint i = 0; i < n; i++)
    p[n - 1 - i] = (guint8)(v >> (8 * i));
}

/* "Both-byte order": little endian, then big endian. */
static void put_both(guint8 *p, guint32 v, guint n)
{
  put_le(p, v, n);
  put_be(p + n, v, n);
}

/* Text padded with spaces; in the Joliet tree as big-endian UCS-2. */
static void put_text(guint8 *p, const char *text, guint n, gboolean wide)
{
  gsize len = strlen(text);
  for (guint i = 0; i < (wide ? n / 2 : n); i++) {
    guint8 c = i < len ? (guint8)text[i] : ' ';
    if (wide)
      put_be(p + 2 * i, c, 2);
    else
      p[i] = c;
  }
}

static guint sectors_of(gsize n)
{
  return (guint)((n + SECTOR - 1) / SECTOR);
}

/* Directory record (ECMA-119 9.1). name NULL: the directory itself or its parent (`self` 0 or 1). Returns its length. */
static guint put_record(Iso *iso, guint8 *p, const char *name, guint8 self, gboolean wide, guint sector, gsize bytes)
{
  guint name_bytes = name ? (guint)strlen(name) * (wide ? 2 : 1) : 1;
  guint length = 33 + name_bytes + (name_bytes % 2 == 0);
  p[0] = (guint8)length;
  put_both(p + 2, sector, 4);
  put_both(p + 10, (guint32)bytes, 4);
  const struct tm *t = &iso->when;
  const guint8 stamp[7] = {(guint8)t->tm_year, (guint8)(t->tm_mon + 1), (guint8)t->tm_mday, (guint8)t->tm_hour,
                           (guint8)t->tm_min,  (guint8)t->tm_sec,       0};
  memcpy(p + 18, stamp, sizeof stamp);
  p[25] = name ? 0 : 2; /* flag: a directory */
  put_both(p + 28, 1, 2);
  p[32] = (guint8)name_bytes;
  if (name)
    put_text(p + 33, name, name_bytes, wide);
  else
    p[33] = self;
  return length;
}

static void put_directory(Iso *iso, guint sector, gboolean wide, const IsoFile *files, guint n)
{
  guint8 *p = at(iso, sector, 0);
  p += put_record(iso, p, NULL, 0, wide, sector, SECTOR);
  p += put_record(iso, p, NULL, 1, wide, sector, SECTOR);
  guint place = SECTOR_FILES;
  for (guint i = 0; i < n; i++) {
    p += put_record(iso, p, wide ? files[i].name : files[i].plain_name, 0, wide, place, files[i].n);
    place += sectors_of(files[i].n);
  }
}

/* The path table knows one directory: the root. */
static void put_path_tables(Iso *iso, guint sector, guint root)
{
  guint8 *little = at(iso, sector, 0), *big = at(iso, sector + 1, 0);
  little[0] = big[0] = 1;
  put_le(little + 2, root, 4);
  put_be(big + 2, root, 4);
  put_le(little + 6, 1, 2);
  put_be(big + 6, 1, 2);
}

/* Primary or supplementary volume descriptor (8.4, 8.5). */
static void put_descriptor(Iso *iso, guint sector, gboolean joliet, const char *volume_id)
{
  guint8 *p = at(iso, sector, 0);
  guint paths = joliet ? SECTOR_PATHS + 2 : SECTOR_PATHS, root = joliet ? SECTOR_ROOT_JOLIET : SECTOR_ROOT;
  p[0] = joliet ? 2 : 1;
  memcpy(p + 1, "CD001", 5);
  p[6] = 1;
  put_text(p + 8, joliet ? "" : "LINUX", 32, joliet);
  put_text(p + 40, volume_id, 32, joliet);
  put_both(p + 80, iso->image->len / SECTOR, 4);
  if (joliet)
    memcpy(p + 88, "%/E", 3); /* UCS-2, level 3 */
  put_both(p + 120, 1, 2);
  put_both(p + 124, 1, 2);
  put_both(p + 128, SECTOR, 2);
  put_both(p + 132, 10, 4); /* bytes of the path table */
  put_le(p + 140, paths, 4);
  put_be(p + 148, paths + 1, 4);
  put_record(iso, p + 156, NULL, 0, joliet, root, SECTOR);
  put_text(p + 190, "", 128, joliet); /* volume set, publisher, preparer, application: none */
  put_text(p + 318, "", 128, joliet);
  put_text(p + 446, "", 128, joliet);
  put_text(p + 574, "", 128, joliet);
  put_text(p + 702, "", 111, joliet); /* copyright, abstract, bibliography: none */
  char stamp[32];
  g_snprintf(stamp, sizeof stamp, "%04d%02d%02d%02d%02d%02d00", (iso->when.tm_year + 1900) % 10000, (iso->when.tm_mon + 1) % 100,
             iso->when.tm_mday % 100, iso->when.tm_hour % 100, iso->when.tm_min % 100, iso->when.tm_sec % 100);
  memcpy(p + 813, stamp, 16); /* made */
  memcpy(p + 830, stamp, 16); /* changed */
  memset(p + 847, '0', 16);   /* expires, effective: not said */
  memset(p + 864, '0', 16);
  p[881] = 1;
}

GByteArray *iso_build(const char *volume_id, const IsoFile *files, guint n, gint64 wall_us)
{
  g_assert(n <= ISO_MAX_FILES);
  guint total = SECTOR_FILES;
  for (guint i = 0; i < n; i++)
    total += sectors_of(files[i].n);
  total += PADDING_SECTORS;
  Iso iso = {.image = g_byte_array_sized_new(total * SECTOR)};
  g_byte_array_set_size(iso.image, total * SECTOR);
  memset(iso.image->data, 0, iso.image->len);
  time_t seconds = (time_t)(wall_us / G_USEC_PER_SEC);
  gmtime_r(&seconds, &iso.when);

  put_descriptor(&iso, SECTOR_PRIMARY, FALSE, volume_id);
  put_descriptor(&iso, SECTOR_JOLIET, TRUE, volume_id);
  guint8 *end = at(&iso, SECTOR_END, 0);
  end[0] = 255;
  memcpy(end + 1, "CD001", 5);
  end[6] = 1;
  put_path_tables(&iso, SECTOR_PATHS, SECTOR_ROOT);
  put_path_tables(&iso, SECTOR_PATHS + 2, SECTOR_ROOT_JOLIET);
  put_directory(&iso, SECTOR_ROOT, FALSE, files, n);
  put_directory(&iso, SECTOR_ROOT_JOLIET, TRUE, files, n);
  guint place = SECTOR_FILES;
  for (guint i = 0; i < n; i++) {
    if (files[i].n > 0)
      memcpy(at(&iso, place, 0), files[i].bytes, files[i].n);
    place += sectors_of(files[i].n);
  }
  return iso.image;
}
