// Actors in C for the Wippy runtime: messages, spawning, links, monitors, names, events, upgrade.
//
// One header, no library. It calls `wippy:actor/process@0.1.0` and `wippy:process/processes@0.1.0`
// through the canonical ABI, and puts their types into the module (wippy_types.h), so that the
// runtime makes a component of what a plain compiler for WebAssembly makes:
//
//     clang --target=wasm32-wasi -mexec-model=reactor -Os -s -I sdk/c actor.c -o actor.wasm
//
// What the module exports is said in the `wit` field of its entry, what it may call in `imports`:
//
//     wit: "run: func(count: s64) -> s64;"
//     imports: [wippy:actor, wippy:process]
//
// Who owns what:
// - What goes in is borrowed: texts and payloads given to a call stay the caller's.
// - What comes out (through a pointer, or from receiving) belongs to the caller, who gives it to
//   its `_free` function once. What a call did not give, because it failed, is zeroed; freeing that
//   does nothing. An error is given only when a call fails, and belongs to the caller, too.
// - NULL may stand for an error that nobody reads.
// - The parameters of an exported function belong to it: texts are freed with `wippy_string_free`.
//
// A text is a pointer and a length, without a zero byte at its end. Where a function takes a
// `const char *`, that is a C string. Times are nanoseconds.

#ifndef WIPPY_H
#define WIPPY_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wippy_types.h"

// --- Values ---------------------------------------------------------------------------------

// A text, or bytes.
typedef struct {
  char *ptr;
  size_t len;
} wippy_string_t;

// One value: `format` is "text", "bytes" or "json".
typedef struct {
  wippy_string_t format;
  wippy_string_t data;
} wippy_payload_t;

typedef struct {
  wippy_payload_t *ptr;
  size_t len;
} wippy_payloads_t;

// One message. `from` is where a reply goes; it is empty when no process sent it.
typedef struct {
  wippy_string_t from;
  wippy_string_t topic;
  wippy_payloads_t payloads;
} wippy_message_t;

// What kind of error it is; the same in Lua, HTTP and the log.
typedef enum {
  WIPPY_NOT_FOUND,
  WIPPY_ALREADY_EXISTS,
  WIPPY_INVALID,
  WIPPY_PERMISSION_DENIED,
  WIPPY_UNAVAILABLE,
  WIPPY_INTERNAL,
  WIPPY_CANCELED,
  WIPPY_CONFLICT,
  WIPPY_TIMEOUT,
  WIPPY_RATE_LIMITED,
  WIPPY_RESOURCE_EXHAUSTED,
  // Of calls of `wippy:actor`, which give a text alone.
  WIPPY_UNKNOWN,
} wippy_kind_t;

typedef struct {
  uint8_t is_some;
  wippy_string_t value;
} wippy_optional_string_t;

typedef struct {
  uint8_t kind;  // wippy_kind_t
  wippy_string_t message;
  struct {
    uint8_t is_some;
    uint8_t value;
  } retryable;
  wippy_optional_string_t details;  // as JSON
} wippy_error_t;

// How a process ended: its value, or what went wrong.
typedef struct {
  wippy_string_t from;
  uint64_t at;  // nanoseconds since 1970
  struct {
    uint8_t is_err;
    union {
      wippy_payload_t value;
      wippy_error_t error;
    };
  } outcome;
} wippy_ended_t;

// Somebody asks this process to end.
typedef struct {
  wippy_string_t from;
  uint64_t at;
  wippy_optional_string_t reason;
  uint64_t deadline;  // when it is ended if it has not ended itself
} wippy_cancellation_t;

typedef enum {
  WIPPY_EXIT,       // a monitored process has ended: `ended`
  WIPPY_LINK_DOWN,  // a linked process has ended badly, and this one traps links: `ended`
  WIPPY_CANCEL,     // somebody asks this process to end: `cancellation`
  WIPPY_OUTDATED,   // a newer version of its entry is there
} wippy_event_kind_t;

typedef struct {
  uint8_t kind;  // wippy_event_kind_t
  union {
    wippy_ended_t ended;
    wippy_cancellation_t cancellation;
  };
} wippy_event_t;

