// Calls what is in wippy.h and in none of the other guests, and tells the first thing that is not
// as it should be. Its `child` is that of `sdk-probe`. In its entry:
// wit: "run: func() -> result<string, string>; upgraded: func(count: u32) -> result<string, string>;"

#include "wippy.h"

#define CHECK(what)                                                          \
  do {                                                                       \
    if (!(what)) return fail(__LINE__, #what);                               \
  } while (0)

static wippy_error_t error;

static wippy_outcome_t *fail(int line, const char *what) {
  char text[256];
  wippy_string_t message = error.message;
  snprintf(text, sizeof text, "line %d: not so: %s (%.*s)", line, what, (int)message.len, message.ptr);
  error = (wippy_error_t){.message = wippy_string(text)};
  return wippy_err(&error);
}

static bool failed_with(wippy_kind_t kind) {
  bool same = error.kind == kind && error.message.len > 0;
  wippy_error_free(&error);
  return same;
}

// The next event is the exit of this process, with this value (NULL: an error of this kind).
static bool exits(wippy_string_t pid, const char *value, wippy_kind_t kind) {
  wippy_event_t event;
  if (!wippy_next_event(&event, 5 * WIPPY_SECOND, NULL)) return false;
  bool same = event.kind == WIPPY_EXIT && wippy_string_equal(event.ended.from, pid) && event.ended.at > 0;
  if (event.ended.outcome.is_err)
    same = same && value == NULL && event.ended.outcome.error.kind == kind;
  else
    same = same && value != NULL && wippy_string_is(event.ended.outcome.value.data, value);
  wippy_event_free(&event);
  return same;
}

static wippy_outcome_t *messages(void) {
  wippy_string_t own = wippy_self();
  char *self = wippy_string_copy(own);
  wippy_message_t message;
  int64_t number;
  CHECK(!wippy_try_receive(&message, &error) && error.message.len == 0);
  wippy_payload_t all[] = {wippy_text("text"), wippy_json("[1, 2]"), wippy_bytes("\0\xff", 2), wippy_json("-5")};
  CHECK(wippy_send(self, "all", all, 4, &error));
  wippy_pollable_t pollables[] = {wippy_subscribe_events(), wippy_subscribe()};
  bool ready[2];
  wippy_poll(pollables, 2, ready);
  CHECK(!ready[0] && ready[1]);
  wippy_pollable_drop(pollables[0]);
  wippy_pollable_drop(pollables[1]);
  CHECK(wippy_try_receive(&message, &error));
  CHECK(wippy_topic_is(&message, "all") && message.payloads.len == 4);
  CHECK(wippy_string_equal(message.from, own));
  CHECK(wippy_string_is(message.payloads.ptr[0].format, "text"));
  CHECK(wippy_string_is(message.payloads.ptr[1].format, "json"));
  CHECK(wippy_string_is(message.payloads.ptr[2].format, "bytes"));
  CHECK(wippy_payload(&message, 2).len == 2 && wippy_payload(&message, 9).len == 0);
  CHECK(wippy_integer(&message, 3, &number) && number == -5);
  CHECK(!wippy_integer(&message, 0, &number));
  wippy_message_free(&message);
  wippy_payload_t numbers[] = {
      wippy_text("9223372036854775807"), wippy_text("9223372036854775808"), wippy_text(" 5"), wippy_text("5 "),
      wippy_text(""), wippy_text("-"),
  };
  CHECK(wippy_send(self, "numbers", numbers, 6, &error) && wippy_receive(&message, &error));
  CHECK(wippy_integer(&message, 0, &number) && number == INT64_MAX);
  for (size_t index = 1; index < 7; index++) CHECK(!wippy_integer(&message, index, &number));
  wippy_message_free(&message);
  CHECK(!wippy_send("nobody", "a", NULL, 0, &error) && failed_with(WIPPY_UNKNOWN));
  CHECK(!wippy_call("nobody", "a", NULL, 0, 0, &message, &error) && failed_with(WIPPY_NOT_FOUND));
  CHECK(!wippy_call(self, "a", NULL, 0, 5 * WIPPY_MILLISECOND, &message, &error) && failed_with(WIPPY_TIMEOUT));
  CHECK(wippy_receive(&message, &error) && !wippy_reply(&message, wippy_text("late")));
  wippy_message_free(&message);
  wippy_string_free(&own);
  free(self);
  return NULL;
}

static wippy_outcome_t *processes(void) {
  wippy_payload_t value, wait = wippy_text("wait"), first = wippy_text("first");
  wippy_string_t pid;
  wippy_received_t received;
  wippy_event_t event;
  CHECK(wippy_exec("app:child", "app:processes", &(wippy_payload_t){{"text", 4}, {"value", 5}}, 1, &value, &error));
  CHECK(wippy_string_is(value.data, "value"));
  wippy_payload_free(&value);
  CHECK(!wippy_exec("app:nobody", NULL, NULL, 0, &value, &error) && failed_with(WIPPY_NOT_FOUND));

  wippy_payload_t text = wippy_text("the first");
  wippy_first_message_t message = {wippy_borrow("m"), {&text, 1}};
  wippy_spawn_t how = {.host = "app:processes", .name = "first", .messages = &message, .messages_len = 1, .monitor = true};
  CHECK(wippy_spawn_with("app:child", &first, 1, how, &pid, &error));
  CHECK(exits(pid, "the first", 0));
  wippy_string_free(&pid);

  CHECK(wippy_register("held", &error) && wippy_lookup("held", &pid, &error));
  wippy_string_t own = wippy_self();
  CHECK(wippy_string_equal(pid, own));
  wippy_string_free(&pid);
  wippy_string_free(&own);
  CHECK(wippy_unregister("held", &error));
  CHECK(!wippy_lookup("held", &pid, &error) && failed_with(WIPPY_NOT_FOUND));

  CHECK(wippy_trap_links(true, &error) && wippy_upgradable(true, &error) && wippy_upgradable(false, &error));
  wippy_payload_t fails = wippy_text("fail");
  CHECK(wippy_spawn_linked("app:child", &fails, 1, &pid, &error));
  CHECK(wippy_next(&received, 5 * WIPPY_SECOND, &error) && received.is_event);
  CHECK(received.event.kind == WIPPY_LINK_DOWN && received.event.ended.outcome.is_err);
  wippy_received_free(&received);
  wippy_string_free(&pid);
  CHECK(!wippy_next(&received, 0, &error) && error.message.len == 0);

  CHECK(wippy_spawn("app:child", &wait, 1, &pid, &error));
  char *target = wippy_string_copy(pid);
  CHECK(wippy_link(target, &error) && wippy_unlink(target, &error));
  CHECK(wippy_monitor(target, &error) && wippy_unmonitor(target, &error) && wippy_terminate(target, &error));
  CHECK(!wippy_next_event(&event, 20 * WIPPY_MILLISECOND, &error) && error.message.len == 0);
  CHECK(!wippy_terminate(target, &error) && failed_with(WIPPY_NOT_FOUND));
  free(target);
  wippy_string_free(&pid);

  CHECK(wippy_spawn_monitored("app:child", &wait, 1, &pid, &error));
  target = wippy_string_copy(pid);
  CHECK(wippy_cancel(target, 5 * WIPPY_MILLISECOND, "stay", &error) && exits(pid, NULL, WIPPY_CANCELED));
  free(target);
  wippy_string_free(&pid);
  return NULL;
}

WIPPY_EXPORT("run")
wippy_outcome_t *run(void) {
  wippy_outcome_t *wrong = messages();
  if (wrong == NULL) wrong = processes();
  if (wrong != NULL) return wrong;
  wippy_payload_t count = wippy_json("7");
  wippy_register("probe", NULL);
  wippy_upgrade("app:upgraded-c", &count, 1, &error);
  return wippy_err(&error);
}

WIPPY_EXPORT("upgraded")
wippy_outcome_t *upgraded(uint32_t count) {
  wippy_string_t pid;
  char text[32];
  CHECK(wippy_lookup("probe", &pid, &error));
  snprintf(text, sizeof text, "all is well, %u", (unsigned)count);
  return wippy_ok(text);
}
