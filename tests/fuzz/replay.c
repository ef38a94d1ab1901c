// SPDX-License-Identifier: Apache-2.0
/* Where there is no libFuzzer: runs a fuzz target once over each file of the folders named. So every build
 * checks that what was found once stays mended. TAP. */
#include <glib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void replay(gconstpointer path)
{
  g_autofree char *bytes = NULL;
  gsize n;
  g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
  g_autofree uint8_t *exact =
      g_memdup2(bytes, n); /* without the NUL behind, so that a sanitizer sees the end */
  LLVMFuzzerTestOneInput(exact ? exact : (const uint8_t *)"", n);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  for (int i = 1; i < argc; i++) {
    g_autoptr(GDir) folder = g_dir_open(argv[i], 0, NULL);
    for (const char *name; folder && (name = g_dir_read_name(folder));) {
      g_autofree char *label = g_strdup_printf("/replay/%d/%s", i, name);
      g_test_add_data_func_full(label, g_build_filename(argv[i], name, NULL), replay, g_free);
    }
  }
  return g_test_run();
}
