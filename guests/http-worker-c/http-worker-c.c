// The worker of `http-worker` in C: wasi-libc for the variable, WASI 0.2 for the request,
// called in the form of the canonical ABI that `wit-bindgen c` generates, written by hand.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define TYPES(name) IMPORT("wasi:http/types@0.2.0", name)

TYPES("[constructor]fields") extern int32_t new_fields(void);
TYPES("[constructor]outgoing-request") extern int32_t new_request(int32_t fields);
TYPES("[method]outgoing-request.set-scheme")
extern int32_t set_scheme(int32_t request, int32_t is_some, int32_t scheme, const char *other, size_t len);
TYPES("[method]outgoing-request.set-authority")
extern int32_t set_authority(int32_t request, int32_t is_some, const char *text, size_t len);
TYPES("[method]outgoing-request.set-path-with-query")
extern int32_t set_path(int32_t request, int32_t is_some, const char *text, size_t len);
IMPORT("wasi:http/outgoing-handler@0.2.0", "handle")
extern void handle(int32_t request, int32_t has_options, int32_t options, uint8_t *result);
TYPES("[method]future-incoming-response.subscribe") extern int32_t subscribe(int32_t future);
TYPES("[method]future-incoming-response.get") extern void get(int32_t future, uint8_t *result);
TYPES("[method]incoming-response.status") extern int32_t status(int32_t response);
TYPES("[method]incoming-response.consume") extern void consume(int32_t response, uint8_t *result);
TYPES("[method]incoming-body.stream") extern void stream(int32_t body, uint8_t *result);
IMPORT("wasi:io/poll@0.2.0", "[method]pollable.block") extern void block(int32_t pollable);
IMPORT("wasi:io/streams@0.2.0", "[method]input-stream.blocking-read")
extern void blocking_read(int32_t stream, int64_t len, uint8_t *result);

// The host puts what it returns into memory that this allocates.
EXPORT("cabi_realloc")
void *cabi_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
  (void)old_size;
  if (new_size == 0) return (void *)align;
  void *grown = realloc(ptr, new_size);
  if (grown == NULL) abort();
  return grown;
}

// A result<string, string> in memory.
typedef struct {
  uint8_t is_err;
  char *ptr;
  size_t len;
} outcome_t;

static outcome_t *err(const char *text) {
  static outcome_t outcome;
  outcome = (outcome_t){.is_err = 1, .ptr = strdup(text), .len = strlen(text)};
  return &outcome;
}

// Where the payload of a result with an error-code begins: the code may hold a u64.
#define PAYLOAD 8

static int32_t handle_at(const uint8_t *memory) {
  int32_t handle;
  memcpy(&handle, memory, sizeof handle);
  return handle;
}

EXPORT("run")
outcome_t *run(void) {
  const char *url = getenv("API_URL");
  if (url == NULL) return err("API_URL is not set");
  bool https = strncmp(url, "https://", 8) == 0;
  if (!https && strncmp(url, "http://", 7) != 0) return err("API_URL is no HTTP URL");
  const char *authority = url + (https ? 8 : 7);
  size_t len = strcspn(authority, "/");
  const char *path = authority[len] == '\0' ? "/" : authority + len;

  int32_t request = new_request(new_fields());
  if (set_scheme(request, 1, https ? 1 : 0, NULL, 0) != 0 ||
      set_authority(request, 1, authority, len) != 0 ||
      set_path(request, 1, path, strlen(path)) != 0)
    return err("API_URL is no URL");

  // Larger than any of the results.
  _Alignas(8) uint8_t result[128];
  handle(request, 0, 0, result);
  if (result[0] != 0) return err("the request was refused");
  int32_t future = handle_at(result + PAYLOAD);
  block(subscribe(future));
  get(future, result);
  // Some, then taken for the first time, then the response.
  if (result[0] != 1 || result[PAYLOAD] != 0) return err("no response");
  if (result[2 * PAYLOAD] != 0) return err("the request failed");
  int32_t response = handle_at(result + 3 * PAYLOAD);
  if (status(response) != 200) {
    char text[16];
    snprintf(text, sizeof text, "status %d", (int)status(response));
    return err(text);
  }
  consume(response, result);
  if (result[0] != 0) return err("no body");
  stream(handle_at(result + 4), result);
  if (result[0] != 0) return err("no stream");
  int32_t input = handle_at(result + 4);

  static outcome_t outcome;
  for (;;) {
    blocking_read(input, 65536, result);
    if (result[0] != 0) {
      // Closed is the end.
      return result[4] == 1 ? &outcome : err("the body broke off");
    }
    char *bytes = (char *)handle_at(result + 4);
    size_t more = (size_t)handle_at(result + 8);
    char *grown = realloc(outcome.ptr, outcome.len + more);
    if (grown == NULL && more > 0) abort();
    outcome.ptr = grown;
    memcpy(outcome.ptr + outcome.len, bytes, more);
    outcome.len += more;
    if (more > 0) free(bytes);
  }
}
