// An actor in C, with `wippy:actor` alone and the canonical ABI in the form that `wit-bindgen c`
// generates, written by hand.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define ACTOR(name) __attribute__((import_module("wippy:actor/process@0.1.0"), import_name(name)))
#define POLL(name) __attribute__((import_module("wasi:io/poll@0.2.0"), import_name(name)))

typedef struct {
  char *ptr;
  size_t len;
} string_t;

typedef struct {
  string_t format;
  string_t data;
} payload_t;

typedef struct {
  string_t from;
  string_t topic;
  payload_t *payloads;
  size_t payloads_len;
} message_t;

typedef struct {
  uint8_t is_err;
  union {
    uint8_t ok;
    string_t err;
  };
} send_result_t;

typedef struct {
  uint8_t is_err;
  union {
    message_t ok;
    string_t err;
  };
} receive_result_t;

typedef struct {
  uint8_t is_err;
  union {
    struct {
      uint8_t is_some;
      message_t message;
    } ok;
    string_t err;
  };
} try_receive_result_t;

typedef struct {
  uint8_t is_err;
  string_t text;
} text_result_t;

ACTOR("self") void actor_self(string_t *pid);
ACTOR("send")
void actor_send(char *target, size_t target_len, char *topic, size_t topic_len,
                payload_t *payloads, size_t payloads_len, send_result_t *result);
ACTOR("receive") void actor_receive(receive_result_t *result);
ACTOR("try-receive") void actor_try_receive(try_receive_result_t *result);
ACTOR("subscribe") int32_t actor_subscribe(void);
POLL("[method]pollable.block") void pollable_block(int32_t pollable);
POLL("[resource-drop]pollable") void pollable_drop(int32_t pollable);

// The host puts arguments and results into memory that this allocates.
EXPORT("cabi_realloc")
void *cabi_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
  (void)old_size;
  if (new_size == 0) return (void *)align;
  void *grown = realloc(ptr, new_size);
  if (grown == NULL) abort();
  return grown;
}

// Empty ones have no memory of their own.
static void drop_string(string_t text) {
  if (text.len > 0) free(text.ptr);
}

static void drop_message(message_t *message) {
  drop_string(message->from);
  drop_string(message->topic);
  for (size_t i = 0; i < message->payloads_len; i++) {
    drop_string(message->payloads[i].format);
    drop_string(message->payloads[i].data);
  }
  if (message->payloads_len > 0) free(message->payloads);
}

static string_t copy(string_t text) {
  string_t own = {NULL, text.len};
  if (text.len > 0) {
    own.ptr = malloc(text.len);
    if (own.ptr == NULL) abort();
    memcpy(own.ptr, text.ptr, text.len);
  }
  return own;
}

// Sends a message back, or ends with its first payload. False: it is over.
static bool answer(message_t *message, text_result_t *result) {
  bool goes_on = true;
  string_t topic = message->topic;
  if (topic.len == 4 && memcmp(topic.ptr, "stop", 4) == 0) {
    result->is_err = 0;
    string_t none = {NULL, 0};
    result->text = message->payloads_len > 0 ? copy(message->payloads[0].data) : none;
    goes_on = false;
  } else {
    send_result_t sent;
    actor_send(message->from.ptr, message->from.len, topic.ptr, topic.len, message->payloads,
               message->payloads_len, &sent);
    if (sent.is_err) {
      result->is_err = 1;
      result->text = sent.err;
      goes_on = false;
    }
  }
  drop_message(message);
  return goes_on;
}

static text_result_t ended;

static text_result_t *failed(string_t error) {
  ended.is_err = 1;
  ended.text = error;
  return &ended;
}

EXPORT("echo")
text_result_t *echo(void) {
  for (;;) {
    receive_result_t received;
    actor_receive(&received);
    if (received.is_err) return failed(received.err);
    if (!answer(&received.ok, &ended)) return &ended;
  }
}

EXPORT("echo-polled")
text_result_t *echo_polled(void) {
  int32_t pollable = actor_subscribe();
  for (;;) {
    try_receive_result_t received;
    actor_try_receive(&received);
    if (received.is_err) return failed(received.err);
    if (!received.ok.is_some) {
      pollable_block(pollable);
      continue;
    }
    if (!answer(&received.ok.message, &ended)) {
      pollable_drop(pollable);
      return &ended;
    }
  }
}

static string_t text;

EXPORT("send")
string_t *send_one(char *target, size_t target_len, char *topic, size_t topic_len, char *format,
                   size_t format_len, char *data, size_t data_len) {
  payload_t payload = {{format, format_len}, {data, data_len}};
  send_result_t sent;
  actor_send(target, target_len, topic, topic_len, &payload, 1, &sent);
  string_t none = {NULL, 0};
  text = sent.is_err ? sent.err : none;
  return &text;
}

EXPORT("whoami")
string_t *whoami(void) {
  actor_self(&text);
  return &text;
}

EXPORT("try-both")
string_t *try_both(char *ignored, size_t ignored_len) {
  string_t none = {ignored, ignored_len};
  drop_string(none);
  // Ready at once, because what receives fails at once.
  int32_t pollable = actor_subscribe();
  pollable_block(pollable);
  pollable_drop(pollable);
  try_receive_result_t tried;
  actor_try_receive(&tried);
  receive_result_t received;
  actor_receive(&received);
  if (!tried.is_err || !received.is_err) abort();
  text.len = tried.err.len + 1 + received.err.len;
  text.ptr = malloc(text.len);
  if (text.ptr == NULL) abort();
  memcpy(text.ptr, tried.err.ptr, tried.err.len);
  text.ptr[tried.err.len] = '\n';
  memcpy(text.ptr + tried.err.len + 1, received.err.ptr, received.err.len);
  return &text;
}

// Called by the host once it has copied the result.
EXPORT("cabi_post_echo")
void echo_post_return(text_result_t *result) { drop_string(result->text); }

EXPORT("cabi_post_echo-polled")
void echo_polled_post_return(text_result_t *result) { drop_string(result->text); }

EXPORT("cabi_post_send")
void send_post_return(string_t *result) { drop_string(*result); }

EXPORT("cabi_post_whoami")
void whoami_post_return(string_t *result) { drop_string(*result); }

EXPORT("cabi_post_try-both")
void try_both_post_return(string_t *result) { drop_string(*result); }
