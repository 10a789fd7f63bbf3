//! From the text of an entry to plain Lua 5.4.

use std::borrow::Cow;

/// The Lua that a source text amounts to, line for line.
///
/// A first line that starts with `#` is a comment for a shell and becomes an empty one.
pub(crate) fn plain_lua(source: &str) -> Cow<'_, str> {
    match source.strip_prefix('#') {
        None => Cow::Borrowed(source),
        Some(rest) => {
            let line_end = rest.find('\n').unwrap_or(rest.len());
            Cow::Owned(rest.get(line_end..).unwrap_or_default().to_owned())
        }
    }
}
