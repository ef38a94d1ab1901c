// SPDX-License-Identifier: Apache-2.0
/* Recognising an image: asks each format in turn, reads raw disks and ISOs itself, and decides what is let through.
 * Layouts are from the formats' published descriptions (QEMU docs/interop/qcow2, VMware Virtual Disk Format 5.0, Microsoft VHD
 * and MS-VHDX, ECMA-119, El Torito 1.0). */
#include "host/storage/image_header-private.h"
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#define ISO_SECTOR 2048
#define ISO_FIRST_DESCRIPTOR (16 * ISO_SECTOR)
#define ISO_MAX_DESCRIPTORS 32

static const struct {
  const char *name, *driver;
} formats[] = {
    [IMAGE_FORMAT_UNKNOWN] = {"unknown", "raw"}, [IMAGE_FORMAT_QCOW2] = {"qcow2", "qcow2"},
    [IMAGE_FORMAT_RAW] = {"raw", "raw"},         [IMAGE_FORMAT_ISO] = {"iso", "raw"},
    [IMAGE_FORMAT_VMDK] = {"vmdk", "vmdk"},      [IMAGE_FORMAT_VHD] = {"vhd", "vpc"},
    [IMAGE_FORMAT_VHDX] = {"vhdx", "vhdx"},      [IMAGE_FORMAT_VDI] = {"vdi", "vdi"},
};

static const ImageFormatReader *const readers[] = {
    &image_qcow2_reader, &image_vmdk_reader, &image_vhdx_reader, &image_vdi_reader, &image_vhd_reader,
};

/* What no VM can use as a disk although nothing above claims it: archives, compressed files, formats that are not taken.
 * Refusing them by name saves people a guest that does not boot. */
static const struct {
  guint16 offset;
  guint8 length;
  const char *magic;
  const char *name;
} strangers[] = {
    {0, 2, "\x1f\x8b", "gzip"},
    {0, 6, "\xfd\x37zXZ\0", "xz"},
    {0, 4, "\x28\xb5\x2f\xfd", "zstd"},
    {0, 3, "BZh", "bzip2"},
    {0, 4, "PK\3\4", "zip"},
    {0, 6, "7z\xbc\xaf\x27\x1c", "7z"},
    {257, 5, "ustar", "tar (or OVA)"},
    {0, 6, "LUKS\xba\xbe", "luks"},
    {0, 4, "QED\0", "qed"},
    {0, 4, "COWD", "vmdk (ESX COWD)"},
    {0, 16, "WithoutFreeSpace", "parallels"},
    {0, 16, "WithouFreSpacExt", "parallels"},
    {0, 22, "Bochs Virtual HD Image", "bochs"},
    {0, 5, "<?xml", "xml"},
    {0, 4, "\x7f\x45LF", "elf"},
};

const char *image_format_name(ImageFormat format)
{
  g_assert(format < G_N_ELEMENTS(formats));
  return formats[format].name;
}

const char *image_format_driver(ImageFormat format)
{
  g_assert(format < G_N_ELEMENTS(formats));
  return formats[format].driver;
}

/* ---- sources ---- */

static bool read_fd(const ImageSource *source, guint64 offset, void *buf, gsize n)
{
  for (gsize done = 0; done < n;) {
    gssize got = pread(source->fd, (char *)buf + done, n - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      if (got == 0)
        errno = ENODATA; /* it became shorter while we read */
      return false;
    }
    done += (gsize)got;
  }
  return true;
}

