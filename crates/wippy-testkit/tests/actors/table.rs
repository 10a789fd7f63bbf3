//! The behaviours, and the entries that they meet.
//!
//! A behaviour is a function without arguments that fails with what went wrong, or returns
//! `done`. In Lua its name is written as here, in WIT with dashes. All that they meet is in the
//! namespace `test`, so that `echo` will do for `test:echo`. Times are short: 20 ms is a
//! timeout that shall pass, 5 s one that shall not.

use wippy_model::Exit;

/// One behaviour.
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    pub(crate) end: End,
}

/// How the process ends.
pub(crate) enum End {
    /// With this value.
    Value(&'static str),
    /// With an exit of this name, whose error says this.
    Failed(&'static str, &'static str),
}

const fn done(name: &'static str) -> Behaviour {
    Behaviour { name, end: End::Value("done") }
}

pub(crate) const BEHAVIOURS: [Behaviour; 38] = [
    // `echo` answers 100 messages in their order.
    done("echo_order"),
    // A call of `echo` gives back topic and payload, and `from` is the PID of `echo`.
    done("reply_to_call"),
    // `value` ends: one EXIT event with its PID, a time and the value.
    done("monitor_normal"),
    // `fails` ends: one EXIT event with an error of kind Internal that holds the text.
    done("monitor_error"),
    // A monitor on what is gone gives one EXIT event at once: "there is no such process".
    done("monitor_dead"),
    // Two monitors, two events, and no third.
    done("monitor_twice"),
    // None after `unmonitor`.
    done("unmonitor"),
    // `links` starts `fails` linked, and ends with it: `details.from` is a PID and not that of
    // `links`, the text is that of `fails`.
    done("link_bad_end"),
    // `links` starts `value` linked and goes on: it sends `heard`, and then answers.
    done("link_normal_end"),
    // A process that traps links hears LINK_DOWN with the error, once, and goes on.
    done("link_trapped"),
    // A link to what is gone breaks at once.
    done("link_dead"),
    // A link to oneself does nothing.
    done("link_self"),
    // After `unlink` a bad end of the other gives EXIT (it is monitored) and no LINK_DOWN.
    done("unlink"),
    // The four spawns of `fails`: no event, EXIT, LINK_DOWN, both. On another host, `test:others`.
    // An entry that is not there: NotFound.
    done("spawn_variants"),
    // A spawn under a name that is taken: AlreadyExists, and the holder keeps it.
    done("spawn_named_conflict"),
    // Messages of the spawn come before one that is sent later.
    done("spawn_messages_first"),
    // register (twice), lookup, unregister; another's name: AlreadyExists, PermissionDenied; a
    // name that nobody has: NotFound; a bad name (`{x`): Invalid.
    done("names"),
    // When the EXIT event of `named` is there, its name is free.
    done("names_freed_before_exit"),
    // `obeys` ends with the reason of the cancel.
    done("cancel_obeyed"),
    // `sleeps` does not, and is ended after 20 ms: Canceled.
    done("cancel_deadline"),
    // `sleeps` is ended: Canceled; a second time: NotFound.
    done("terminate_other"),
    // `sleeps` takes 64 messages; the next is Unavailable, retryable.
    done("mailbox_full"),
    // A message of 2 MiB: ResourceExhausted.
    done("message_too_large"),
    // With a full mailbox the EXIT event of `value` comes all the same, before any message.
    done("events_not_delayed_by_flood"),
    // All 20 messages of `tells` come before its EXIT event.
    done("order_before_exit"),
    // A message, an event, a message are received in that order.
    done("receive_in_order_of_arrival"),
    // Nothing comes: `receive` and `receive_event` (Lua: on the channel) give up after 20 ms.
    done("timeout"),
    // `exec` of `value` gives its value.
    done("exec_value"),
    // `exec` of `fails` and `traps`: Internal; of `missing`: NotFound; of `value` without its
    // argument: Invalid where it is a WebAssembly process.
    done("exec_error"),
    // `executes` waits for `named` and is terminated; then `named` ends, too.
    done("exec_dies_with_caller"),
    // `sleeps` does not answer: Timeout.
    done("call_timeout"),
    // `echo` ends without an answer (`stop`): Unavailable.
    done("call_target_dies"),
    // `late` answers a call too late: that is NotFound to it, and no message to the caller.
    done("late_reply"),
    // It registers `kept`, sends itself a, b and c, and becomes `carries(pid, "kept")`.
    Behaviour { name: "upgrade_keeps_mailbox", end: End::Value("a,b,c") },
    // It becomes `missing`.
    Behaviour { name: "upgrade_failed", end: End::Failed("configuration", "test:missing") },
    // The function `tries_upgrade` gets Invalid.
    done("upgrade_refused_in_function"),
    // It becomes upgradable and registers `replace_me`; then its entry is replaced by `value`,
    // it hears OUTDATED and becomes the newest version of its own entry, with "new" as argument.
    Behaviour { name: "outdated_heard", end: End::Value("new") },
    // `counts` answers the messages `add` 1, 2 and 3 with the sums 1, 3 and 6.
    done("state_kept_between_messages"),
];

/// The entries that behaviours meet, each a function of the same file or guest. A text is a
/// string, a number an integer; topics and payloads are those of the messages.
pub(crate) const PEERS: [&str; 13] = [
    // (): sends every message back to its sender, with topic and payloads, but: `stop` ends it
    // with the first payload as its value, `fail` fails it with that text.
    "echo",
    // (text): returns the text.
    "value",
    // (text): fails with the text.
    "fails",
    // (): waits for ever, takes no message and does not obey.
    "sleeps",
    // (): waits for CANCEL and returns its reason.
    "obeys",
    // (): adds up the number of each message `add`, and answers `sum` with the sum so far.
    "counts",
    // (): takes a message, waits 60 ms, answers it with `reply`, and sends the PID that is the
    // first payload `outcome` with the kind of the error of that answer, or "".
    "late",
    // (entry, text, pid): starts the entry linked and monitored with the text as argument, waits
    // for its EXIT event, sends `heard` to the PID, and goes on as `echo`.
    "links",
    // (entry, text): executes the entry with the text as argument, and returns its value.
    "executes",
    // (name): registers the name and goes on as `echo`.
    "named",
    // (pid, number): sends as many messages `tell` with 1, 2, 3 … to the PID, and ends.
    "tells",
    // (pid, name): fails unless the PID is its own and has the name; takes three messages, and
    // returns their topics with commas between.
    "carries",
    // (text), a function: upgrades, and returns the kind of the error.
    "tries_upgrade",
];

impl Behaviour {
    /// What is wrong with the end of the process.
    pub(crate) fn check(&self, exit: &Exit) -> Result<(), String> {
        let fits = match self.end {
            End::Value(text) => exit.value().and_then(wippy_model::Value::as_str) == Some(text),
            End::Failed(name, text) => exit.name() == name && exit.to_string().contains(text),
        };
        match (fits, exit) {
            (true, _) => Ok(()),
            (false, Exit::Normal(value)) => Err(format!("it ended with {value:?}")),
            (false, exit) => Err(exit.to_string()),
        }
    }
}
