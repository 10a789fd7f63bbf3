//! The texts that entries were read from, and places in them.
//!
//! A text is a project file or a command line flag: both are shown in the same way. A
//! [`Span`] is a byte range of one text and small enough to sit in every node; it becomes
//! a [`Place`], which stands alone, only where somebody is told about it.

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of a text in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SourceId(u32);

impl SourceId {
    /// No text: what is not written anywhere.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// A range of bytes of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The text.
    pub(crate) source: SourceId,
    /// The first byte.
    pub(crate) start: u32,
    /// The byte after the last one.
    pub(crate) end: u32,
}

/// One text with its name.
#[derive(Debug)]
pub(crate) struct Source {
    /// What is shown: the path relative to the project root, or the flag.
    name: Arc<str>,
    /// Where it was read from; none for a flag and a text in memory.
    path: Option<Arc<Path>>,
    text: Arc<str>,
    line_starts: Vec<u32>,
    option: bool,
}

impl Source {
    /// Makes a source of a text.
    pub(crate) fn new(name: &str, path: Option<PathBuf>, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = breaks.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX));
        let line_starts = std::iter::once(0).chain(starts).collect();
        let (name, path) = (name.into(), path.map(Into::into));
        Self { name, path, text: text.into(), line_starts, option: false }
    }

    /// Makes a source of an option of the command line.
    pub(crate) fn of_option(name: &str, text: &str) -> Self {
        Self { option: true, ..Self::new(name, None, text) }
    }

    /// What is shown: the path relative to the project root, or the flag.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it was read from; none for a flag and a text in memory.
    pub(crate) fn path(&self) -> Option<&Arc<Path>> {
        self.path.as_ref()
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text of a range; empty where the range is no range of this text.
    pub(crate) fn slice(&self, start: u32, end: u32) -> &str {
        self.text.get(start as usize..end as usize).unwrap_or("")
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: u32) -> u32 {
        let line = self.line_starts.partition_point(|start| *start <= at);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// Line and column (both from 1, the column in characters) of a byte.
    fn position(&self, at: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied();
        let column = self.slice(start.unwrap_or(0), at).chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The place of a range.
    pub(crate) fn place(&self, start: u32, end: u32) -> Place {
        let (line, column) = self.position(start);
        let index = line.saturating_sub(1) as usize;
        let from = self.line_starts.get(index).copied().unwrap_or(0) as usize;
        let rest = self.text.get(from..).unwrap_or("");
        let text = rest.split('\n').next().unwrap_or("").trim_end_matches('\r');
        let line_end = u32::try_from(from + text.len()).unwrap_or(u32::MAX);
        let width = self.slice(start, end.min(line_end)).trim_end().chars().count();
        Place {
            file: Arc::clone(&self.name),
            line,
            column,
            width: u32::try_from(width).unwrap_or(u32::MAX),
            text: text.into(),
            option: self.option,
        }
    }
}

/// All texts of one load.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    list: Vec<Arc<Source>>,
    places: Cell<usize>,
}

/// How many places are made exactly; after them, a place is its file alone. A place costs
/// the length of its line, and a file can be one long line full of mistakes.
const PLACES_MAX: usize = 10_000;

impl Sources {
    /// Keeps a text.
    pub(crate) fn add(&mut self, source: Source) -> SourceId {
        let id = SourceId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(Arc::new(source));
        id
    }

    /// The text of that number.
    pub(crate) fn get(&self, id: SourceId) -> Option<&Arc<Source>> {
        self.list.get(id.0 as usize)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter().map(AsRef::as_ref)
    }

    /// The text of a span.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.get(span.source).map_or("", |source| source.slice(span.start, span.end))
    }

    /// The place of a span.
    pub(crate) fn place(&self, span: Span) -> Place {
        self.places.set(self.places.get() + 1);
        match self.get(span.source) {
            Some(source) if self.places.get() > PLACES_MAX => Place::of_file(source.name()),
            Some(source) => source.place(span.start, span.end),
            None => Place::of_file(""),
        }
    }
}

/// A place in a project file or a flag, with the line, so that it can be shown alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The file relative to the project root, or the flag.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// How many characters of that line are meant.
    pub width: u32,
    /// The line's text.
    pub text: Arc<str>,
    /// Whether `file` is an option of the command line and no file.
    pub option: bool,
}

impl Place {
    /// A whole file.
    pub fn of_file(name: &str) -> Self {
        Self { file: name.into(), line: 0, column: 0, width: 0, text: "".into(), option: false }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            _ if self.option => f.write_str(&self.file),
            0 => f.write_str(&self.file),
            _ => write!(f, "{}:{}:{}", self.file, self.line, self.column),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_know_their_line() {
        let source = Source::new("a.yaml", None, "x: 1\r\nä: öß\r\nlast");
        let at = u32::try_from(source.text().find("öß").unwrap()).unwrap();
        let place = source.place(at, at + 4);
        assert_eq!(place.to_string(), "a.yaml:2:4");
        assert_eq!((place.width, &*place.text), (2, "ä: öß"));
        assert_eq!(source.place(16, 20).to_string(), "a.yaml:3:1");
    }
}
