// SPDX-License-Identifier: Apache-2.0
/* LD_PRELOAD: a disk that is busy with others. Every sync takes up to WS_SLOW_DISK_MS (20) longer, by chance. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_for_others(void)
{
  const char *text = getenv("WS_SLOW_DISK_MS");
  long most_ms = text ? strtol(text, NULL, 10) : 20;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long us = most_ms > 0 ? now.tv_nsec / 1000 % (most_ms * 1000) : 0;
  nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

int fsync(int fd)
{
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  wait_for_others();
  return next(fd);
}

int fdatasync(int fd)
{
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_for_others();
  return next(fd);
}
