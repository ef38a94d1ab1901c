// SPDX-License-Identifier: Apache-2.0
/* A guest's program that writes the same few pages without end, faster than anything else it does, and one of many others now and then; each
 * round checks that each page holds what the round before wrote. A write that a move loses shows as "HOT BAD". No libc: it goes into
 * the guest as text (live.py), x86_64 only. */
#define HOT        32
#define COLD       2048
#define PAGE_BYTES 4096
#define TELL       2000000 /* rounds; about a second */

static volatile unsigned long hot[HOT][PAGE_BYTES / sizeof(unsigned long)];
static volatile unsigned long cold[COLD][PAGE_BYTES / sizeof(unsigned long)];

static void say(const char *text, unsigned long n)
{
  long done;
  __asm__ volatile("syscall" : "=a"(done) : "a"(1), "D"(1), "S"(text), "d"(n) : "rcx", "r11", "memory");
}

__attribute__((noreturn, used)) void _start(void)
{
  for (unsigned long round = 1;; round++) {
    for (unsigned page = 0; page < HOT; page++) {
      if (hot[page][0] != round - 1)
        say("HOT BAD\n", 8);
      hot[page][0] = round;
    }
    if (round % 64 == 0)
      cold[round / 64 % COLD][0] = round;
    if (round % TELL == 0)
      say("HOT good\n", 9);
  }
}