// A message or an event.
typedef struct {
  uint8_t is_event;
  union {
    wippy_message_t message;
    wippy_event_t event;
  };
} wippy_received_t;

// Something to wait for with `wippy_poll`.
typedef int32_t wippy_pollable_t;

// Without an end.
#define WIPPY_FOREVER UINT64_MAX
#define WIPPY_MILLISECOND UINT64_C(1000000)
#define WIPPY_SECOND UINT64_C(1000000000)

// Exports a function under a name of the entry's `wit`.
#define WIPPY_EXPORT(name) __attribute__((export_name(name)))

// --- Imports, as the canonical ABI has them ---------------------------------------------------

#define WIPPY_IMPORT_(module, name) \
  __attribute__((import_module(module), import_name(name))) extern
#define WIPPY_ACTOR_(name) WIPPY_IMPORT_("wippy:actor/process@0.1.0", name)
#define WIPPY_PROCESS_(name) WIPPY_IMPORT_("wippy:process/processes@0.1.0", name)
#define WIPPY_POLL_(name) WIPPY_IMPORT_("wasi:io/poll@0.2.0", name)

// What results look like in memory; on a 32-bit machine C lays these out as the ABI does.
typedef struct {
  uint8_t is_err;
  wippy_string_t error;
} wippy_actor_result_;

typedef struct {
  uint8_t is_err;
  wippy_error_t error;
} wippy_result_;

typedef struct {
  uint8_t is_err;
  union {
    wippy_string_t ok;
    wippy_error_t error;
  };
} wippy_string_result_;

typedef struct {
  uint8_t is_err;
  union {
    wippy_message_t ok;
    wippy_error_t error;
  };
} wippy_message_result_;

typedef struct {
  wippy_string_t topic;
  wippy_payloads_t payloads;
} wippy_first_message_t;

WIPPY_ACTOR_("self") void wippy_actor_self_(wippy_string_t *);
WIPPY_ACTOR_("send")
void wippy_actor_send_(const char *, size_t, const char *, size_t, const wippy_payload_t *, size_t,
                       wippy_actor_result_ *);
WIPPY_ACTOR_("receive") void wippy_actor_receive_(void *);
WIPPY_ACTOR_("try-receive") void wippy_actor_try_receive_(void *);
WIPPY_ACTOR_("subscribe") int32_t wippy_actor_subscribe_(void);
WIPPY_PROCESS_("spawn-with")
void wippy_process_spawn_(const char *, size_t, const wippy_payload_t *, size_t, int32_t,
                          const char *, size_t, int32_t, const char *, size_t,
                          const wippy_first_message_t *, size_t, int32_t, int32_t,
                          wippy_string_result_ *);
WIPPY_PROCESS_("exec")
void wippy_process_exec_(const char *, size_t, int32_t, const char *, size_t,
                         const wippy_payload_t *, size_t, void *);
WIPPY_PROCESS_("monitor") void wippy_process_monitor_(const char *, size_t, wippy_result_ *);
WIPPY_PROCESS_("unmonitor") void wippy_process_unmonitor_(const char *, size_t, wippy_result_ *);
WIPPY_PROCESS_("link") void wippy_process_link_(const char *, size_t, wippy_result_ *);
WIPPY_PROCESS_("unlink") void wippy_process_unlink_(const char *, size_t, wippy_result_ *);
WIPPY_PROCESS_("cancel")
void wippy_process_cancel_(const char *, size_t, int32_t, uint64_t, int32_t, const char *, size_t,
                           wippy_result_ *);
