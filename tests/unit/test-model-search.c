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

/* The same object as it is published, in one block: found alike, though what does not hold the text is passed over without a walk. */
static WsVm *packed(WsVm *vm)
{
  WsVm *block = ws_resource_pack(vm);
  ws_resource_unref(vm);
  return block;
}

static void look_for_each(const WsVm *vm)
{
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
    g_autofree char *folded = ws_text_fold(cases[i].text);
    g_assert_true(ws_object_holds(&ws_type_vm, vm, folded) == (hit.rank != WS_SEARCH_NONE));
  }
}

static void each_place_is_found(void)
{
  g_autoptr(WsVm) vm = vm_new();
  look_for_each(vm);
}

static void each_place_is_found_in_one_block(void)
{
  g_autoptr(WsVm) vm = packed(vm_new());
  g_assert_true(vm->packed_folds); /* the Möbel */
  look_for_each(vm);
}

/* At the beginning and the end of the block, over the borders of what is looked at together, in Chinese. */
static void texts_that_fold_by_letters_alone_are_passed_over_rightly(void)
{
  for (guint length = 0; length < 300; length++) {
    WsVm *made = ws_vm_new();
    g_autofree char *fill = g_strnfill(length, 'W');
    made->name = g_strdup_printf("%sWeb-1\u670d\u52a1\u5668", fill);
    made->uuid = g_strdup("0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa");
    g_autoptr(WsVm) vm = packed(made);
    g_assert_false(vm->packed_folds);
    g_assert_cmpint(find(&ws_type_vm, vm, "eb-1\u670d").rank, ==, WS_SEARCH_NAME_HAS);
    g_assert_cmpint(find(&ws_type_vm, vm, "\u52a1\u5668").rank, ==, WS_SEARCH_NAME_HAS);
    g_assert_cmpint(find(&ws_type_vm, vm, "E9FA").rank, ==, WS_SEARCH_HAS);
    g_assert_cmpint(find(&ws_type_vm, vm, "0B1C").rank, ==, WS_SEARCH_BEGINS);
    g_assert_cmpint(find(&ws_type_vm, vm, "eb-2").rank, ==, WS_SEARCH_NONE);
    g_assert_cmpint(find(&ws_type_vm, vm, "\u52a1\u52a1").rank, ==, WS_SEARCH_NONE);
  }
}

/* Of an object in one block only the searched texts lie where a search looks, with nothing else between and none left out. */
static void searched_texts_lie_together(void)
{
  WsVm *made = vm_new();
  ws_map_set(&made->labels, "team", "m\u7ec4");
  g_free(made->guest->os_name);
  made->guest->os_name = g_strdup("\u212aelvin OS"); /* would fold, but is not searched */
  made->guest->hostname = g_strdup("web-1.example.net");
  g_autoptr(WsVm) vm = packed(made);
  const char *from = (const char *)vm + ws_type_vm.size, *end = (const char *)vm + vm->packed_searched;
  const char *searched[] = {vm->name, vm->description, vm->uuid, vm->labels.items[0].key, vm->labels.items[0].value, vm->nics.items[0]->mac,
                            vm->guest->ips.items[0], vm->guest->ips.items[1], vm->guest->hostname};
  gsize bytes = 0;
  g_assert_false(vm->packed_folds);
  for (guint i = 0; i < G_N_ELEMENTS(searched); i++) {
    g_assert_true(searched[i] >= from && searched[i] < end);
    bytes += strlen(searched[i]) + 1;
  }
  g_assert_cmpuint(bytes, <=, (gsize)(end - from));
  g_assert_cmpuint((gsize)(end - from), <, bytes + 8); /* behind the struct, aligned */
  g_assert_true(vm->guest->os_name >= end);
  g_assert_cmpint(find(&ws_type_vm, vm, "elvin os").rank, ==, WS_SEARCH_NONE);
}

