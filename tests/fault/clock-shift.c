// SPDX-License-Identifier: Apache-2.0
/* LD_PRELOAD: a wall clock that a test sets while the program runs.
 *
 * CLOCK_SHIFT_FILE names a file of 8 bytes: seconds added to the real time, as a number of this machine. The test writes it with one pwrite();
 * it is mapped, so the next look at the clock sees it. Monotonic clocks stay true. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift_s;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
  const char *path = getenv("CLOCK_SHIFT_FILE");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift_s, PROT_READ, MAP_SHARED, fd, 0);
  real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  if (fd >= 0)
    close(fd);
  shift_s = at == MAP_FAILED ? NULL : at;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
  if (!real_clock_gettime)
    begin(); /* somebody's constructor was earlier */
  int result = real_clock_gettime(clock, now);
  if (result == 0 && shift_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += *shift_s;
  return result;
}

time_t time(time_t *at)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at)
    *at = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *at = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return 0;
}
