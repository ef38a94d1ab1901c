// SPDX-License-Identifier: Apache-2.0
/* See tar.h. */
#include "host/storage/tar.h"
#include <string.h>

/* Where the fields lie, and their bytes. */
enum { NAME = 0, MODE = 100, UID = 108, GID = 116, SIZE = 124, MTIME = 136, CHECKSUM = 148, TYPE = 156, MAGIC = 257, DEVICE = 329, SHORT = 8, LONG = 12 };

#define OCTAL_MAX ((G_GUINT64_CONSTANT(1) << 33) - 1)

static void put_octal(guint8 *field, guint bytes, guint64 value)
{
  char digits[32];
  g_snprintf(digits, sizeof digits, "%0*" G_GINT64_MODIFIER "o", (int)bytes - 1, value);
  memcpy(field, digits, bytes);
}

static void put_number(guint8 *field, guint64 value)
{
  if (value <= OCTAL_MAX) {
    put_octal(field, LONG, value);
    return;
  }
  for (guint i = LONG; i-- > 0; value >>= 8)
    field[i] = (guint8)value;
  field[0] = 0x80;
}

void tar_head(guint8 block[TAR_BLOCK], const char *name, guint64 bytes, gint64 modified_s)
{
  memset(block, 0, TAR_BLOCK);
  g_assert(strlen(name) <= TAR_NAME_MAX && !strchr(name, '/'));
  memcpy(block + NAME, name, strlen(name));
  put_octal(block + MODE, SHORT, 0644);
  put_octal(block + UID, SHORT, 0);
  put_octal(block + GID, SHORT, 0);
  put_number(block + SIZE, bytes);
  put_number(block + MTIME, (guint64)MAX(0, modified_s));
  block[TYPE] = '0';
  memcpy(block + MAGIC, "ustar\0" "00", 8);
  put_octal(block + DEVICE, SHORT, 0);
  put_octal(block + DEVICE + SHORT, SHORT, 0);
  /* The sum of all bytes, with spaces where it will stand: six digits, NUL, space. */
  memset(block + CHECKSUM, ' ', SHORT);
  guint64 sum = 0;
  for (guint i = 0; i < TAR_BLOCK; i++)
    sum += block[i];
  put_octal(block + CHECKSUM, SHORT - 1, sum);
}

guint64 tar_whole_blocks(guint64 bytes)
{
  return (bytes + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}
