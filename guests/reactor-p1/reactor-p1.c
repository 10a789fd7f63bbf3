// A preview1 reactor: a core module without `_start`, whose `_initialize` must run once
// before any other export. It imports preview1 functions, but `add` needs none of them.

#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define EXPORT(name) __attribute__((export_name(name)))

// Volatile, or the compiler runs the constructor itself, and stores its outcome.
static volatile int32_t is_initialized;

__attribute__((constructor)) static void initialize(void) { is_initialized = 1; }

// 1 if the host has called `_initialize`.
EXPORT("initialized")
int32_t initialized(void) { return is_initialized; }

EXPORT("add")
int32_t add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

// Seconds since 1970, by clock_time_get.
EXPORT("now")
int64_t now(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
  return time.tv_sec;
}

// Writes a line to standard output, by fd_write; the answer is its length or -1.
EXPORT("log")
int32_t log_line(void) {
  static const char line[] = "hello from a reactor\n";
  return (int32_t)write(STDOUT_FILENO, line, sizeof line - 1);
}
