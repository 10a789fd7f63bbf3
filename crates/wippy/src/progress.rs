//! A line on stderr while large binaries compile, if stderr is a terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::Mutex;

use wippy_model::EntryId;
use wippy_wasm::{Progress, ProgressSink};

use crate::output;

/// Smaller ones are compiled before anybody could read the line.
const LARGE_BYTES: u64 = 512 << 10;

/// Goes back to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// Where the engine reports to; nowhere, if stderr is no terminal.
pub(crate) fn sink() -> Option<ProgressSink> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let compiling: Mutex<Vec<EntryId>> = Mutex::default();
    Some(Arc::new(move |progress| {
        let Ok(mut compiling) = compiling.lock() else { return };
        match progress {
            Progress::Compiling { entry, bytes } if bytes >= LARGE_BYTES => compiling.push(entry),
            Progress::Compiling { .. } => return,
            Progress::Compiled { entry } => {
                let before = compiling.len();
                compiling.retain(|other| *other != entry);
                if compiling.len() == before {
                    return;
                }
            }
        }
        let names: Vec<&str> = compiling.iter().map(EntryId::as_str).collect();
        match names.is_empty() {
            true => output::complain(CLEAR),
            false => output::complain(&format!("{CLEAR}compiling {} ...", names.join(", "))),
        }
    }))
}

/// Clears the line of a compilation that nobody waits for any more.
pub(crate) fn clear() {
    if std::io::stderr().is_terminal() {
        output::complain(CLEAR);
    }
}