WIPPY_PROCESS_("terminate") void wippy_process_terminate_(const char *, size_t, wippy_result_ *);
WIPPY_PROCESS_("register") void wippy_process_register_(const char *, size_t, wippy_result_ *);
WIPPY_PROCESS_("unregister") void wippy_process_unregister_(const char *, size_t, wippy_result_ *);
WIPPY_PROCESS_("lookup") void wippy_process_lookup_(const char *, size_t, wippy_string_result_ *);
WIPPY_PROCESS_("get-options") void wippy_process_get_options_(uint8_t *);
WIPPY_PROCESS_("set-options") void wippy_process_set_options_(int32_t, int32_t, wippy_result_ *);
WIPPY_PROCESS_("receive-event") void wippy_process_receive_event_(int32_t, uint64_t, void *);
WIPPY_PROCESS_("receive") void wippy_process_receive_(int32_t, uint64_t, void *);
WIPPY_PROCESS_("subscribe-events") int32_t wippy_process_subscribe_events_(void);
WIPPY_PROCESS_("call")
void wippy_process_call_(const char *, size_t, const char *, size_t, const wippy_payload_t *,
                         size_t, int32_t, uint64_t, wippy_message_result_ *);
WIPPY_PROCESS_("upgrade")
void wippy_process_upgrade_(int32_t, const char *, size_t, const wippy_payload_t *, size_t,
                            wippy_result_ *);
WIPPY_POLL_("poll") void wippy_poll_(const wippy_pollable_t *, size_t, wippy_string_t *);
WIPPY_POLL_("[resource-drop]pollable") void wippy_pollable_drop_(wippy_pollable_t);

// The host puts what it gives into memory that this allocates. Several files of one program may
// include this header: they share it.
__attribute__((weak, export_name("cabi_realloc"))) void *cabi_realloc(void *ptr, size_t old_size,
                                                                      size_t align, size_t size) {
  (void)old_size;
  if (size == 0) return (void *)align;
  void *grown = realloc(ptr, size);
  if (grown == NULL) abort();
  return grown;
}

// --- Texts and payloads -----------------------------------------------------------------------

// Gives the memory of a text back. Empty ones have none.
static inline void wippy_string_free(wippy_string_t *text) {
  if (text->len > 0) free(text->ptr);
  *text = (wippy_string_t){0};
}

// Whether two texts are the same.
static inline bool wippy_string_equal(wippy_string_t text, wippy_string_t other) {
  return text.len == other.len && (text.len == 0 || memcmp(text.ptr, other.ptr, text.len) == 0);
}

// Whether a text is this C string.
static inline bool wippy_string_is(wippy_string_t text, const char *other) {
  return wippy_string_equal(text, (wippy_string_t){(char *)other, strlen(other)});
}

// A copy as a C string, which `free` gives back.
static inline char *wippy_string_copy(wippy_string_t text) {
  char *copy = malloc(text.len + 1);
  if (copy == NULL) abort();
  if (text.len > 0) memcpy(copy, text.ptr, text.len);
  copy[text.len] = '\0';
  return copy;
}

// A copy of a C string that can be given back as a result, or freed.
static inline wippy_string_t wippy_string(const char *text) {
  wippy_string_t copy = {NULL, strlen(text)};
  if (copy.len > 0) {
    copy.ptr = malloc(copy.len);
    if (copy.ptr == NULL) abort();
    memcpy(copy.ptr, text, copy.len);
  }
  return copy;
}

// The C string itself, borrowed: never freed.
static inline wippy_string_t wippy_borrow(const char *text) {
  return (wippy_string_t){(char *)text, strlen(text)};
}

// A payload of a text that stays the caller's.
static inline wippy_payload_t wippy_text(const char *text) {
  return (wippy_payload_t){wippy_borrow("text"), wippy_borrow(text)};
}

// A payload of JSON, as it is written. It stays the caller's.
static inline wippy_payload_t wippy_json(const char *json) {
  return (wippy_payload_t){wippy_borrow("json"), wippy_borrow(json)};
}

// A payload of bytes that stay the caller's.
static inline wippy_payload_t wippy_bytes(const void *bytes, size_t len) {
  return (wippy_payload_t){wippy_borrow("bytes"), {(char *)bytes, len}};
}

static inline void wippy_payload_free(wippy_payload_t *payload) {
  wippy_string_free(&payload->format);
  wippy_string_free(&payload->data);
}

static inline void wippy_payloads_free(wippy_payloads_t *payloads) {
  for (size_t i = 0; i < payloads->len; i++) wippy_payload_free(&payloads->ptr[i]);
  if (payloads->len > 0) free(payloads->ptr);
  *payloads = (wippy_payloads_t){0};
}