bool image_source_fd(ImageSource *source, int fd, const char *name, GError **error)
{
  struct stat st;
  if (fstat(fd, &st) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", name, "cause", g_strerror(errno), NULL);
  *source = (ImageSource){.read = read_fd, .bytes = (guint64)st.st_size, .fd = fd};
  return true;
}

static bool read_memory(const ImageSource *source, guint64 offset, void *buf, gsize n)
{
  memcpy(buf, source->data + offset, n);
  return true;
}

void image_source_memory(ImageSource *source, const void *data, gsize n)
{
  *source = (ImageSource){.read = read_memory, .bytes = n, .fd = -1, .data = data};
}

/* ---- for the readers ---- */

bool image_refuse(ImageReader *r, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_autofree char *reason = g_strdup_vprintf(format, args);
  va_end(args);
  return ws_fail(r->error, WS_ERROR_IMAGE_REFUSED, "image", r->name, "reason", reason, NULL);
}

bool image_range_is_inside(const ImageReader *r, guint64 offset, guint64 bytes)
{
  return offset <= r->source->bytes && bytes <= r->source->bytes - offset;
}

bool image_read(ImageReader *r, guint64 offset, void *buf, gsize n, const char *what)
{
  if (!image_range_is_inside(r, offset, n))
    return image_refuse(r, "it ends before its %s", what);
  if (!r->source->read(r->source, offset, buf, n))
    return ws_fail(r->error, WS_ERROR_IO_ERROR, "path", r->name, "cause", g_strerror(errno), NULL);
  return true;
}

/* ---- raw and ISO ---- */

static bool read_iso_label(ImageReader *r, const guint8 *descriptor)
{
  ImageHeader *h = r->header;
  guint64 blocks = image_le32(descriptor + 80);
  guint block_bytes = image_le16(descriptor + 128);
  if (block_bytes != 512 && block_bytes != 1024 && block_bytes != ISO_SECTOR)
    return image_refuse(r, "its ISO 9660 block size is %u", block_bytes);
  /* Burning programs leave up to 150 sectors of padding out of the count, none leaves data out of the file. */
  if (blocks * block_bytes > r->source->bytes)
    return image_refuse(
        r, "it is truncated: %" G_GUINT64_FORMAT " bytes are announced, %" G_GUINT64_FORMAT " are there",
        blocks * block_bytes, r->source->bytes);
  gsize n = 32;
  while (n > 0 && (descriptor[40 + n - 1] == ' ' || descriptor[40 + n - 1] == 0))
    n--;
  for (gsize i = 0; i < n; i++) /* identifiers are ASCII; anything else is not worth a mistake elsewhere */
    h->label[i] = g_ascii_isprint(descriptor[40 + i]) ? (char)descriptor[40 + i] : '?';
  h->label[n] = 0;
  return true;
}

/* Reads the volume descriptors; *found tells whether it is an ISO at all. */
static bool read_iso(ImageReader *r, bool *found)
{
  ImageHeader *h = r->header;
  *found = false;
  for (guint i = 0; i < ISO_MAX_DESCRIPTORS; i++) {
    guint64 at = ISO_FIRST_DESCRIPTOR + (guint64)i * ISO_SECTOR;
    guint8 d[ISO_SECTOR];
    if (!image_range_is_inside(r, at, sizeof d))
      return *found ? image_refuse(r, "its ISO 9660 descriptors have no end") : true;
    if (!image_read(r, at, d, sizeof d, "ISO 9660 descriptors"))
      return false;
    if (memcmp(d + 1, "CD001", 5) != 0)
      return *found ? image_refuse(r, "its ISO 9660 descriptors have no end") : true;
    if (i == 0 && d[0] != 1)
      return true; /* a real one starts with the primary descriptor */
    *found = true;
    if (d[0] == 255)
      return true;
    if (d[0] == 1 && i == 0 && !read_iso_label(r, d))
      return false;
    if (d[0] == 0 && memcmp(d + 7, "EL TORITO SPECIFICATION", 23) == 0)
      h->is_bootable = true;
  }
  return image_refuse(r, "its ISO 9660 descriptors have no end");
}

static bool read_raw_or_iso(ImageReader *r, const guint8 head[512], const guint8 tail[512])
{
  ImageHeader *h = r->header;
  h->size_bytes = h->file_bytes;
  bool is_iso;
  if (!read_iso(r, &is_iso))
    return false;
  if (is_iso) {
    h->format = IMAGE_FORMAT_ISO;
    return true;
  }
  h->format = IMAGE_FORMAT_RAW;
  guint8 gpt[8] = {0};
  if (image_range_is_inside(r, 512, sizeof gpt) && !image_read(r, 512, gpt, sizeof gpt, "partition table"))
    return false;
  h->is_bootable = (head[510] == 0x55 && head[511] == 0xaa) || memcmp(gpt, "EFI PART", 8) == 0;
  for (guint i = 0; i < G_N_ELEMENTS(strangers); i++)
    if (memcmp(head + strangers[i].offset, strangers[i].magic, strangers[i].length) == 0)
      g_strlcpy(h->looks_like, strangers[i].name, sizeof h->looks_like);
  if (memcmp(tail, "koly", 4) == 0)
    g_strlcpy(h->looks_like, "dmg", sizeof h->looks_like);
  /* A descriptor that names extent files; qemu-img would follow it. */
  if (memcmp(head, "# Disk DescriptorFile", 21) == 0)
    g_strlcpy(h->looks_like, "vmdk descriptor", sizeof h->looks_like);
  return true;
}

/* ---- the door ---- */

bool image_header_read(const ImageSource *source, const char *name, ImageHeader *header, GError **error)
{
  memset(header, 0, sizeof *header);
  header->file_bytes = source->bytes;
  ImageReader r = {.source = source, .name = name, .header = header, .error = error};

  guint8 head[512] = {0}, tail[512] = {0};
  if (!image_read(&r, 0, head, MIN(sizeof head, source->bytes), "header"))
    return false;
  if (source->bytes >= sizeof tail &&
      !image_read(&r, source->bytes - sizeof tail, tail, sizeof tail, "footer"))
    return false;

  for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
    if (readers[i]->claims(head, tail)) {
      header->format = readers[i]->format;
      return readers[i]->read(&r);
    }
  return read_raw_or_iso(&r, head, tail);
}

bool image_header_accept(const ImageHeader *header, ImageFormat declared, const char *name, GError **error)
{
  ImageReader r = {.name = name, .error = error};
  if (header->looks_like[0] && declared == IMAGE_FORMAT_RAW)
    return image_refuse(&r, "it is no disk image but %s", header->looks_like);
  if (header->format != declared)
    return image_refuse(&r, "it is declared to be %s, but it is %s", image_format_name(declared),
                        header->looks_like[0] ? header->looks_like : image_format_name(header->format));
  if (header->has_backing)
    return image_refuse(&r, "it needs another image below it%s%s", header->backing_file[0] ? ": " : "",
                        header->backing_file);
  if (header->has_data_file)
    return image_refuse(&r, "its data are in another file");
  if (header->is_encrypted)
    return image_refuse(&r, "it is encrypted");
  if (header->is_dirty)
    return image_refuse(&r, "it was not closed cleanly");
  if (header->size_bytes == 0)
    return image_refuse(&r, "its size is 0");
  if (header->size_bytes > IMAGE_MAX_SIZE_BYTES)
    return image_refuse(&r, "its size of %" G_GUINT64_FORMAT " bytes is above 64 TiB", header->size_bytes);
  return true;
}
