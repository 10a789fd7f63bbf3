//! A line on stderr while large binaries compile, if stderr is a terminal.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};

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
    let line: Mutex<Line> = Mutex::default();
    Some(Arc::new(move |progress| {
        let Ok(mut line) = line.lock() else { return };
        if let Some(text) = line.update(progress) {
            output::complain(&text);
        }
    }))
}

/// Clears the line of a compilation that nobody waits for any more.
pub(crate) fn clear() {
    if std::io::stderr().is_terminal() {
        output::complain(CLEAR);
    }
}

/// What the line shows: several binaries compile at one time.
#[derive(Debug, Default)]
struct Line {
    compiling: Vec<EntryId>,
}

impl Line {
    /// What to write, if the line changes.
    fn update(&mut self, progress: Progress) -> Option<String> {
        match progress {
            Progress::Compiling { entry, bytes } if bytes >= LARGE_BYTES => {
                self.compiling.push(entry);
            }
            Progress::Compiling { .. } => return None,
            Progress::Compiled { entry } => {
                let at = self.compiling.iter().position(|other| *other == entry)?;
                self.compiling.remove(at);
            }
        }
        let names: Vec<&str> = self.compiling.iter().map(EntryId::as_str).collect();
        Some(match names.is_empty() {
            true => CLEAR.to_owned(),
            false => format!("{CLEAR}compiling {} ...", names.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_what_compiles_and_goes() {
        let id = |name| EntryId::parse(name).unwrap();
        let begins = |name, bytes| Progress::Compiling { entry: id(name), bytes };
        let ends = |name| Progress::Compiled { entry: id(name) };
        let mut line = Line::default();
        for (progress, shown) in [
            (begins("a:small", 1000), None),
            (begins("a:x", 1 << 20), Some("\r\x1b[Kcompiling a:x ...")),
            (ends("a:small"), None),
            (begins("a:y", 1 << 20), Some("\r\x1b[Kcompiling a:x, a:y ...")),
            (ends("a:x"), Some("\r\x1b[Kcompiling a:y ...")),
            (ends("a:y"), Some("\r\x1b[K")),
        ] {
            assert_eq!(line.update(progress).as_deref(), shown);
        }
    }
}