static inline void wippy_message_free(wippy_message_t *message) {
  wippy_string_free(&message->from);
  wippy_string_free(&message->topic);
  wippy_payloads_free(&message->payloads);
}

static inline void wippy_error_free(wippy_error_t *error) {
  wippy_string_free(&error->message);
  if (error->details.is_some) wippy_string_free(&error->details.value);
  *error = (wippy_error_t){0};
}

static inline void wippy_event_free(wippy_event_t *event) {
  switch (event->kind) {
    case WIPPY_EXIT:
    case WIPPY_LINK_DOWN:
      wippy_string_free(&event->ended.from);
      if (event->ended.outcome.is_err)
        wippy_error_free(&event->ended.outcome.error);
      else
        wippy_payload_free(&event->ended.outcome.value);
      break;
    case WIPPY_CANCEL:
      wippy_string_free(&event->cancellation.from);
      if (event->cancellation.reason.is_some)
        wippy_string_free(&event->cancellation.reason.value);
      break;
    default:
      break;
  }
  *event = (wippy_event_t){.kind = WIPPY_OUTDATED};
}

static inline void wippy_received_free(wippy_received_t *received) {
  if (received->is_event)
    wippy_event_free(&received->event);
  else
    wippy_message_free(&received->message);
}

// Whether a message is about this.
static inline bool wippy_topic_is(const wippy_message_t *message, const char *topic) {
  return wippy_string_is(message->topic, topic);
}

// The data of a message's payload, borrowed from it; an empty text when it has no such.
static inline wippy_string_t wippy_payload(const wippy_message_t *message, size_t index) {
  return index < message->payloads.len ? message->payloads.ptr[index].data : (wippy_string_t){0};
}

// Takes a payload out of a message: it is the caller's then, and no longer freed with the message.
static inline wippy_payload_t wippy_take(wippy_message_t *message, size_t index) {
  if (index >= message->payloads.len) return (wippy_payload_t){0};
  wippy_payload_t taken = message->payloads.ptr[index];
  message->payloads.ptr[index] = (wippy_payload_t){0};
  return taken;
}

// A payload of a message as a whole number: whether it is one, in decimal digits, that fits.
static inline bool wippy_integer(const wippy_message_t *message, size_t index, int64_t *number) {
  wippy_string_t payload = wippy_payload(message, index);
  char *text = wippy_string_copy(payload), *end;
  errno = 0;
  *number = strtoll(text, &end, 10);
  // strtoll skips leading space and stops at a zero byte.
  bool whole = text[0] > ' ' && end == text + payload.len && errno == 0;
  free(text);
  return whole;
}

// --- Errors -----------------------------------------------------------------------------------

// Hands an error on, or gives it back where nobody reads it. False, for `return`.
static inline bool wippy_fail_(wippy_error_t *to, wippy_error_t error) {
  if (to != NULL)
    *to = error;
  else
    wippy_error_free(&error);
  return false;
}

static inline bool wippy_fail_text_(wippy_error_t *to, wippy_string_t message) {
  return wippy_fail_(to, (wippy_error_t){.kind = WIPPY_UNKNOWN, .message = message});
}

static inline bool wippy_done_(wippy_error_t *to, wippy_result_ *result) {
  return result->is_err ? wippy_fail_(to, result->error) : true;
}

static inline bool wippy_gives_(wippy_error_t *to, wippy_string_result_ *result,
                                wippy_string_t *value) {
  if (value != NULL) *value = (wippy_string_t){0};
  if (result->is_err) return wippy_fail_(to, result->error);
  if (value != NULL)
    *value = result->ok;
  else
    wippy_string_free(&result->ok);
  return true;
}

// What a method gives back that `wit` has as result<_, string> or result<string, string>. The host
// copies it; it is there until the next one is made.
typedef struct {
  uint8_t is_err;
  wippy_string_t value;
} wippy_outcome_t;

static inline wippy_outcome_t *wippy_outcome_(uint8_t is_err, wippy_string_t value) {
  static wippy_outcome_t outcome;
  wippy_string_free(&outcome.value);
  outcome = (wippy_outcome_t){is_err, value};
  return &outcome;
}

