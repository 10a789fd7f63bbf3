//! From the text of an entry to plain Lua 5.4.

use std::borrow::Cow;

use crate::dialect::{self, Erased, Refused};

/// The Lua that the text of an entry amounts to, line for line, and whether it uses types as
/// values: then its chunk needs an environment of its own (`typed.rs`).
///
/// A first line that starts with `#` is a comment for a shell and becomes an empty one.
///
/// # Errors
///
/// Where the text is not of the dialect: `line:column: message`.
pub(crate) fn plain_lua(
    source: &str,
    library_head: Option<&str>,
) -> Result<(Vec<u8>, bool), String> {
    let text = match source.strip_prefix('#') {
        None => Cow::Borrowed(source),
        Some(rest) => {
            let line_end = rest.find('\n').unwrap_or(rest.len());
            Cow::Borrowed(rest.get(line_end..).unwrap_or_default())
        }
    };
    let Erased { text, types } =
        dialect::erase(text.as_bytes(), &mut || true).map_err(|refused| match refused {
            Refused::Wrong { line, column, message } => format!("{line}:{column}: {message}"),
            // Somebody waits for an entry that is loaded.
            Refused::Abandoned => String::new(),
        })?;
    let head = match (&types, library_head) {
        (Some(types), _) => dialect::head(types, library_head.is_some()),
        (None, Some(head)) => head.to_owned(),
        (None, None) => return Ok((text.into_owned(), false)),
    };
    Ok(([head.as_bytes(), &text].concat(), types.is_some()))
}
