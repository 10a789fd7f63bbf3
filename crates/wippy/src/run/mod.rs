//! `wippy run`: which of its forms is meant.

mod command;
mod file;
mod list;
mod server;

use std::future::Future;

use wippy_model::EntryId;

use crate::cli::RunArgs;
use crate::failure::{Failure, Outcome};

/// Runs the project, one of its commands, or a WebAssembly file.
pub(crate) fn run(args: RunArgs) -> Outcome {
    let file = match (args.exec, args.words.first()) {
        (false, Some(word)) => is_file(word),
        _ => false,
    };
    if let (false, Some(option)) = (file, args.file.given()) {
        return Err(Failure::usage_with_help(
            "usage",
            format!("{option} is an option of `wippy run FILE.wasm`"),
            "name a file, or say it in the entry; -o ns:entry:field=value sets a field for one run",
        ));
    }
    match (args.exec, args.words.split_first()) {
        (true, None) => Err(Failure::usage_with_help(
            "usage",
            "-x needs the ID of an entry",
            "write it as `wippy run -x ns:entry [ARGS]`",
        )),
        (true, Some((id, words))) => {
            let id =
                EntryId::parse(id).map_err(|error| Failure::usage("bad-id", error.to_string()))?;
            command::entry(&args, &id, words)
        }
        (false, None) => server::run(&args),
        (false, Some((word, words))) if word == "list" => list::list(&args, words),
        (false, Some((path, words))) if file => file::run(&args, path, words),
        (false, Some((name, words))) => command::named(&args, name, words),
    }
}

/// A word is a file where it looks like one: no command is called `x.wasm` or `./x`.
fn is_file(word: &str) -> bool {
    let path = std::path::Path::new(word);
    path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat")
        || word.contains('/')
}

/// Runs a future on this thread. The processes run on their hosts' threads; here is only
/// somebody who waits.
pub(crate) fn block_on(future: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage("runtime", format!("cannot wait for events: {error}")))?;
    let outcome = runtime.block_on(future);
    // A compilation that was left must not hold up the end.
    runtime.shutdown_background();
    outcome
}
