// SPDX-License-Identifier: Apache-2.0
/* qemu-img's command lines, limits and progress. */
#include "host/storage/qemu_img.h"
#include "base/error.h"
#include "base/exec.h"
#include <jansson.h>
#include <string.h>

/* Limits: an L1 or grain directory of the largest disk takes some ten MiB; libraries map more than they use. */
#define MEMORY_BYTES (G_GUINT64_CONSTANT(1) << 30)
/* Without this each of qemu-img's threads maps 64 MiB of its own to allocate from, and a dozen of them reach the limit: a thread cannot be
 * made, and QEMU ends itself. mallopt(3), M_ARENA_MAX; seen: up to 850 MiB mapped without, 120 with. */
static const char *const environment[] = {"MALLOC_ARENA_MAX=1", NULL};
#define QUICK_TIMEOUT_MS (120 * 1000)
/* A conversion may be as slow as 4 MiB/s, with ten minutes on top. */
#define SLOWEST_BYTES_PER_MS 4194
#define FLOOR_TIMEOUT_MS (600 * 1000)

typedef struct {
  const StorageOp *op;
  guint64 total;
  char line[32]; /* the tail of what was printed: "    (12.34/100%)\r" */
  guint n;
} Progress;

/* qemu-img -p prints "    (12.34/100%)\r" again and again. */
static void on_stdout(const char *chunk, gsize n, void *arg)
{
  Progress *p = arg;
  for (gsize i = 0; i < n; i++) {
    char c = chunk[i];
    if (c == '(')
      p->n = 0;
    else if (c == '/' && p->n > 0) {
      p->line[p->n] = 0;
      double percent = g_ascii_strtod(p->line, NULL);
      if (percent >= 0 && percent <= 100)
        op_progress(p->op, (guint64)((double)p->total * percent / 100), p->total);
      p->n = 0;
    } else if (p->n < sizeof p->line - 1)
      p->line[p->n++] = c;
  }
}

static guint timeout_ms(guint64 bytes)
{
  return (guint)MIN(FLOOR_TIMEOUT_MS + bytes / SLOWEST_BYTES_PER_MS, (guint64)G_MAXINT32);
}

/* `bytes`: size the target may reach. reads_all: it takes time and reports; else it is quick. source: its folder is all that is
 * there beside the target (a chain's files are neighbours); NULL: not even that. */
static bool run(const char *const *argv, const char *writable, const char *source, guint64 bytes,
                bool reads_all, const StorageOp *op, GError **error)
{
  g_autofree char *folder = source ? g_path_get_dirname(source) : NULL;
  const char *visible[] = {folder, NULL};
  Progress progress = {.op = op, .total = bytes};
  WsExec exec = {
      .argv = argv,
      .env = environment,
      .timeout_ms = reads_all ? timeout_ms(bytes) : QUICK_TIMEOUT_MS,
      .max_memory_bytes = MEMORY_BYTES,
      .max_cpu_s = (reads_all ? timeout_ms(bytes) : QUICK_TIMEOUT_MS) / 1000,
      /* tables and refcounts come on top of the data: 1/256 is more than they take with any cluster size we make */
      .max_file_bytes = bytes + bytes / 256 + (64 << 20),
      .confine = true,
      .writable = writable,
      .visible = visible,
      .cancel = op ? op->cancel : NULL,
      .on_stdout = reads_all ? on_stdout : NULL,
      .on_stdout_arg = &progress,
  };
  return ws_exec(&exec, NULL, NULL, NULL, error);
}

bool qemu_img_create(const char *path, guint64 size_bytes, bool preallocate, const char *backing,
                     ImageFormat backing_format, const StorageOp *op, GError **error)
{
  g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, size_bytes);
  const char *options = preallocate ? "preallocation=metadata" : "preallocation=off";
  if (!backing) {
    const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, size, NULL};
    return run(argv, path, NULL, size_bytes, false, op, error);
  }
  const char *argv[] = {"qemu-img", "create", "-q",    "-f", "qcow2",
                        "-u",       "-b",     backing, "-F", image_format_driver(backing_format),
                        path,       size,     NULL};
  return run(argv, path, NULL, size_bytes, false, op, error);
}

bool qemu_img_resize(const char *path, guint64 size_bytes, bool preallocate, bool shrink, const StorageOp *op,
                     GError **error)
{
  g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, size_bytes);
  const char *how = shrink ? "--shrink" : preallocate ? "--preallocation=metadata" : "--preallocation=off";
  const char *argv[] = {"qemu-img", "resize", "-q", "-f", "qcow2", how, path, size, NULL};
  return run(argv, path, path, size_bytes, false, op, error);
}

bool qemu_img_convert(const char *source, ImageFormat source_format, const char *target, ImageFormat format,
                      bool preallocate, guint64 size_bytes, const StorageOp *op, GError **error)
{
  /* -t none would be kinder to the page cache, but not every file system has O_DIRECT; we sync before publishing. */
  const char *argv[] = {"qemu-img",
                        "convert",
                        "-p",
                        "-f",
                        image_format_driver(source_format),
                        "-O",
                        image_format_driver(format),
                        "-o",
                        preallocate && format == IMAGE_FORMAT_QCOW2 ? "preallocation=metadata"
                                                                    : "preallocation=off",
                        source,
                        target,
                        NULL};
  return run(argv, target, source, size_bytes, true, op, error);
}

bool qemu_img_export(const char *source, ImageFormat source_format, const char *target, guint64 size_bytes, const StorageOp *op, GError **error)
{
  /* lsilogic and compat6: the adapter and the hardware that its text names, as readers expect them of a disk behind SCSI. */
  const char *argv[] = {"qemu-img", "convert", "-p", "-f", image_format_driver(source_format), "-O", "vmdk", "-o",
                        "subformat=streamOptimized,adapter_type=lsilogic,compat6", source, target, NULL};
  return run(argv, target, source, size_bytes + size_bytes / 8, true, op, error); /* so much where nothing can be packed (plan/export.c) */
}

bool qemu_img_measure(const char *source, ImageFormat source_format, ImageFormat format, guint64 *bytes,
                      const StorageOp *op, GError **error)
{
  const char *argv[] = {"qemu-img",
                        "measure",
                        "--output=json",
                        "-f",
                        image_format_driver(source_format),
                        "-O",
                        image_format_driver(format),
                        source,
                        NULL};
  g_autofree char *folder = g_path_get_dirname(source);
  const char *visible[] = {folder, NULL};
  WsExec exec = {
      .argv = argv,
      .env = environment,
      .visible = visible,
      .timeout_ms = FLOOR_TIMEOUT_MS, /* it reads all tables */
      .max_memory_bytes = MEMORY_BYTES,
      .max_cpu_s = FLOOR_TIMEOUT_MS / 1000,
      .max_file_bytes = 1,
      .confine = true,
      .cancel = op ? op->cancel : NULL,
  };
  g_autofree char *out = NULL;
  gsize n;
  if (!ws_exec(&exec, &out, &n, NULL, error))
    return false;
  json_t *root = json_loadb(out, n, 0, NULL);
  json_int_t required = 0;
  bool ok = root && json_unpack(root, "{s:I}", "required", &required) == 0 && required >= 0;
  json_decref(root);
  *bytes = (guint64)required;
  return ok || ws_fail(error, WS_ERROR_PROGRAM_FAILED, "program", "qemu-img", "status", "0", "cause",
                       "its answer is not understood", NULL);
}
