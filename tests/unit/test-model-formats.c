// SPDX-License-Identifier: Apache-2.0
/* What each string format accepts and refuses. */
#include "model/type-private.h"

static const struct {
  const char *format;
  const char *good[12], *bad[24];
} cases[] = {
    {"ipv4",
     {"0.0.0.0", "192.0.2.7", "255.255.255.255"},
     {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "::1", "1.2.3.x"}},
    {"ipv6",
     {"::", "::1", "2001:db8::7", "fe80::1", "::ffff:1.2.3.4"},
     {"", "1.2.3.4", "2001:db8", ":::", "fe80::1%eth0", "g::1"}},
    {"ip", {"1.2.3.4", "::1"}, {"", "host", "1.2.3"}},
    {"cidr",
     {"0.0.0.0/0", "192.0.2.0/24", "10.0.0.1/32", "2001:db8::/64", "::/128"},
     {"", "192.0.2.0", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/024", "::/129", "/24",
      "192.0.2.0/2 4", "::/0x10"}},
    {"mac",
     {"52:54:00:12:34:56", "ff:ff:ff:ff:ff:ff"},
     {"", "52:54:00:12:34", "52-54-00-12-34-56", "52:54:00:12:34:5G", "52:54:00:12:34:AB",
      "5:254:00:12:34:56"}},
    {"hostname",
     {"a", "web-1", "web-1.example.com", "1.2", "A.B"},
     {"", "-a", "a-", "a..b", ".a", "a.", "a_b", "ä", "a b",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
    {"uuid",
     {"12345678-1234-1234-1234-123456789abc"},
     {"", "12345678-1234-1234-1234-123456789ABC", "12345678123412341234123456789abc",
      "12345678-1234-1234-1234-123456789ab", "{2345678-1234-1234-1234-123456789abc"}},
    {"sha256",
     {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
     {"", "e3b0", "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"}},
    {"ssh-key",
     {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here"},
     {"", "ssh-ed25519", "ssh-ed25519 ", "ssh-ed25519 AAAA",
      "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
      "ssh-ed25519 not*base64",
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f a\nssh-rsa x",
      "command=\"x\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"}},
    {"url",
     {"https://example.com", "http://[::1]:8080/a?b=c#d", "https://u@example.com/"},
     {"", "example.com", "ftp://example.com", "https://", "file:///etc/passwd", "https:///x", "https://a b"}},
    {"email", {"a@b", "first.last+tag@example.com"}, {"", "a", "@b", "a@", "a b@c", "a@b@", "a@-b"}},
    {"date",
     {"2026-01-31", "2024-02-29"},
     {"", "2026-02-29", "2026-1-31", "2026-13-01", "2026-00-10", "2026/01/31", "2026-01-31x", "20260131"}},
    {"time-of-day",
     {"00:00", "23:59", "09:30"},
     {"", "24:00", "23:60", "9:30", "09-30", "09:30:00", "99:00"}},
    {"base64", {"", "QQ==", "QUI=", "QUJD", "+/+/"}, {"Q", "QQ=", "QQ===", "Q===", "QQ=A", "QU JD", "-_-_"}},
};

static bool accepts(const char *format, const char *text)
{
  const WsField field = {.format = format, .max = 100000};
  g_autofree char *expected = ws_string_check(&field, text, strlen(text));
  return expected == NULL;
}

static void formats_accept_and_refuse(void)
{
  for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_assert_true(ws_format_is_known(cases[i].format));
    for (gsize k = 0; cases[i].good[k]; k++)
      if (!accepts(cases[i].format, cases[i].good[k]))
        g_error("%s refuses \"%s\"", cases[i].format, cases[i].good[k]);
    for (gsize k = 0; cases[i].bad[k]; k++)
      if (accepts(cases[i].format, cases[i].bad[k]))
        g_error("%s accepts \"%s\"", cases[i].format, cases[i].bad[k]);
  }
  g_assert_false(ws_format_is_known("nothing"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/model/formats/formats_accept_and_refuse", formats_accept_and_refuse);
  return g_test_run();
}
