// SPDX-License-Identifier: Apache-2.0
/* Image headers, by the table in tests/data/image-header/cases.txt: each line is a test. A new case is a new line there. */
#include "../fuzz/image-sample.h"
#include "base/error.h"
#include <glib.h>

typedef struct {
  char *sample, *patches, *outcome;
  ImageFormat declared;
} Case;

static char *data_path(const char *name)
{
  return g_build_filename(g_getenv("G_TEST_SRCDIR"), "..", "data", "image-header", name, NULL);
}

static ImageFormat format_from_name(const char *name)
{
  for (ImageFormat f = IMAGE_FORMAT_QCOW2; f <= IMAGE_FORMAT_VDI; f++)
    if (g_str_equal(image_format_name(f), name))
      return f;
  g_error("no format %s", name);
}

static void append_le(GByteArray *out, guint64 v, guint n)
{
  for (guint i = 0; i < n; i++) {
    guint8 byte = (guint8)(v >> (8 * i));
    g_byte_array_append(out, &byte, 1);
  }
}

/* "offset:hex" as one more piece over the sample; "cut:length" changes the file's length. */
static void apply_patch(GByteArray *sample, const char *patch)
{
  const char *colon = strchr(patch, ':');
  g_assert_nonnull(colon);
  if (g_str_has_prefix(patch, "cut:")) {
    guint64 length = g_ascii_strtoull(colon + 1, NULL, 10);
    for (guint i = 0; i < 8; i++)
      sample->data[i] = (guint8)(length >> (8 * i));
    return;
  }
  gint64 offset = g_ascii_strtoll(patch, NULL, 10);
  if (offset < 0)
    offset += (gint64)image_le64(sample->data);
  gsize n = strlen(colon + 1) / 2;
  append_le(sample, (guint64)offset, 8);
  append_le(sample, n, 4);
  for (gsize i = 0; i < n; i++) {
    int byte = g_ascii_xdigit_value(colon[1 + 2 * i]) << 4 | g_ascii_xdigit_value(colon[2 + 2 * i]);
    g_assert_cmpint(byte, >=, 0);
    guint8 b = (guint8)byte;
    g_byte_array_append(sample, &b, 1);
  }
}

static void run_case(gconstpointer data)
{
  const Case *c = data;
  g_autofree char *name = g_strconcat(c->sample, ".sample", NULL), *path = data_path(name), *bytes = NULL;
  gsize n;
  g_autoptr(GError) error = NULL;
  g_file_get_contents(path, &bytes, &n, &error);
  g_assert_no_error(error);
  g_autoptr(GByteArray) sample = g_byte_array_append(g_byte_array_new(), (guint8 *)bytes, (guint)n);
  g_auto(GStrv) patches = g_strsplit(c->patches, ",", -1);
  for (char **p = patches; *p; p++)
    apply_patch(sample, *p);

  ImageSample source;
  ImageHeader header;
  g_assert_true(image_sample_init(&source, sample->data, sample->len));
  bool accepted = image_header_read(&source.source, "upload", &header, &error) &&
                  image_header_accept(&header, c->declared, "upload", &error);
  if (g_str_has_prefix(c->outcome, "ok ")) {
    g_assert_no_error(error);
    g_assert_true(accepted);
    guint64 size = g_ascii_strtoull(c->outcome + 3, NULL, 10);
    g_assert_cmpuint(header.size_bytes, ==, size ? size : header.file_bytes);
  } else {
    g_assert_false(accepted);
    g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_IMAGE_REFUSED);
    if (!strstr(ws_error_param(error, "reason"), c->outcome))
      g_error("the reason is \"%s\", not \"%s\"", ws_error_param(error, "reason"), c->outcome);
  }
}

/* Every number of the qcow2 header set to its extremes: an answer, never an assertion or a read beyond the file. */
static void any_word_may_be_anything(void)
{
  static const char *const samples[] = {"qcow2-backing.sample", "vmdk-sparse.sample", "vhd-dynamic.sample",
                                        "vhdx.sample",          "vdi.sample",         "iso.sample"};
  static const guint8 values[] = {0, 1, 0x7f, 0x80, 0xff};
  for (guint s = 0; s < G_N_ELEMENTS(samples); s++) {
    g_autofree char *path = data_path(samples[s]), *bytes = NULL;
    gsize n;
    g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
    for (gsize at = 20; at + 8 <= n; at += 4)
      for (guint v = 0; v < G_N_ELEMENTS(values); v++) {
        g_autofree guint8 *copy = g_memdup2(bytes, n);
        memset(copy + at, values[v], 8);
        ImageSample source;
        ImageHeader header;
        g_assert_true(image_sample_init(&source, copy, n));
        g_autoptr(GError) error = NULL;
        if (!image_header_read(&source.source, "upload", &header, &error))
          g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_IMAGE_REFUSED);
      }
  }
}

static void iso_tells_label_and_boot_record(void)
{
  g_autofree char *path = data_path("iso.sample"), *bytes = NULL;
  gsize n;
  g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
  ImageSample source;
  ImageHeader header;
  g_assert_true(image_sample_init(&source, (guint8 *)bytes, n));
  g_assert_true(image_header_read(&source.source, "upload", &header, NULL));
  g_assert_cmpstr(header.label, ==, "A LABEL");
  g_assert_true(header.is_bootable);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_autofree char *path = data_path("cases.txt"), *text = NULL;
  g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    if (**line == '#' || **line == 0)
      continue;
    g_auto(GStrv) cells = g_strsplit(*line, "|", 5);
    g_assert_cmpuint(g_strv_length(cells), ==, 5);
    for (guint i = 0; i < 5; i++)
      g_strstrip(cells[i]);
    Case *c = g_new0(Case, 1); /* lives as long as the program */
    *c = (Case){g_strdup(cells[1]), g_strdup(cells[2]), g_strdup(cells[4]), format_from_name(cells[3])};
    g_autofree char *test = g_strconcat("/host/image-header/", cells[0], NULL);
    g_test_add_data_func(test, c, run_case);
  }
  g_test_add_func("/host/image-header/any_word_may_be_anything", any_word_may_be_anything);
  g_test_add_func("/host/image-header/iso_tells_label_and_boot_record", iso_tells_label_and_boot_record);
  return g_test_run();
}
