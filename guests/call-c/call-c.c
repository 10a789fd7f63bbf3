// Calls functions of the node from C, through `wippy:runtime/funcs`, with the canonical ABI in
// the form that `wit-bindgen c` generates, written by hand.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("wippy:runtime/funcs@0.1.0"), import_name(name)))

// result<string, string> and result<list<u8>, string> look the same in memory.
typedef struct {
  uint8_t is_err;
  char *ptr;
  size_t len;
} result_t;

IMPORT("call-string")
void call_string(char *target, size_t target_len, char *input, size_t input_len, result_t *result);

IMPORT("call-bytes")
void call_bytes(char *target, size_t target_len, char *input, size_t input_len, result_t *result);

// The host puts arguments and results into memory that this allocates.
EXPORT("cabi_realloc")
void *cabi_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
  (void)old_size;
  if (new_size == 0) return (void *)align;
  void *grown = realloc(ptr, new_size);
  if (grown == NULL) abort();
  return grown;
}

static result_t result;

// Arguments belong to the callee. Empty ones have no memory of their own.
static result_t *finish(char *target, size_t target_len, char *input, size_t input_len) {
  if (target_len > 0) free(target);
  if (input_len > 0) free(input);
  return &result;
}

EXPORT("call")
result_t *call(char *target, size_t target_len, char *input, size_t input_len) {
  call_string(target, target_len, input, input_len, &result);
  return finish(target, target_len, input, input_len);
}

EXPORT("call-bytes")
result_t *call_with_bytes(char *target, size_t target_len, char *input, size_t input_len) {
  call_bytes(target, target_len, input, input_len, &result);
  return finish(target, target_len, input, input_len);
}

// Called by the host once it has copied the result.
static void post_return(result_t *returned) {
  if (returned->len > 0) free(returned->ptr);
}

EXPORT("cabi_post_call")
void call_post_return(result_t *returned) { post_return(returned); }

EXPORT("cabi_post_call-bytes")
void call_bytes_post_return(result_t *returned) { post_return(returned); }
