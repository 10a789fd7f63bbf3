//! The words for the environment, the clocks, randomness, and the end.

use wasip2::cli::{environment, exit, terminal_stderr, terminal_stdin, terminal_stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::random::{insecure, insecure_seed, random};

use crate::{Answer, done, number};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a line that needs nothing opened before.
pub(crate) fn call(words: &[&str]) -> Option<Answer> {
    Some(match *words {
        ["args"] => Ok(environment::get_arguments().join("|")),
        ["env"] => {
            let variables = environment::get_environment();
            Ok(variables.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("|"))
        }
        ["cwd"] => environment::initial_cwd().ok_or_else(|| "none".to_owned()),
        ["terminals"] => Ok(format!(
            "{} {} {}",
            terminal_stdin::get_terminal_stdin().is_some(),
            terminal_stdout::get_terminal_stdout().is_some(),
            terminal_stderr::get_terminal_stderr().is_some()
        )),
        ["exit", "ok"] => {
            exit::exit(Ok(()));
            done()
        }
        ["exit", "err"] => {
            exit::exit(Err(()));
            done()
        }
        ["exit-with-code", code] => {
            exit::exit_with_code(number(code) as u8);
            done()
        }
        ["monotonic"] => Ok(monotonic_clock::now().to_string()),
        ["monotonic-resolution"] => Ok(monotonic_clock::resolution().to_string()),
        ["wall"] => {
            let now = wall_clock::now();
            Ok(format!("{}.{:09}", now.seconds, now.nanoseconds))
        }
        ["wall-resolution"] => {
            let resolution = wall_clock::resolution();
            Ok(format!("{}.{:09}", resolution.seconds, resolution.nanoseconds))
        }
        // Both answer how many nanoseconds it took.
        ["sleep", duration] => {
            let start = monotonic_clock::now();
            monotonic_clock::subscribe_duration(number(duration)).block();
            Ok((monotonic_clock::now() - start).to_string())
        }
        ["sleep-until", duration] => {
            let start = monotonic_clock::now();
            monotonic_clock::subscribe_instant(start + number(duration)).block();
            Ok((monotonic_clock::now() - start).to_string())
        }
        // An instant that is past is ready, at the second time of asking.
        ["instant-past"] => {
            let past = monotonic_clock::subscribe_instant(0);
            Ok((past.ready() || past.ready()).to_string())
        }
        ["duration-ready", duration] => {
            Ok(monotonic_clock::subscribe_duration(number(duration)).ready().to_string())
        }
        ["random", len] => Ok(hex(&random::get_random_bytes(number(len)))),
        ["random-len", len] => Ok(random::get_random_bytes(number(len)).len().to_string()),
        ["random-u64"] => Ok(random::get_random_u64().to_string()),
        ["insecure", len] => Ok(hex(&insecure::get_insecure_random_bytes(number(len)))),
        ["insecure-len", len] => {
            Ok(insecure::get_insecure_random_bytes(number(len)).len().to_string())
        }
        ["insecure-u64"] => Ok(insecure::get_insecure_random_u64().to_string()),
        ["seed"] => {
            let (one, two) = insecure_seed::insecure_seed();
            Ok(format!("{one:x}{two:x}"))
        }
        _ => return None,
    })
}
