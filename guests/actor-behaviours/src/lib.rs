//! A full actor: each export is one behaviour of processes, or a process that these meet
//! (`crates/wippy-testkit/tests/actors/table.rs` says what each is to do).

mod behaviours;
mod mail;
mod peers;
mod starting;

mod world {
    wit_bindgen::generate!({
        path: ["wit/io", "wit/actor", "wit/process", "wit/runtime", "world.wit"],
        world: "wippy:actor-behaviours/actor-behaviours",
        generate_all,
    });
}

use mail::Done;

struct Actor;

/// Each behaviour ends with `done` where nothing went wrong.
fn done(result: Result<(), String>) -> Done {
    result.map(|()| "done".to_owned())
}

macro_rules! actor {
    ($($module:ident: $($name:ident)*;)*) => {
        impl world::Guest for Actor {
            $($(
                fn $name() -> Done {
                    done($module::$name())
                }
            )*)*

            fn upgrade_keeps_mailbox() -> Done {
                starting::upgrade_keeps_mailbox()
            }

            fn upgrade_failed() -> Done {
                starting::upgrade_failed()
            }

            fn outdated_heard() -> Done {
                starting::outdated_heard()
            }

            fn echo() -> Done {
                peers::echo()
            }

            fn value(text: String) -> String {
                text
            }

            fn fails(text: String) -> Done {
                Err(text)
            }

            fn sleeps() -> Done {
                peers::sleeps()
            }

            fn obeys() -> Done {
                peers::obeys()
            }

            fn counts() -> Done {
                peers::counts()
            }

            fn late() -> Done {
                peers::late()
            }

            fn links(entry: String, text: String, pid: String) -> Done {
                peers::links(&entry, &text, &pid)
            }

            fn executes(entry: String, text: String) -> Done {
                peers::executes(&entry, &text)
            }

            fn named(name: String) -> Done {
                peers::named(&name)
            }

            fn tells(pid: String, number: u32) -> Done {
                peers::tells(&pid, number)
            }

            fn carries(pid: String, name: String) -> Done {
                peers::carries(&pid, &name)
            }

            fn tries_upgrade(_: String) -> String {
                peers::tries_upgrade()
            }
        }
    };
}

actor! {
    behaviours: echo_order reply_to_call monitor_normal monitor_error monitor_dead monitor_twice
        unmonitor link_bad_end link_normal_end link_trapped link_dead link_self unlink
        mailbox_full message_too_large events_not_delayed_by_flood order_before_exit
        receive_in_order_of_arrival timeout call_timeout call_target_dies late_reply
        state_kept_between_messages;
    starting: spawn_variants spawn_named_conflict spawn_messages_first names
        names_freed_before_exit cancel_obeyed cancel_deadline terminate_other exec_value
        exec_error exec_dies_with_caller upgrade_refused_in_function;
}

world::export!(Actor with_types_in world);