// The method went well, with this text (copied) where it has one: `return wippy_ok("");`
static inline wippy_outcome_t *wippy_ok(const char *text) {
  return wippy_outcome_(0, wippy_string(text));
}

// The method failed: `return wippy_err(&error);` takes the text of an error, which need not be
// freed then.
static inline wippy_outcome_t *wippy_err(wippy_error_t *error) {
  wippy_string_t message = error->message;
  error->message = (wippy_string_t){0};
  wippy_error_free(error);
  return wippy_outcome_(1, message);
}

// --- Messages: `imports: [wippy:actor]` -------------------------------------------------------

// The PID of this process.
static inline wippy_string_t wippy_self(void) {
  wippy_string_t pid;
  wippy_actor_self_(&pid);
  return pid;
}

// Sends a message to a PID or a registered name. It never waits: the message is in the
// destination's mailbox, or false.
static inline bool wippy_send_to(wippy_string_t to, wippy_string_t topic,
                                 const wippy_payload_t *payloads, size_t len,
                                 wippy_error_t *error) {
  wippy_actor_result_ result;
  wippy_actor_send_(to.ptr, to.len, topic.ptr, topic.len, payloads, len, &result);
  return result.is_err ? wippy_fail_text_(error, result.error) : true;
}

// The same with C strings.
static inline bool wippy_send(const char *to, const char *topic, const wippy_payload_t *payloads,
                              size_t len, wippy_error_t *error) {
  return wippy_send_to(wippy_borrow(to), wippy_borrow(topic), payloads, len, error);
}

// Answers whoever sent a message, under its topic. False when nobody waits any more.
static inline bool wippy_reply(const wippy_message_t *message, wippy_payload_t payload) {
  return wippy_send_to(message->from, message->topic, &payload, 1, NULL);
}

// The same, with a whole number.
static inline bool wippy_reply_integer(const wippy_message_t *message, int64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)number);
  return wippy_reply(message, wippy_json(text));
}

// The next message; waits for it. Events wait meanwhile.
static inline bool wippy_receive(wippy_message_t *message, wippy_error_t *error) {
  struct {
    uint8_t is_err;
    union {
      wippy_message_t ok;
      wippy_string_t error;
    };
  } result;
  wippy_actor_receive_(&result);
  *message = (wippy_message_t){0};
  if (result.is_err) return wippy_fail_text_(error, result.error);
  *message = result.ok;
  return true;
}

// The next message, if one waits; true where there is one.
static inline bool wippy_try_receive(wippy_message_t *message, wippy_error_t *error) {
  struct {
    uint8_t is_err;
    union {
      struct {
        uint8_t is_some;
        wippy_message_t message;
      } ok;
      wippy_string_t error;
    };
  } result;
  wippy_actor_try_receive_(&result);
  *message = (wippy_message_t){0};
  if (error != NULL) *error = (wippy_error_t){0};
  if (result.is_err) return wippy_fail_text_(error, result.error);
  if (result.ok.is_some) *message = result.ok.message;
  return result.ok.is_some;
}

// Ready while a message waits. Dropped with `wippy_pollable_drop`.
static inline wippy_pollable_t wippy_subscribe(void) { return wippy_actor_subscribe_(); }

// Waits until one of these is ready, and sets `ready` for each that is. Pollables of WASI (timers,
// sockets, streams) may be among them.
static inline void wippy_poll(const wippy_pollable_t *pollables, size_t len, bool *ready) {
  wippy_string_t found;
  wippy_poll_(pollables, len, &found);
  const uint32_t *indices = (const uint32_t *)(void *)found.ptr;
  for (size_t i = 0; i < len; i++) ready[i] = false;
  for (size_t i = 0; i < found.len; i++) ready[indices[i]] = true;
  if (found.len > 0) free(found.ptr);
}

static inline void wippy_pollable_drop(wippy_pollable_t pollable) {
  wippy_pollable_drop_(pollable);
}

// --- Processes: `imports: [wippy:process]` ----------------------------------------------------

