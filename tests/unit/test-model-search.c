// SPDX-License-Identifier: Apache-2.0
/* What a search finds in an object, and how good the match is. */
#include "model/model.h"
#include <string.h>

static WsSearchHit find(const WsType *type, const void *object, const char *text)
{
  g_autofree char *folded = ws_text_fold(text);
  return ws_object_search(type, object, folded);
}

static WsVm *vm_new(void)
{
  WsVm *vm = ws_vm_new();
  vm->name = g_strdup("Web-1");
  vm->description = g_strdup("the shop's front");
  vm->uuid = g_strdup("0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa");
  ws_map_set(&vm->labels, "team", "Möbel");
  WsVmNic *nic = ws_vm_nic_new();
  nic->mac = g_strdup("52:54:00:aa:bb:cc");
  ws_array_add(&vm->nics, nic);
  vm->guest = ws_vm_guest_new();
  ws_array_add(&vm->guest->ips, g_strdup("10.77.0.6"));
  ws_array_add(&vm->guest->ips, g_strdup("fd00::6"));
  vm->guest->os_name = g_strdup("Debian"); /* not searched */
  return vm;
}

static void each_place_is_found(void)
{
  g_autoptr(WsVm) vm = vm_new();
  const struct {
    const char *text, *field;
    WsSearchRank rank;
  } cases[] = {
      {"web-1", "name", WS_SEARCH_EXACT},        {"WEB", "name", WS_SEARCH_NAME_BEGINS}, {"eb-1", "name", WS_SEARCH_NAME_HAS},
      {"front", "description", WS_SEARCH_HAS},   {"0b1c2d3e", "uuid", WS_SEARCH_BEGINS}, {"52:54:00:AA:BB:CC", "mac", WS_SEARCH_EXACT},
      {"10.77.0.6", "ips", WS_SEARCH_EXACT},     {"10.77", "ips", WS_SEARCH_BEGINS},     {"fd00", "ips", WS_SEARCH_BEGINS},
      {"möbel", "labels", WS_SEARCH_EXACT},      {"MÖB", "labels", WS_SEARCH_BEGINS},    {"team", "labels", WS_SEARCH_EXACT},
      {"debian", NULL, WS_SEARCH_NONE},          {"nothing", NULL, WS_SEARCH_NONE},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    WsSearchHit hit = find(&ws_type_vm, vm, cases[i].text);
    if (hit.rank != cases[i].rank || g_strcmp0(hit.field ? hit.field->name : NULL, cases[i].field) != 0)
      g_error("%s: rank %d in %s", cases[i].text, hit.rank, hit.field ? hit.field->name : "nothing");
  }
}

static void best_place_counts(void)
{
  g_autoptr(WsVm) vm = vm_new();
  g_free(vm->description);
  vm->description = g_strdup("web-1 is what it says");
  g_assert_cmpint(find(&ws_type_vm, vm, "web-1").rank, ==, WS_SEARCH_EXACT);
  g_assert_cmpstr(find(&ws_type_vm, vm, "web-1").value, ==, "Web-1");
}

/* Hashes and what only the program sees are not searched. */
static void secrets_are_not_found(void)
{
  g_autoptr(WsUser) user = ws_user_new();
  user->name = g_strdup("jo");
  user->password_hash = g_strdup("$argon2id$secret");
  g_assert_cmpint(find(&ws_type_user, user, "argon2id").rank, ==, WS_SEARCH_NONE);
  g_assert_cmpint(find(&ws_type_user, user, "jo").rank, ==, WS_SEARCH_EXACT);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/each_place_is_found", each_place_is_found);
  g_test_add_func("/best_place_counts", best_place_counts);
  g_test_add_func("/secrets_are_not_found", secrets_are_not_found);
  return g_test_run();
}
