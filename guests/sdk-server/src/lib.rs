//! A store of texts by name: `put` and `get` are answered, under the name `store`.

use std::collections::BTreeMap;

use wippy::{Actor, Message, Next, Payload};

wippy::world!("package sdk:server; world server { export run: func() -> result<_, string>; }");

#[derive(Default)]
struct Store {
    texts: BTreeMap<String, Payload>,
}

impl Actor for Store {
    fn on_message(&mut self, message: Message) -> wippy::Result<Next> {
        let answer = match (message.topic(), message.payloads()) {
            ("put", [name, text]) => {
                let old = self.texts.insert(name.parse()?, text.clone());
                old.unwrap_or(().into())
            }
            ("get", [name]) => {
                let text = self.texts.get(&name.parse::<String>()?);
                text.cloned().unwrap_or(().into())
            }
            _ => Payload::text("the store does not understand that"),
        };
        // Whoever asked may be gone by now: that is not the store's affair.
        message.reply(answer).ok();
        Ok(Next::Continue)
    }
}

impl Guest for Store {
    fn run() -> Result<(), String> {
        wippy::register("store")?;
        wippy::run(&mut Store::default())?;
        Ok(())
    }
}

export!(Store);
