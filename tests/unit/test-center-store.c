// SPDX-License-Identifier: Apache-2.0
/* The database under tasks: its disk full for a while, an operation failing, a sync failing, SQLite without memory, each at the n-th time for
 * n = 1, 2, ... A request is refused as read_only and has done nothing, or its task ends done; after a failed sync the process is gone with
 * status 74 and the next one replays. Nothing is lost, torn or left behind. */
#include "center-runs.h"
#include <string.h>

static const char *const main_scenes[] = {"vm_deploy", "vm_delete_destroy", "volume_clone", "image_finish_upload", "vm_update",
                                          "vm_deploy_two", NULL};

static void fails_at_every(const Scene *scene, RigFault fault, gint widen)
{
  gint n, n_runs = 0;
  for (n = 1;; n += runs_stride() + n / widen) {
    runs_begin(fault, n);
    bool ended = runs_ask(scene);
    if (!runs_world->happened)
      break;
    g_assert_true(ended == (fault != RIG_NO_SYNC));
    runs_check(scene);
    n_runs++;
  }
  g_test_message("%d operations, %d of them failed", n - 1, n_runs);
  g_assert_cmpint(n_runs, >, 3 / runs_stride());
}

static void disk_is_full_for_a_while(const void *scene)
{
  fails_at_every(scene, RIG_FULL, 8);
}

static void operation_fails_once(const void *scene)
{
  fails_at_every(scene, RIG_IO_ERROR, 8);
}

static void sync_fails(const void *scene)
{
  fails_at_every(scene, RIG_NO_SYNC, G_MAXINT);
}

/* Thousands of allocations: the first ones each, then every so manieth. */
static void memory_runs_out(const void *scene)
{
  fails_at_every(scene, RIG_NO_MEMORY, 8);
}

int main(int argc, char **argv)
{
  static const struct {
    const char *name;
    void (*func)(const void *scene);
  } ways[] = {{"full", disk_is_full_for_a_while},
              {"io_error", operation_fails_once},
              {"sync", sync_fails},
              {"memory", memory_runs_out}};
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  for (guint i = 0; i < G_N_ELEMENTS(ways); i++)
    for (guint j = 0; j < n_scenes; j++)
      if (g_strv_contains(main_scenes, scenes[j].name)) {
        g_autofree char *path = g_strdup_printf("/center/store/%s/%s", ways[i].name, scenes[j].name);
        g_test_add_data_func(path, &scenes[j], ways[i].func);
      }
  int result = g_test_run();
  runs_end();
  return result;
}
