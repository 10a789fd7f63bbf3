//! A supervisor of two workers. `square` answers with squares, and a number that it cannot
//! square makes it panic; `echo` goes on as if nothing had happened.

use std::time::Duration;

use wippy::{Next, Spawn, Strategy, Supervisor};

wippy::world!(
    "package sdk:supervisor; world supervisor {
    export run: func() -> result<_, string>;
    export echo: func() -> result<_, string>;
    export square: func() -> result<_, string>;
}"
);

struct Tree;

impl Guest for Tree {
    fn run() -> Result<(), String> {
        Supervisor::new(Strategy::OneForOne)
            .restarts(3, Duration::from_secs(10))
            .child(Spawn::new("echo").name("echo"))
            .child(Spawn::new("square").name("square"))
            .run()?;
        Ok(())
    }

    fn echo() -> Result<(), String> {
        wippy::serve(|message| {
            message.reply(message.payloads().to_vec()).ok();
            Ok(Next::Continue)
        })?;
        Ok(())
    }

    fn square() -> Result<(), String> {
        wippy::serve(|message| {
            let number: i32 = message.parse()?;
            message.reply(number.checked_mul(number).expect("the square is too large")).ok();
            Ok(Next::Continue)
        })?;
        Ok(())
    }
}

export!(Tree);