// How a process is started. Zeroes are the defaults.
typedef struct {
  const char *host;  // NULL: `meta.default_host` of the entry, else the host of this process
  const char *name;  // a name that it has before any of its code runs
  const wippy_first_message_t *messages;  // that wait in its mailbox before any of its code runs
  size_t messages_len;
  bool monitor;  // its exit comes as an event
  bool link;     // the two are linked
} wippy_spawn_t;

// Starts a process of an entry, `namespace:name`. `pid` may be NULL.
static inline bool wippy_spawn_with(const char *entry, const wippy_payload_t *args, size_t len,
                                    wippy_spawn_t how, wippy_string_t *pid, wippy_error_t *error) {
  wippy_string_result_ result;
  wippy_process_spawn_(entry, strlen(entry), args, len, how.host != NULL, how.host,
                       how.host != NULL ? strlen(how.host) : 0, how.name != NULL, how.name,
                       how.name != NULL ? strlen(how.name) : 0, how.messages, how.messages_len,
                       how.monitor, how.link, &result);
  return wippy_gives_(error, &result, pid);
}

// Starts a process that nobody watches.
static inline bool wippy_spawn(const char *entry, const wippy_payload_t *args, size_t len,
                               wippy_string_t *pid, wippy_error_t *error) {
  return wippy_spawn_with(entry, args, len, (wippy_spawn_t){0}, pid, error);
}

// Starts a process whose exit comes as an event.
static inline bool wippy_spawn_monitored(const char *entry, const wippy_payload_t *args,
                                         size_t len, wippy_string_t *pid, wippy_error_t *error) {
  return wippy_spawn_with(entry, args, len, (wippy_spawn_t){.monitor = true}, pid, error);
}

// Starts a process that is linked to this one.
static inline bool wippy_spawn_linked(const char *entry, const wippy_payload_t *args, size_t len,
                                      wippy_string_t *pid, wippy_error_t *error) {
  return wippy_spawn_with(entry, args, len, (wippy_spawn_t){.link = true}, pid, error);
}

// Starts a process and waits for its end: its value. `host` may be NULL.
static inline bool wippy_exec(const char *entry, const char *host, const wippy_payload_t *args,
                              size_t len, wippy_payload_t *value, wippy_error_t *error) {
  struct {
    uint8_t is_err;
    union {
      wippy_payload_t ok;
      wippy_error_t error;
    };
  } result;
  wippy_process_exec_(entry, strlen(entry), host != NULL, host, host != NULL ? strlen(host) : 0,
                      args, len, &result);
  *value = (wippy_payload_t){0};
  if (result.is_err) return wippy_fail_(error, result.error);
  *value = result.ok;
  return true;
}

// Hears of a process's exit as an event, once for each call; of one that is gone at once.
static inline bool wippy_monitor(const char *target, wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_monitor_(target, strlen(target), &result);
  return wippy_done_(error, &result);
}

// Takes all of this process's monitors on another one back.
static inline bool wippy_unmonitor(const char *target, wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_unmonitor_(target, strlen(target), &result);
  return wippy_done_(error, &result);
}

// When one of the two ends badly the other ends, too, or hears of it if it traps links.
static inline bool wippy_link(const char *target, wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_link_(target, strlen(target), &result);
  return wippy_done_(error, &result);
}

// Takes a link back, on both sides.
static inline bool wippy_unlink(const char *target, wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_unlink_(target, strlen(target), &result);
  return wippy_done_(error, &result);
}

// Asks a process to end, and ends it after `within` (WIPPY_FOREVER: the `stop_timeout` of its
// host). `reason` may be NULL.
static inline bool wippy_cancel(const char *target, uint64_t within, const char *reason,
                                wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_cancel_(target, strlen(target), within != WIPPY_FOREVER, within, reason != NULL,
                        reason, reason != NULL ? strlen(reason) : 0, &result);
  return wippy_done_(error, &result);
}

// Ends a process now.
static inline bool wippy_terminate(const char *target, wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_terminate_(target, strlen(target), &result);
  return wippy_done_(error, &result);
}

