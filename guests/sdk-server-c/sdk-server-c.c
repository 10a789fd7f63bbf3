// The store of `sdk-server` in C. In its entry: wit: "run: func() -> result<_, string>;"

#include "wippy.h"

typedef struct text {
  wippy_payload_t name;
  wippy_payload_t value;
  struct text *next;
} text_t;

static text_t *texts;

static text_t *find(wippy_string_t name) {
  text_t *text = texts;
  while (text != NULL && !wippy_string_equal(text->name.data, name)) text = text->next;
  return text;
}

static void serve(wippy_message_t *message) {
  bool put = wippy_topic_is(message, "put") && message->payloads.len == 2;
  bool get = wippy_topic_is(message, "get") && message->payloads.len == 1;
  text_t *text = find(wippy_payload(message, 0));
  // Whoever asked may be gone by now: that is not the store's affair.
  if (!put && !get)
    wippy_reply(message, wippy_text("the store does not understand that"));
  else
    wippy_reply(message, text != NULL ? text->value : wippy_json("null"));
  if (!put) return;
  if (text == NULL) {
    text = calloc(1, sizeof *text);
    if (text == NULL) abort();
    *text = (text_t){.name = wippy_take(message, 0), .next = texts};
    texts = text;
  }
  wippy_payload_free(&text->value);
  text->value = wippy_take(message, 1);
}

WIPPY_EXPORT("run")
wippy_outcome_t *run(void) {
  wippy_error_t error;
  wippy_received_t received;
  if (!wippy_register("store", &error)) return wippy_err(&error);
  while (wippy_next(&received, WIPPY_FOREVER, &error)) {
    bool stop = received.is_event && received.event.kind == WIPPY_CANCEL;
    if (!received.is_event) serve(&received.message);
    wippy_received_free(&received);
    if (stop) return wippy_ok("");
  }
  return wippy_err(&error);
}
