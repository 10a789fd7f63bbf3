//! The dialect of scripts: Lua 5.4 with types that may be left out, in the manner of Luau.
//!
//! [`erase`] turns a text of it into plain Lua of as many lines: what is the dialect's becomes
//! spaces, and plain Lua stays as it is, byte for byte. Types are not checked against one
//! another; those that a script uses as values ([`describe`]) are what values are checked
//! against at run time (`typed.rs`). `docs/dialect.md` says what is accepted.
//!
//! Limits: [`SOURCE_BYTES_MAX`], [`types::NESTING_MAX`], and Lua's own of 200 levels of
//! statements and expressions. The time is linear in the size of the text.

mod describe;
mod lexer;
mod lua;
mod parser;
mod scope;
#[cfg(test)]
mod tests;
mod types;

use std::borrow::Cow;
use std::collections::HashSet;

use lexer::{Kind, Lexer};
use parser::{Parser, Stop};
use scope::Names;

/// Bytes of a text of the dialect.
pub(crate) const SOURCE_BYTES_MAX: usize = 16 << 20;

/// A text of plain Lua.
#[derive(Debug)]
pub(crate) struct Erased<'s> {
    pub(crate) text: Cow<'s, [u8]>,
    /// The literal that describes the types which the text uses as values, if it does. The
    /// text then needs what [`head`] gives before its first byte.
    pub(crate) types: Option<String>,
}

/// Why a text is none of the dialect.
#[derive(Debug)]
pub(crate) enum Refused {
    /// What is wrong, and where, both counted from 1; columns in characters.
    Wrong { line: usize, column: usize, message: String },
    /// Whoever asked does not wait any longer.
    Abandoned,
}

/// The plain Lua that a text amounts to. Where that is no Lua either, compiling it says why,
/// on the right line. `go_on` is asked now and then; erasing ends where it says no.
///
/// # Errors
///
/// What is wrong in the dialect's part of the text.
pub(crate) fn erase<'s>(
    source: &'s [u8],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Erased<'s>, Refused> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the text is larger than {SOURCE_BYTES_MAX} bytes");
        return Err(Refused::Wrong { line: 1, column: 1, message });
    }
    let Some(candidates) = declared_names(source, go_on) else { return Err(Refused::Abandoned) };
    let mut parser = Parser::new(source, Names::new(candidates), go_on);
    let outcome = parser.chunk();
    let is_sound = outcome.is_ok();
    match outcome {
        Ok(()) | Err(Stop::Plain) => {}
        Err(Stop::Abandoned) => return Err(Refused::Abandoned),
        Err(Stop::Fault { at, message }) => return Err(wrong(source, at, message)),
    }
    let (output, names, declarations, types) = parser.into_parts();
    let text = output.map_or(Cow::Borrowed(source), Cow::Owned);
    // What does not compile needs no more than to be compiled.
    let description = if is_sound && !names.uses.is_empty() {
        describe::describe(&names, &declarations, &types)
    } else {
        None
    };
    let Some(description) = description else { return Ok(Erased { text, types: None }) };
    if let Some(at) = memchr::memmem::find(source, describe::VARIABLE.as_bytes()) {
        let message = format!(
            "the name `{}` is taken where a script uses types as values",
            describe::VARIABLE
        );
        return Err(wrong(source, at, message));
    }
    let mut replaced = Vec::with_capacity(text.len());
    let mut from = 0;
    for replacement in &description.replacements {
        replaced.extend_from_slice(text.get(from..replacement.start).unwrap_or_default());
        replaced.extend_from_slice(replacement.with.as_bytes());
        from = replacement.start + replacement.bytes;
    }
    replaced.extend_from_slice(text.get(from..).unwrap_or_default());
    Ok(Erased { text: Cow::Owned(replaced), types: Some(description.literal) })
}

/// What stands before a text with types as values, on its first line. Its `_ENV` is a table
/// with the function `types` and the globals; a library finds its own `require` there too.
pub(crate) fn head(types: &str, is_library: bool) -> String {
    let variable = describe::VARIABLE;
    if is_library {
        format!("local require, {variable}, _ENV = require, types({types}), _G ")
    } else {
        format!("local {variable}, _ENV = types({types}), _G ")
    }
}

/// The names of the types that a text may declare; none where nobody waits any longer.
fn declared_names<'s>(
    source: &'s [u8],
    go_on: &mut dyn FnMut() -> bool,
) -> Option<HashSet<&'s [u8]>> {
    let mut names = HashSet::new();
    let may_declare = |at: usize| {
        source.get(at + 4).is_some_and(|next| next.is_ascii_whitespace() || *next == b'-')
    };
    if !memchr::memmem::find_iter(source, b"type").any(may_declare) {
        return Some(names);
    }
    let mut lexer = Lexer::new(source);
    let mut after_type = false;
    for count in 1_u32.. {
        if count.is_multiple_of(1024) && !go_on() {
            return None;
        }
        let token = lexer.next();
        if matches!(token.kind, Kind::End | Kind::Bad) {
            break;
        }
        let is_name = token.kind == Kind::Name;
        let bytes = source.get(token.start..token.end).unwrap_or_default();
        if after_type && is_name {
            names.insert(bytes);
        }
        after_type = is_name && bytes == b"type";
    }
    Some(names)
}

/// What is wrong at a place, by line and column.
fn wrong(source: &[u8], at: usize, message: String) -> Refused {
    let before = source.get(..at).unwrap_or(source);
    let (mut line, mut line_start, mut place) = (1, 0, 0);
    while let Some(found) = memchr::memchr2(b'\n', b'\r', before.get(place..).unwrap_or_default()) {
        place += found;
        let pair = (before.get(place), before.get(place + 1));
        // As Lua counts them: two different ones are one end of a line.
        let is_pair = matches!(pair, (Some(b'\r'), Some(b'\n')) | (Some(b'\n'), Some(b'\r')));
        place += if is_pair { 2 } else { 1 };
        line += 1;
        line_start = place;
    }
    let in_line = before.get(line_start..).unwrap_or_default();
    let column = in_line.iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
    Refused::Wrong { line, column, message }
}
