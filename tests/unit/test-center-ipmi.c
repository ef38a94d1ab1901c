// SPDX-License-Identifier: Apache-2.0
/* What ipmitool says, as it said it (1.8.18 and 1.8.19), and what is made of it. The real program against a simulated BMC: center-bmc.py. */
#include "base/error.h"
#include "center/hosts/bmc.h"
#include "host/node/power.h"
#include <string.h>

typedef struct {
  const char *said;
  int status;
  int code;           /* 0: an answer */
  const char *reason; /* of a refusal */
  bool is_on;
} Saying;

static const Saying sayings[] = {
    {"Chassis Power is on\n", 0, 0, NULL, true},
    {"Loading IANA PEN Registry...\nInvalid completion code received: Insufficient privilege level\nChassis Power is off\n", 0, 0, NULL, false},
    {"Chassis Power is on\nChassis Power is off\n", 0, WS_ERROR_BMC_ERROR, NULL, false},
    {"", 0, WS_ERROR_BMC_ERROR, NULL, false},
    {"Chassis Power is \xff\xfe\n", 0, WS_ERROR_BMC_ERROR, NULL, false},
    {"> RAKP 2 HMAC is invalid\nError: Unable to establish IPMI v2 / RMCP+ session\n", 1, WS_ERROR_BMC_REFUSED, "user or password is wrong", false},
    {"RAKP 2 message indicates an error : unauthorized name\nError: Unable to establish IPMI v2 / RMCP+ session\n", 1, WS_ERROR_BMC_REFUSED,
     "user or password is wrong", false},
    {"Error in open session response message : invalid authentication algorithm\n\nError: Unable to establish IPMI v2 / RMCP+ session\n", 1,
     WS_ERROR_BMC_REFUSED, "the cipher suite is not offered", false},
    {"Error in open session response message : invalid role\nError: Unable to establish IPMI v2 / RMCP+ session\n", 1, WS_ERROR_BMC_REFUSED,
     "the user may not switch the power", false},
    {"Set Chassis Power Control to Down/Off failed: Insufficient privilege level\n", 1, WS_ERROR_BMC_REFUSED, "the user may not switch the power",
     false},
    {"Get Auth Capabilities error\nError: Unable to establish IPMI v2 / RMCP+ session\n", 1, WS_ERROR_BMC_UNREACHABLE, NULL, false},
    {"Address lookup for bmc.invalid failed\nCould not open socket!\n", 1, WS_ERROR_BMC_UNREACHABLE, NULL, false},
    {"Set Chassis Power Control to Up/On failed: Command not supported in present state\n", 1, WS_ERROR_BMC_ERROR, NULL, false},
};

static void sayings_are_understood(void)
{
  for (guint i = 0; i < G_N_ELEMENTS(sayings); i++) {
    const Saying *s = &sayings[i];
    g_autoptr(GError) error = NULL;
    bool is_on = false, ok = bmc_read(s->said, s->status, "h", "10.0.0.1", BMC_STATUS, &is_on, &error);
    g_test_message("%u", i);
    g_assert_cmpint(ok ? 0 : ws_error_code(error), ==, s->code);
    g_assert_cmpint(is_on, ==, s->is_on);
    if (s->reason)
      g_assert_nonnull(strstr(error->message, s->reason));
  }
}

static void magic_packet_has_the_address_sixteen_times(void)
{
  guint8 packet[102], address[] = {0x52, 0x54, 0x00, 0xAb, 0xcd, 0xef};
  g_assert_true(node_magic_packet("52:54:00:Ab:cd:EF", packet));
  for (guint i = 0; i < 6; i++)
    g_assert_cmphex(packet[i], ==, 0xff);
  for (guint i = 1; i <= 16; i++)
    g_assert_cmpmem(packet + 6 * i, 6, address, 6);
  for (const char *const *bad = (const char *const[]){"", "52", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:00", "52-54-00-ab-cd-ef", "g2:54:00:ab:cd:ef", NULL}; *bad; bad++)
    g_assert_false(node_magic_packet(*bad, packet));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/center/ipmi/sayings_are_understood", sayings_are_understood);
  g_test_add_func("/node/power/magic_packet", magic_packet_has_the_address_sixteen_times);
  return g_test_run();
}
