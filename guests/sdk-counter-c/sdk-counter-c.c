// The counter of `sdk-counter` in C. In its entry: wit: "run: func(count: s64) -> s64;"

#include "wippy.h"

WIPPY_EXPORT("run")
int64_t run(int64_t count) {
  wippy_message_t message;
  int64_t number;
  while (wippy_receive(&message, NULL) && !wippy_topic_is(&message, "stop")) {
    if (wippy_topic_is(&message, "add") && wippy_integer(&message, 0, &number))
      count += number;
    else if (wippy_topic_is(&message, "get"))
      wippy_reply_integer(&message, count);
    wippy_message_free(&message);
  }
  wippy_message_free(&message);
  return count;
}