// Gives this process a name, until it ends.
static inline bool wippy_register(const char *name, wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_register_(name, strlen(name), &result);
  return wippy_done_(error, &result);
}

// Takes a name of this process back.
static inline bool wippy_unregister(const char *name, wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_unregister_(name, strlen(name), &result);
  return wippy_done_(error, &result);
}

// The PID of who has a name.
static inline bool wippy_lookup(const char *name, wippy_string_t *pid, wippy_error_t *error) {
  wippy_string_result_ result;
  wippy_process_lookup_(name, strlen(name), &result);
  return wippy_gives_(error, &result, pid);
}

// Whether the bad end of a linked process comes as an event and does not end this one.
static inline bool wippy_trap_links(bool trap, wippy_error_t *error) {
  uint8_t options[2];
  wippy_result_ result;
  wippy_process_get_options_(options);
  wippy_process_set_options_(trap, options[1], &result);
  return wippy_done_(error, &result);
}

// Whether this process hears of newer versions of its entry.
static inline bool wippy_upgradable(bool upgradable, wippy_error_t *error) {
  uint8_t options[2];
  wippy_result_ result;
  wippy_process_get_options_(options);
  wippy_process_set_options_(options[0], upgradable, &result);
  return wippy_done_(error, &result);
}

// The next message or event, in order of arrival. False when the time has passed, with a zeroed
// error, and in a function, which has no mailbox.
static inline bool wippy_next(wippy_received_t *received, uint64_t timeout, wippy_error_t *error) {
  struct {
    uint8_t is_err;
    union {
      struct {
        uint8_t is_some;
        wippy_received_t value;
      } ok;
      wippy_error_t error;
    };
  } result;
  wippy_process_receive_(timeout != WIPPY_FOREVER, timeout, &result);
  *received = (wippy_received_t){0};
  if (error != NULL) *error = (wippy_error_t){0};
  if (result.is_err) return wippy_fail_(error, result.error);
  if (result.ok.is_some) *received = result.ok.value;
  return result.ok.is_some;
}

// The next event; messages stay in the mailbox. False as with `wippy_next`.
static inline bool wippy_next_event(wippy_event_t *event, uint64_t timeout, wippy_error_t *error) {
  struct {
    uint8_t is_err;
    union {
      struct {
        uint8_t is_some;
        wippy_event_t value;
      } ok;
      wippy_error_t error;
    };
  } result;
  wippy_process_receive_event_(timeout != WIPPY_FOREVER, timeout, &result);
  *event = (wippy_event_t){.kind = WIPPY_OUTDATED};
  if (error != NULL) *error = (wippy_error_t){0};
  if (result.is_err) return wippy_fail_(error, result.error);
  if (result.ok.is_some) *event = result.ok.value;
  return result.ok.is_some;
}

// Ready while an event waits. Dropped with `wippy_pollable_drop`.
static inline wippy_pollable_t wippy_subscribe_events(void) {
  return wippy_process_subscribe_events_();
}

// Sends a message and waits for the reply; 0 as the timeout is 5 s.
static inline bool wippy_call(const char *to, const char *topic, const wippy_payload_t *payloads,
                              size_t len, uint64_t timeout, wippy_message_t *reply,
                              wippy_error_t *error) {
  wippy_message_result_ result;
  wippy_process_call_(to, strlen(to), topic, strlen(topic), payloads, len, timeout != 0, timeout,
                      &result);
  *reply = (wippy_message_t){0};
  if (result.is_err) return wippy_fail_(error, result.error);
  *reply = result.ok;
  return true;
}

// Goes on as a new instance of the newest version of this process's entry, or of another one
// (`entry` not NULL), with the same PID, mailbox, names and links. The state that is handed over
// are the arguments of its method. Returns only where it is refused: false.
static inline bool wippy_upgrade(const char *entry, const wippy_payload_t *state, size_t len,
                                 wippy_error_t *error) {
  wippy_result_ result;
  wippy_process_upgrade_(entry != NULL, entry, entry != NULL ? strlen(entry) : 0, state, len,
                         &result);
  return wippy_done_(error, &result);
}

#endif
