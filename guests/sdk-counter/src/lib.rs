//! A counter: `add` adds, `get` asks, `stop` ends it, and its count is the value of its exit.

use wippy::Next;

wippy::world!(
    "package sdk:counter; world counter { export run: func(count: s64) -> result<s64, string>; }"
);

struct Counter;

impl Guest for Counter {
    fn run(mut count: i64) -> Result<i64, String> {
        wippy::serve(|message| {
            match message.topic() {
                "add" => count += message.parse::<i64>()?,
                "get" => message.reply(count)?,
                "stop" => return Ok(Next::Stop),
                other => eprintln!("the counter knows no {other}"),
            }
            Ok(Next::Continue)
        })?;
        Ok(count)
    }
}

export!(Counter);
