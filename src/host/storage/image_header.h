// SPDX-License-Identifier: Apache-2.0
/* What an image file is, by its own header, before anything else touches it.
 *
 * Users upload images, and a header may name other files to read (backing file, extents, external data file), be
 * encrypted, or hold numbers made to break the tool that reads it. So this reader comes first; qemu-img sees only files
 * that image_header_accept() has let through. It reads some fixed places (less than 1 MiB in all), checks every number
 * against the file's length and the limits below, follows nothing and allocates nothing.
 *
 * What it says of a raw disk that a guest has written is worth nothing: the guest can put any header there. It is
 * for uploads and for files of unknown origin.
 *
 * Threads: any; no state. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* Largest disk: 64 TiB. */
#define IMAGE_MAX_SIZE_BYTES (G_GUINT64_CONSTANT(64) << 40)

/* In the contract's order: values equal those of its enums. */
typedef enum {
  IMAGE_FORMAT_UNKNOWN,
  IMAGE_FORMAT_QCOW2,
  IMAGE_FORMAT_RAW,
  IMAGE_FORMAT_ISO,
  IMAGE_FORMAT_VMDK,
  IMAGE_FORMAT_VHD,
  IMAGE_FORMAT_VHDX,
  IMAGE_FORMAT_VDI,
} ImageFormat;

/* "qcow2", "raw", "iso", ...; and the name of qemu-img's driver ("vpc" for vhd, "raw" for iso). Static. */
const char *image_format_name(ImageFormat format);
const char *image_format_driver(ImageFormat format);

/* Where the bytes come from: a file, or memory in tests and fuzzing. read() fills all of buf or returns false with errno;
 * the reader never asks beyond `bytes`. */
typedef struct ImageSource ImageSource;
struct ImageSource {
  bool (*read)(const ImageSource *source, guint64 offset, void *buf, gsize n);
  guint64 bytes;
  int fd;             /* of image_source_fd() */
  const guint8 *data; /* of image_source_memory() */
};
/* `fd` stays the caller's. Errors: WS_ERROR_IO_ERROR naming `name`. */
bool image_source_fd(ImageSource *source, int fd, const char *name, GError **error);
void image_source_memory(ImageSource *source, const void *data, gsize n);

typedef struct {
  ImageFormat format;      /* recognised; RAW when nothing else is */
  guint64 file_bytes;
  guint64 size_bytes;      /* size the guest sees */
  guint32 version;         /* of the format */
  guint32 cluster_bytes;   /* qcow2 cluster, vmdk grain, vhd and vdi block; else 0 */
  guint32 snapshots;       /* qcow2: internal snapshots */
  bool has_backing;        /* it is only a difference to another file */
  char backing_file[1024]; /* qcow2: name as written; "" for other formats */
  char backing_format[16]; /* qcow2: "" when not written */
  bool has_data_file;      /* its blocks are in other files */
  bool is_encrypted;
  bool is_dirty;           /* was not closed cleanly */
  bool is_bootable;        /* raw: boot sector or GPT; iso: El Torito record */
  bool is_compressed_file; /* looks raw, but is an archive or compressed file; see `looks_like` */
  char looks_like[32];     /* what else the bytes are, when no VM can use them: "gzip", "luks", ... */
  char label[33];          /* iso: volume label */
} ImageHeader;

/* Fills *header. Errors: WS_ERROR_IMAGE_REFUSED (image: `name`, reason) when a recognised header is malformed, truncated or
 * has features that are not known; WS_ERROR_IO_ERROR. */
bool image_header_read(const ImageSource *source, const char *name, ImageHeader *header, GError **error);

/* May the file be used as `declared`, on its own? Refuses (WS_ERROR_IMAGE_REFUSED) another format than declared, a
 * backing file, an external data file, encryption, an unclean end, a size of 0 or above the limit, and what is not a disk at all. */
bool image_header_accept(const ImageHeader *header, ImageFormat declared, const char *name, GError **error);
