// SPDX-License-Identifier: Apache-2.0
/* Errors in Chinese, down to the pieces of their sentences. */
#include "base/error.h"
#include <string.h>

static void assert_zh(const char *text, const char *zh)
{
  g_autofree char *said = ws_phrase(text, WS_LANG_ZH), *plain = ws_phrase(text, WS_LANG_EN);
  g_assert_cmpstr(said, ==, zh);
  g_assert_cmpstr(plain, ==, text);
}

static void phrases_are_found_whole_and_with_places(void)
{
  assert_zh("a string", "字符串");
  assert_zh("at most 16 items", "至多 16 项");
  assert_zh("1 to 16 items", "1 到 16 项");
  assert_zh("0 to 64 entries", "0 到 64 项");
  assert_zh("1 to 63 characters", "1 到 63 个字符");
  assert_zh("an id such as vol-7", "对象编号，例如 vol-7");
  assert_zh("one of this-one, that-one", "以下之一：this-one, that-one");
  assert_zh("it is truncated: 4096 bytes are announced, 12 are there", "被截断：声明 4096 字节，实有 12 字节");
}

static void fillings_are_phrases_too(void)
{
  assert_zh("it ends before its header", "文件在 文件头 之前结束");
}

static void lists_and_names_are_taken_apart(void)
{
  assert_zh("h1: not connected; h2: another architecture", "h1：未连接；h2：架构不同");
  assert_zh("h1: it works by magic; h2: not connected", "h1: it works by magic；h2：未连接");
}

static void what_nobody_knows_stays_as_it_is(void)
{
  assert_zh("web-3", "web-3");
  assert_zh("", "");
  assert_zh("a thing that no table has", "a thing that no table has");
  assert_zh("Failed to connect socket to '/run/daemon-sock'", "Failed to connect socket to '/run/daemon-sock'"); /* no range */
  assert_zh("1 to many items", "1 to many items");
}

static void messages_are_chinese_down_to_the_parameter(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_BAD_VALUE, "field", "disks[1].size_bytes", "expected", "a multiple of 512", NULL);
  g_autofree char *zh = ws_error_message(error, WS_LANG_ZH);
  g_assert_cmpstr(zh, ==, "disks[1].size_bytes 无效，应为：512 的倍数。");
  g_assert_cmpstr(error->message, ==, "disks[1].size_bytes is not valid: expected a multiple of 512.");
  g_assert_cmpstr(ws_error_param(error, "expected"), ==, "a multiple of 512"); /* programs read what is written */
}

/* An object may be called like a word of ours. */
static void names_are_not_translated(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_IN_USE, "object", "running", "user", "its linked clones", NULL);
  g_autofree char *zh = ws_error_message(error, WS_LANG_ZH);
  g_assert_true(g_str_has_prefix(zh, "running 正被 它的链接克隆 使用"));
}

static void causes_are_chinese_too(void)
{
  g_autofree char *a = ws_phrase("possible while it is off, hibernated", WS_LANG_ZH), *b = ws_phrase("possible while it is off", WS_LANG_ZH);
  g_autofree char *c = ws_phrase("nics[nic-0]: the guest has not released the device", WS_LANG_ZH);
  g_assert_cmpstr(a, ==, "可用状态：已关机，已休眠");
  g_assert_cmpstr(b, ==, "可用状态：已关机");
  g_assert_cmpstr(c, ==, "nics[nic-0]：客户机未释放该设备");
}

static double processor_s(void)
{
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* The longest text and the worst pattern end soon. */
static void hostile_texts_cost_little(void)
{
  g_autofree char *as = g_strnfill(1000, 'a'), *lists = g_strnfill(999, ';');
  for (gsize i = 1; i < 999; i += 2)
    lists[i] = ' ';
  double start = processor_s();
  g_autofree char *a = ws_phrase(as, WS_LANG_ZH), *b = ws_phrase(lists, WS_LANG_ZH);
  g_autofree char *text = g_strconcat("protocol versions ", as, " to ", as, NULL), *c = ws_phrase(text, WS_LANG_ZH);
  g_assert_cmpstr(c, ==, text);
  g_assert_cmpfloat(processor_s() - start, <, 2);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/phrase/" #name, name)
  TEST(phrases_are_found_whole_and_with_places);
  TEST(fillings_are_phrases_too);
  TEST(lists_and_names_are_taken_apart);
  TEST(what_nobody_knows_stays_as_it_is);
  TEST(messages_are_chinese_down_to_the_parameter);
  TEST(names_are_not_translated);
  TEST(causes_are_chinese_too);
  TEST(hostile_texts_cost_little);
  return g_test_run();
}
