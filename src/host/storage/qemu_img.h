// SPDX-License-Identifier: Apache-2.0
/* The only caller of qemu-img. Each run is confined: its own mount namespace where all but the target is read-only, no
 * network, a seccomp filter, limits on memory, file size, CPU time and time. It never probes: formats are always given, and every
 * file it opens has passed image_header.h or was made by us. Threads: workers; blocks. */
#pragma once
#include "host/storage/storage-private.h"

/* Makes `path` (exists already, empty) an empty qcow2. preallocate: its tables are written, so that data blocks can be filled in place.
 * backing: plain name of a file beside it, or NULL; it is written into the header, not opened. */
bool qemu_img_create(const char *path, guint64 size_bytes, bool preallocate, const char *backing, ImageFormat backing_format,
                     const StorageOp *op, GError **error);
/* Grows (or with `shrink` shrinks) a qcow2. */
bool qemu_img_resize(const char *path, guint64 size_bytes, bool preallocate, bool shrink, const StorageOp *op, GError **error);
/* Copies what the guest sees of `source` (with all below it) into `target` (exists already, empty). `format` is qcow2 or raw. */
bool qemu_img_convert(const char *source, ImageFormat source_format, const char *target, ImageFormat format, bool preallocate,
                      guint64 size_bytes, const StorageOp *op, GError **error);
/* The same into a VMDK that is read from front to back and packed (streamOptimized), as OVF wants it. */
bool qemu_img_export(const char *source, ImageFormat source_format, const char *target, guint64 size_bytes, const StorageOp *op, GError **error);
/* Space that a conversion of `source` to a thin file of `format` will take. */
bool qemu_img_measure(const char *source, ImageFormat source_format, ImageFormat format, guint64 *bytes, const StorageOp *op,
                      GError **error);
