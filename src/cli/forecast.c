// SPDX-License-Identifier: Apache-2.0
/* What a move is expected to take, in words: of a dry run. See cli.h. */
#include "cli/cli.h"

/* -1: absent. */
static gint64 number(const json_t *forecast, const char *name)
{
  const json_t *value = json_object_get(forecast, name);
  return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *word(const json_t *forecast, const char *name)
{
  const char *text = json_string_value(json_object_get(forecast, name));
  return text ? text : "";
}

static char *size(gint64 bytes)
{
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = (double)bytes;
  guint unit = 0;
  for (; value >= 1024 && unit + 1 < G_N_ELEMENTS(units); unit++)
    value /= 1024;
  return g_strdup_printf(unit && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static char *span(const Cli *cli, gint64 ms)
{
  gint64 s = ms / 1000;
  if (ms < 10000)
    return g_strdup_printf(cli_words(cli, "%.1f s", "%.1f 秒"), (double)ms / 1000);
  if (s < 120)
    return g_strdup_printf(cli_words(cli, "%" G_GINT64_FORMAT " s", "%" G_GINT64_FORMAT " 秒"), s);
  if (s < 7200)
    return g_strdup_printf(cli_words(cli, "%" G_GINT64_FORMAT " min", "%" G_GINT64_FORMAT " 分钟"),
                           (s + 59) / 60);
  return g_strdup_printf(cli_words(cli, "%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min",
                                   "%" G_GINT64_FORMAT " 小时 %" G_GINT64_FORMAT " 分钟"),
                         s / 3600, s % 3600 / 60);
}

/* Two figures of one thing: what is expected, and at most. NULL: neither is known. */
static char *range(const Cli *cli, gint64 ms, gint64 most_ms)
{
  g_autofree char *usual = ms < 0 ? NULL : span(cli, ms), *most = most_ms < 0 ? NULL : span(cli, most_ms);
  if (usual && most && g_strcmp0(usual, most) != 0)
    return g_strdup_printf(cli_words(cli, "about %s, at most %s", "约 %s，最长 %s"), usual, most);
  if (usual && most)
    return g_strdup_printf(cli_words(cli, "about %s", "约 %s"), usual);
  if (usual)
    return g_strdup_printf(cli_words(cli, "at least %s", "至少 %s"), usual);
  return most ? g_strdup_printf(cli_words(cli, "at most %s", "最长 %s"), most) : NULL;
}

static gint64 in_ms(gint64 s)
{
  return s < 0 ? s : s * 1000;
}

char *forecast_in_short(const Cli *cli, const json_t *forecast)
{
  g_autofree char *takes =
      range(cli, in_ms(number(forecast, "duration_s")), in_ms(number(forecast, "duration_max_s")));
  g_autofree char *stands = range(cli, number(forecast, "downtime_ms"), number(forecast, "downtime_max_ms"));
  GString *text = g_string_new(NULL);
  if (g_str_equal(word(forecast, "course"), "never_ends"))
    g_string_append(text, cli_words(cli, "it does not end: the guest writes faster than can be carried",
                                    "无法完成：客户机写入内存快于传输"));
  else if (takes)
    g_string_append_printf(text, cli_words(cli, "takes %s", "用时%s"), takes);
  else
    g_string_append(text, cli_words(cli, "how long it takes is not known", "用时未知"));
  if (stands)
    g_string_append_printf(text, cli_words(cli, "; the guest stands still %s", "；客户机停顿%s"), stands);
  return g_string_free(text, FALSE);
}

static const char *course_in_words(const Cli *cli, const char *course)
{
  if (g_str_equal(course, "slowed"))
    return cli_words(cli, "the guest writes much: it is slowed down until its memory can be carried",
                     "客户机写入较多：将降低其速度，直至内存能够传完");
  if (g_str_equal(course, "post_copy"))
    return cli_words(cli, "it goes over before all of its memory is there, and fetches the rest",
                     "内存传完之前先切换，再取回其余内存");
  if (g_str_equal(course, "stands_still"))
    return cli_words(cli, "the guest stands still while its memory goes, for its emulator would lose writes",
                     "模拟器会丢失写入，因此传输内存期间客户机停顿");
  if (g_str_equal(course, "never_ends"))
    return cli_words(cli, "give it more bandwidth, another strategy, or wait until it writes less",
                     "请增大带宽、改用其他策略，或等待写入减少");
  return NULL;
}

static void show_copied(const Cli *cli, const json_t *forecast)
{
  gint64 memory = number(forecast, "memory_bytes"), most = number(forecast, "memory_max_bytes"),
         disks = number(forecast, "disk_bytes");
  g_autofree char *a = size(MAX(memory, 0)), *b = size(MAX(most, 0)), *c = size(MAX(disks, 0));
  if (most > memory)
    g_print(cli_words(cli, "copies: %s of memory (%s at most), %s of disks\n",
                      "拷贝：内存 %s（最多 %s），磁盘 %s\n"),
            a, b, c);
  else
    g_print(cli_words(cli, "copies: %s of memory, %s of disks\n", "拷贝：内存 %s，磁盘 %s\n"), a, c);
}

static void show_basis(const Cli *cli, const json_t *forecast)
{
  const char *rate_basis = word(forecast, "rate_basis"), *dirty_basis = word(forecast, "dirty_basis");
  g_autofree char *rate = size(MAX(number(forecast, "rate_bytes_per_s"), 0)),
                  *dirty = size(MAX(number(forecast, "dirty_bytes_per_s"), 0));
  const char *from = g_str_equal(rate_basis, "limit")
                         ? cli_words(cli, "the ceiling that is set", "设定的上限")
                     : g_str_equal(rate_basis, "nic") ? cli_words(cli, "the hosts' NICs", "主机网卡")
                                                      : cli_words(cli, "moves before", "以往迁移");
  if (*rate_basis)
    g_print(cli_words(cli, "rests on: %s/s (%s)", "依据：%s/s（%s）"), rate, from);
  else
    g_print("%s", cli_words(cli, "rests on: how fast it can be carried is not known", "依据：传输速率未知"));
  if (*dirty_basis)
    g_print(cli_words(cli, "; the guest writes %s/s (%s)", "；客户机写入 %s/s（%s）"), dirty,
            g_str_equal(dirty_basis, "measured") ? cli_words(cli, "measured", "实测")
                                                 : cli_words(cli, "when it moved last", "上次迁移时"));
  else if (!*word(forecast, "course") && number(forecast, "memory_bytes") > 0)
    g_print("%s", cli_words(cli, "; how fast the guest writes its memory is not known",
                            "；客户机的内存写入速率未知"));
  g_print("\n");
}

void forecast_show(const Cli *cli, const json_t *forecast)
{
  g_autofree char *brief = forecast_in_short(cli, forecast);
  const char *course = course_in_words(cli, word(forecast, "course"));
  g_print(cli_words(cli, "forecast: %s\n", "预测：%s\n"), brief);
  if (course)
    g_print("%s\n", course);
  show_copied(cli, forecast);
  show_basis(cli, forecast);
}
