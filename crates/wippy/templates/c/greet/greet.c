// One function that takes and gives a string, in the canonical ABI: a string is an address
// and a length. `wit-bindgen c` generates such code for larger worlds.

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))

typedef struct {
  char *ptr;
  size_t len;
} string_t;

// The host puts arguments into memory that this allocates.
EXPORT("cabi_realloc")
void *cabi_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
  (void)old_size;
  if (new_size == 0) return (void *)align;
  void *grown = realloc(ptr, new_size);
  if (grown == NULL) abort();
  return grown;
}

// greet: func(name: string) -> string. A string as a result is returned in memory.
EXPORT("greet")
string_t *greet(char *name, size_t len) {
  static string_t greeting;
  // An empty name has no memory of its own, so it must not be freed.
  int size = asprintf(&greeting.ptr, "Hello, %.*s!", (int)len, len > 0 ? name : "");
  if (size < 0) abort();
  greeting.len = (size_t)size;
  if (len > 0) free(name);
  return &greeting;
}

// Called by the host once it has copied the result.
EXPORT("cabi_post_greet")
void greet_post_return(string_t *greeting) { free(greeting->ptr); }
