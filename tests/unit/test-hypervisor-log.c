// SPDX-License-Identifier: Apache-2.0
/* The run log of a VM: no secret and nothing that moves a cursor leaves the host; the newest lines, through the older files. */
#include "base/error.h"
#include "host/hypervisor/run_log.h"
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static void assert_cleaned(const char *line, const char *want)
{
  g_autofree char *got = run_log_clean(line, strlen(line));
  g_assert_cmpstr(got, ==, want);
}

static void values_of_secrets_are_hidden(void)
{
  static const char *const cases[][2] = {
      {"-object '{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":\"/var/lib/k.aes\"}' \\",
       "-object '{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":\"/var/lib/k.aes\"}' \\"},
      {"-object '{\"qom-type\":\"secret\",\"id\":\"s0\",\"data\":\"c2Vj\\\"cmV0\",\"iv\":\"MTIz\",\"format\":\"base64\"}'",
       "-object '{\"qom-type\":\"secret\",\"id\":\"s0\",\"data\":\"***\",\"iv\":\"***\",\"format\":\"base64\"}'"},
      {"-object secret,id=s0,data=hunter2,format=raw", "-object secret,id=s0,data=***,format=raw"},
      {"-vnc unix:/run/v.sock,password=a,,b,share=ignore", "-vnc unix:/run/v.sock,password=***,share=ignore"},
      {"-append 'root=/dev/vda1 rd_Password=one two, quiet' \\", "-append 'root=/dev/vda1 rd_Password=***, quiet' \\"},
      {"-append 'wifi_passwd=it'\\''s here' -S", "-append 'wifi_passwd=***' -S"},
      {"DB_PASSWORD=hunter2 \\", "DB_PASSWORD=*** \\"},
      {"-smbios type=11,value=io.systemd.credential:passwd.hashed:abc -fw_cfg name=opt/x,string=hunter2",
       "-smbios type=11,value=*** -fw_cfg name=opt/x,string=***"},
      {"-drive file=rbd:pool/vm:id=admin:key=AQDx==:auth_supported=cephx,format=raw",
       "-drive file=rbd:pool/vm:id=admin:key=***,format=raw"},
      {"file=iscsi://bob:hunter2@10.0.0.1/iqn,x=1 http://10.0.0.1:80/a", "file=iscsi://bob:***@10.0.0.1/iqn,x=1 http://10.0.0.1:80/a"},
      {"-drive file=iscsi://bob:hun@ter@h/iqn", "-drive file=iscsi://bob:***@h/iqn"},
      {"-chardev pty,id=charserial0,logfile=/var/lib/a.log -netdev tap,fd=31", "-chardev pty,id=charserial0,logfile=/var/lib/a.log -netdev tap,fd=31"},
      {"monkey=1,database=x,keyboard=de", "monkey=1,database=x,keyboard=de"},
      {"password=", "password="},
      {"\"password\": \"cut", "\"password\": \"***"},
      {"secret_", "secret_"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
    assert_cleaned(cases[i][0], cases[i][1]);
}

static void an_open_quote_ends_with_its_line(void)
{
  assert_cleaned("it's\npassword=a b\n", "it's\npassword=*** b\n");
}

static void nothing_moves_a_cursor(void)
{
  assert_cleaned("a\033[2Jb\tc\r\nd\re\x7f\n", "a\xef\xbf\xbd[2Jb\tc\nd\xef\xbf\xbd" "e\xef\xbf\xbd\n");
  assert_cleaned("\xe2\x80\xae" "abc\xe2\x81\xa6\xc2\x9b" "31m", "\xef\xbf\xbd" "abc\xef\xbf\xbd\xef\xbf\xbd" "31m");
  g_autofree char *bad = run_log_clean("a\xff\0b", 4);
  g_assert_true(g_utf8_validate(bad, -1, NULL) && strchr(bad, 'b'));
  assert_cleaned("网络 é\n", "网络 é\n");
}

/* ---- files ---- */

static char *folder;

static void put(const char *name, const char *text)
{
  g_autofree char *path = g_build_filename(folder, name, NULL);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_read(guint lines, const char *text, guint n, bool more)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVmLogResult) log = ws_rpc_vm_log_result_new();
  g_assert_true(run_log_read(folder, "vm-1", lines, log, &error));
  g_assert_no_error(error);
  g_assert_cmpstr(log->text, ==, text);
  g_assert_cmpint(log->lines, ==, n);
  g_assert_cmpint(log->more, ==, more);
}

static void newest_lines_come_through_older_files(void)
{
  assert_read(10, "", 0, false);
  put("vm-1.log", "c\nd\n");
  assert_read(10, "c\nd\n", 2, false);
  assert_read(2, "c\nd\n", 2, false);
  assert_read(1, "d\n", 1, true);
  put("vm-1.log.0", "a\nb\n");
  assert_read(2, "c\nd\n", 2, true);
  assert_read(3, "b\nc\nd\n", 3, true);
  assert_read(9, "a\nb\nc\nd\n", 4, false);
  put("vm-1.log", "c\nd");
  assert_read(1, "d", 1, true);
  put("vm-1.log", "");
  assert_read(9, "a\nb\n", 2, false);
}

/* A file is full where it is full: inside the word that says that a secret comes. */
static void secrets_are_hidden_where_one_file_ends_and_the_next_begins(void)
{
  put("vm-1.log.0", "a\nb passw");
  put("vm-1.log", "ord=hunter2 c\nd\ne\n");
  assert_read(9, "a\nb password=*** c\nd\ne\n", 4, false);
  assert_read(3, "b password=*** c\nd\ne\n", 3, true);
  assert_read(2, "d\ne\n", 2, true);
  put("vm-1.log.1", "older\n");
  put("vm-1.log.0", "ord=hunter2 x\n");
  put("vm-1.log", "y\n");
  assert_read(1, "y\n", 1, true);
  g_autofree char *oldest = g_build_filename(folder, "vm-1.log.1", NULL), *older = g_build_filename(folder, "vm-1.log.0", NULL);
  g_unlink(oldest);
  g_unlink(older);
}

static void long_log_is_cut_at_a_line(void)
{
  g_autoptr(GString) text = g_string_new(NULL);
  while (text->len < RUN_LOG_MAX_BYTES + 1000)
    g_string_append_printf(text, "line %zu\n", text->len);
  put("vm-1.log", text->str);
  g_autoptr(WsRpcVmLogResult) log = ws_rpc_vm_log_result_new();
  g_assert_true(run_log_read(folder, "vm-1", G_MAXUINT, log, NULL));
  g_assert_cmpuint(strlen(log->text), <=, RUN_LOG_MAX_BYTES);
  g_assert_cmpuint(strlen(log->text), >, RUN_LOG_MAX_BYTES - 100);
  g_assert_true(log->more && g_str_has_prefix(log->text, "line ") && g_str_has_suffix(text->str, log->text));
  /* Cleaning makes it longer: the answer stays within its bound. */
  g_string_truncate(text, 0);
  while (text->len < RUN_LOG_MAX_BYTES)
    g_string_append(text, "\001\002\003\004\005\006\a\n");
  put("vm-1.log", text->str);
  g_assert_true(run_log_read(folder, "vm-1", G_MAXUINT, log, NULL));
  g_assert_cmpuint(strlen(log->text), <=, RUN_LOG_MAX_BYTES);
  g_assert_true(log->more);
}

static void only_files_are_read(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVmLogResult) log = ws_rpc_vm_log_result_new();
  g_autofree char *path = g_build_filename(folder, "vm-2.log", NULL), *target = g_build_filename(folder, "secret", NULL);
  put("secret", "hunter2\n");
  g_assert_cmpint(symlink(target, path), ==, 0);
  g_assert_false(run_log_read(folder, "vm-2", 5, log, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_IO_ERROR);
  g_clear_error(&error);
  g_unlink(path);
  g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
  g_assert_false(run_log_read(folder, "vm-2", 5, log, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_IO_ERROR);
  g_rmdir(path);
  g_unlink(target);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  folder = g_dir_make_tmp("ws-log-XXXXXX", NULL);
  g_assert_nonnull(folder);
  g_test_add_func("/hypervisor/log/values_of_secrets_are_hidden", values_of_secrets_are_hidden);
  g_test_add_func("/hypervisor/log/an_open_quote_ends_with_its_line", an_open_quote_ends_with_its_line);
  g_test_add_func("/hypervisor/log/nothing_moves_a_cursor", nothing_moves_a_cursor);
  g_test_add_func("/hypervisor/log/newest_lines_come_through_older_files", newest_lines_come_through_older_files);
  g_test_add_func("/hypervisor/log/secrets_are_hidden_where_one_file_ends_and_the_next_begins",
                  secrets_are_hidden_where_one_file_ends_and_the_next_begins);
  g_test_add_func("/hypervisor/log/long_log_is_cut_at_a_line", long_log_is_cut_at_a_line);
  g_test_add_func("/hypervisor/log/only_files_are_read", only_files_are_read);
  int result = g_test_run();
  static const char *const names[] = {"vm-1.log", "vm-1.log.0"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *path = g_build_filename(folder, names[i], NULL);
    g_unlink(path);
  }
  g_rmdir(folder);
  g_free(folder);
  return result;
}
