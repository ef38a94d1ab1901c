// SPDX-License-Identifier: Apache-2.0
/* Key names; see keys.h. Letters, digits and function keys go by their own name, the rest by what is printed on them. */
#include "host/hypervisor/keys.h"
#include <linux/input-event-codes.h>
#include <string.h>

static const struct {
  const char *name;
  guint code;
} keys[] = {
  {"ctrl", KEY_LEFTCTRL},        {"ctrl_right", KEY_RIGHTCTRL},
  {"alt", KEY_LEFTALT},          {"alt_right", KEY_RIGHTALT},
  {"shift", KEY_LEFTSHIFT},      {"shift_right", KEY_RIGHTSHIFT},
  {"meta", KEY_LEFTMETA},        {"meta_right", KEY_RIGHTMETA},
  {"menu", KEY_COMPOSE},         {"enter", KEY_ENTER},
  {"esc", KEY_ESC},              {"tab", KEY_TAB},
  {"space", KEY_SPACE},          {"backspace", KEY_BACKSPACE},
  {"insert", KEY_INSERT},        {"delete", KEY_DELETE},
  {"home", KEY_HOME},            {"end", KEY_END},
  {"page_up", KEY_PAGEUP},       {"page_down", KEY_PAGEDOWN},
  {"up", KEY_UP},                {"down", KEY_DOWN},
  {"left", KEY_LEFT},            {"right", KEY_RIGHT},
  {"print", KEY_SYSRQ},          {"pause", KEY_PAUSE},
  {"caps_lock", KEY_CAPSLOCK},   {"num_lock", KEY_NUMLOCK},
  {"scroll_lock", KEY_SCROLLLOCK}, {"minus", KEY_MINUS},
  {"equal", KEY_EQUAL},          {"comma", KEY_COMMA},
  {"dot", KEY_DOT},              {"slash", KEY_SLASH},
  {"backslash", KEY_BACKSLASH},  {"semicolon", KEY_SEMICOLON},
  {"apostrophe", KEY_APOSTROPHE}, {"grave", KEY_GRAVE},
  {"bracket_left", KEY_LEFTBRACE}, {"bracket_right", KEY_RIGHTBRACE},
  {"kp_enter", KEY_KPENTER},     {"kp_plus", KEY_KPPLUS},
  {"kp_minus", KEY_KPMINUS},     {"kp_multiply", KEY_KPASTERISK},
  {"kp_divide", KEY_KPSLASH},    {"kp_dot", KEY_KPDOT},
  {"kp_0", KEY_KP0},             {"kp_1", KEY_KP1},
  {"kp_2", KEY_KP2},             {"kp_3", KEY_KP3},
  {"kp_4", KEY_KP4},             {"kp_5", KEY_KP5},
  {"kp_6", KEY_KP6},             {"kp_7", KEY_KP7},
  {"kp_8", KEY_KP8},             {"kp_9", KEY_KP9},
  {"power", KEY_POWER},          {"sleep", KEY_SLEEP},
  {"f1", KEY_F1},                {"f2", KEY_F2},
  {"f3", KEY_F3},                {"f4", KEY_F4},
  {"f5", KEY_F5},                {"f6", KEY_F6},
  {"f7", KEY_F7},                {"f8", KEY_F8},
  {"f9", KEY_F9},                {"f10", KEY_F10},
  {"f11", KEY_F11},              {"f12", KEY_F12},
  {"1", KEY_1},                  {"2", KEY_2},
  {"3", KEY_3},                  {"4", KEY_4},
  {"5", KEY_5},                  {"6", KEY_6},
  {"7", KEY_7},                  {"8", KEY_8},
  {"9", KEY_9},                  {"0", KEY_0},
  {"a", KEY_A},                  {"b", KEY_B},
  {"c", KEY_C},                  {"d", KEY_D},
  {"e", KEY_E},                  {"f", KEY_F},
  {"g", KEY_G},                  {"h", KEY_H},
  {"i", KEY_I},                  {"j", KEY_J},
  {"k", KEY_K},                  {"l", KEY_L},
  {"m", KEY_M},                  {"n", KEY_N},
  {"o", KEY_O},                  {"p", KEY_P},
  {"q", KEY_Q},                  {"r", KEY_R},
  {"s", KEY_S},                  {"t", KEY_T},
  {"u", KEY_U},                  {"v", KEY_V},
  {"w", KEY_W},                  {"x", KEY_X},
  {"y", KEY_Y},                  {"z", KEY_Z},
};

guint virt_key_code(const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
    if (strcmp(keys[i].name, name) == 0)
      return keys[i].code;
  return 0;
}
