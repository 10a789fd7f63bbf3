//! What is wrong with a project: errors, warnings and notices, each with its place and
//! the next step, shown as compilers show them.

use std::fmt::{self, Write as _};

use wippy_model::Error;

use crate::yaml::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The project does not load.
    Error,
    /// It loads, and probably does not do what was meant.
    Warning,
    /// It loads, and something in it has no effect.
    Notice,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A short name of the sort of mistake, for programs: `unknown-field`.
    pub code: &'static str,
    /// What is wrong, with the entry's ID where there is one.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// What is there, where the message does not say it.
    pub label: Option<String>,
    /// The next step.
    pub help: Option<String>,
    /// Other places that belong to it.
    pub related: Vec<Related>,
}

/// Another place that belongs to a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// What is there.
    pub message: String,
    /// Where.
    pub place: Place,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            place: None,
            label: None,
            help: None,
            related: Vec::new(),
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// A notice.
    pub fn notice(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, ..Self::error(code, message) }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Says what is at the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a place that belongs to it.
    #[must_use]
    pub fn related(mut self, message: impl Into<String>, place: Place) -> Self {
        self.related.push(Related { message: message.into(), place });
        self
    }

    /// The text that is shown, with colours where `colour` says so. It ends with a line
    /// break.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, colour);
        text
    }

    fn write(&self, f: &mut impl fmt::Write, colour: bool) -> fmt::Result {
        let (name, tint) = match self.severity {
            Severity::Error => ("error", "\x1b[1;31m"),
            Severity::Warning => ("warning", "\x1b[1;33m"),
            Severity::Notice => ("notice", "\x1b[1;36m"),
        };
        let paint = |tint: &'static str| if colour { tint } else { "" };
        let (tint, bold, dim, off) =
            (paint(tint), paint("\x1b[1m"), paint("\x1b[1;34m"), paint("\x1b[0m"));
        writeln!(f, "{tint}{name}{off}{bold}: {}{off}", self.message)?;
        let places = self.place.iter().chain(self.related.iter().map(|related| &related.place));
        let digits = places.map(|place| place.line).max().unwrap_or(0).to_string().len();
        if let Some(place) = &self.place {
            write_place(f, place, "-->", self.label.as_deref(), digits, (tint, dim, off))?;
        }
        for Related { message, place } in &self.related {
            write_place(f, place, ":::", Some(message), digits, (dim, dim, off))?;
        }
        if let Some(help) = &self.help {
            let indent = " ".repeat(digits);
            let mut lines = help.lines();
            writeln!(f, "{indent} {dim}={off} help: {}", lines.next().unwrap_or(""))?;
            for line in lines {
                writeln!(f, "{indent}         {line}")?;
            }
        }
        Ok(())
    }
}

fn write_place(
    f: &mut impl fmt::Write,
    place: &Place,
    arrow: &str,
    label: Option<&str>,
    digits: usize,
    (tint, dim, off): (&str, &str, &str),
) -> fmt::Result {
    writeln!(f, "{:digits$}{dim}{arrow}{off} {place}", "")?;
    if place.line == 0 {
        return Ok(());
    }
    let (text, before, width) = excerpt(place);
    let label = label.map(|label| format!(" {label}")).unwrap_or_default();
    writeln!(f, "{:digits$} {dim}|{off}", "")?;
    writeln!(f, "{dim}{:>digits$} |{off} {text}", place.line)?;
    let carets = "^".repeat(width);
    writeln!(f, "{:digits$} {dim}|{off} {:before$}{tint}{carets}{label}{off}", "", "")
}

/// How many characters of a line are shown at the most.
const LINE_SHOWN_MAX: usize = 160;

/// The line without tabs and control characters, cut around the place where it is long;
/// how many characters stand before the place; and how many are underlined.
fn excerpt(place: &Place) -> (String, usize, usize) {
    let column = (place.column as usize).saturating_sub(1);
    let skip = column.saturating_sub(LINE_SHOWN_MAX / 2);
    let skip = if place.text.chars().nth(LINE_SHOWN_MAX).is_none() { 0 } else { skip };
    let shown = |char: char| if char.is_control() { ' ' } else { char };
    let mut text: String = place.text.chars().skip(skip).take(LINE_SHOWN_MAX).map(shown).collect();
    text.truncate(text.trim_end().len());
    let width =
        (place.width as usize).clamp(1, LINE_SHOWN_MAX - (column - skip).min(LINE_SHOWN_MAX - 1));
    (text, column - skip, width)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

/// Everything that is wrong with a project, in the order of files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// How many came after [`Diagnostics::KEPT_MAX`].
    dropped: usize,
    errors_dropped: usize,
}

impl Diagnostics {
    /// How many are shown; the rest is counted.
    pub const SHOWN_MAX: usize = 100;

    /// How many are kept; the rest is counted.
    pub const KEPT_MAX: usize = 1_000;

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < Self::KEPT_MAX {
            self.list.push(diagnostic);
        } else {
            self.dropped += 1;
            self.errors_dropped += usize::from(diagnostic.severity == Severity::Error);
        }
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Those of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(move |diagnostic| diagnostic.severity == severity)
    }

    /// Whether the project does not load.
    pub fn has_errors(&self) -> bool {
        self.errors_dropped > 0 || self.of(Severity::Error).next().is_some()
    }

    /// Orders them by file, line and column. What has no place comes first; equal places
    /// keep their order.
    pub(crate) fn sort(&mut self) {
        fn place(diagnostic: &Diagnostic) -> Option<(&str, u32, u32)> {
            diagnostic.place.as_ref().map(|place| (&*place.file, place.line, place.column))
        }
        self.list.sort_by(|a, b| place(a).cmp(&place(b)));
    }

    /// The text that is shown, with colours where `colour` says so: each diagnostic, an
    /// empty line between, and the number of errors.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for diagnostic in self.list.iter().take(Self::SHOWN_MAX) {
            text.push_str(&diagnostic.render(colour));
            text.push('\n');
        }
        let more = self.list.len().saturating_sub(Self::SHOWN_MAX) + self.dropped;
        if more > 0 {
            let _ = writeln!(text, "... and {more} more\n");
        }
        match self.of(Severity::Error).count() + self.errors_dropped {
            0 => _ = text.pop(),
            1 => text.push_str("1 error\n"),
            errors => _ = writeln!(text, "{errors} errors"),
        }
        text
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic], ..Self::default() }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, more: T) {
        more.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostics> for Error {
    /// One error of kind `Invalid` with the whole text.
    fn from(diagnostics: Diagnostics) -> Self {
        Self::invalid(diagnostics.render(false).trim_end())
    }
}