static char *some_text(GRand *rand)
{
  static const char *const pieces[] = {"a", "B", "b", "ab", "Web-", "web", "1", "10.", "::", "\u670d", "\u52a1", "\u00f6", "\u212a", " "};
  GString *text = g_string_new(NULL);
  for (int n = g_rand_int_range(rand, 1, 12); n > 0; n--)
    g_string_append(text, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
  return g_string_free(text, FALSE);
}

/* One block is looked through in another way; what is found where, and how good it is, must be the same. */
static void one_block_is_found_as_parts_are(void)
{
  g_autoptr(GRand) rand = g_rand_new_with_seed(20261128);
  guint hits = 0, plain = 0;
  for (guint i = 0; i < 20000; i++) {
    g_autoptr(WsVm) vm = ws_vm_new();
    vm->name = some_text(rand);
    vm->description = g_rand_boolean(rand) ? some_text(rand) : NULL;
    vm->guest = ws_vm_guest_new();
    vm->guest->kernel = some_text(rand); /* not searched */
    for (int n = g_rand_int_range(rand, 0, 3); n > 0; n--)
      ws_array_add(&vm->guest->ips, some_text(rand));
    g_autofree char *value = some_text(rand), *looked_for = some_text(rand), *folded = ws_text_fold(looked_for);
    ws_map_set(&vm->labels, "key", value);
    g_autoptr(WsVm) block = ws_resource_pack(vm);
    WsSearchHit parts = ws_object_search(&ws_type_vm, vm, folded), one = ws_object_search(&ws_type_vm, block, folded);
    if (parts.rank != one.rank || parts.field != one.field || g_strcmp0(parts.value, one.value) != 0)
      g_error("%s: rank %d in parts, %d in one block", looked_for, parts.rank, one.rank);
    g_assert_true(ws_object_holds(&ws_type_vm, block, folded) == (one.rank != WS_SEARCH_NONE));
    g_assert_true(ws_object_holds(&ws_type_vm, vm, folded) == (one.rank != WS_SEARCH_NONE));
    hits += one.rank != WS_SEARCH_NONE;
    plain += !block->packed_folds;
  }
  g_assert_cmpuint(hits, >, 1000);
  g_assert_cmpuint(plain, >, 1000);
  g_assert_cmpuint(plain, <, 19000);
}

/* U+212A KELVIN SIGN folds to k: such a text is walked. */
static void letters_that_fold_to_ascii_are_found(void)
{
  WsVm *made = ws_vm_new();
  made->name = g_strdup("300 \u212aelvin");
  g_autoptr(WsVm) vm = packed(made);
  g_assert_true(vm->packed_folds);
  g_assert_cmpint(find(&ws_type_vm, vm, "kelvin").rank, ==, WS_SEARCH_NAME_HAS);
}

static void best_place_counts(void)
{
  g_autoptr(WsVm) vm = vm_new();
  g_free(vm->description);
  vm->description = g_strdup("web-1 is what it says");
  g_assert_cmpint(find(&ws_type_vm, vm, "web-1").rank, ==, WS_SEARCH_EXACT);
  g_assert_cmpstr(find(&ws_type_vm, vm, "web-1").value, ==, "Web-1");
}

/* Of places as good as each other the first one in the contract's order. */
static void first_of_equal_places_is_told(void)
{
  WsVm *made = vm_new();
  ws_map_set(&made->labels, "owner", "my shop");
  g_assert_cmpstr(find(&ws_type_vm, made, "shop").field->name, ==, "description");
  g_autoptr(WsVm) vm = packed(made);
  g_assert_cmpstr(find(&ws_type_vm, vm, "shop").field->name, ==, "description");
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
  g_test_add_func("/each_place_is_found_in_one_block", each_place_is_found_in_one_block);
  g_test_add_func("/texts_that_fold_by_letters_alone_are_passed_over_rightly", texts_that_fold_by_letters_alone_are_passed_over_rightly);
  g_test_add_func("/searched_texts_lie_together", searched_texts_lie_together);
  g_test_add_func("/one_block_is_found_as_parts_are", one_block_is_found_as_parts_are);
  g_test_add_func("/letters_that_fold_to_ascii_are_found", letters_that_fold_to_ascii_are_found);
  g_test_add_func("/best_place_counts", best_place_counts);
  g_test_add_func("/first_of_equal_places_is_told", first_of_equal_places_is_told);
  g_test_add_func("/secrets_are_not_found", secrets_are_not_found);
  return g_test_run();
}
