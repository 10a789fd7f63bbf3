//! The text of a program: written in the entry, or in a file beside it.

use std::path::Path;
use std::sync::Arc;

use crate::schema::Scope;
use crate::yaml::Span;

/// How large a file behind `file://` may be.
pub(crate) const SOURCE_BYTES_MAX: u64 = 16 << 20;

/// The text of a program, with the place it came from.
#[derive(Debug, Clone)]
pub struct SourceText {
    /// The text.
    pub text: Arc<str>,
    /// The file relative to the project root: that behind `file://`, else the YAML file.
    pub file: Arc<str>,
    /// The line of `file` on which the text starts, from 1.
    pub line: u32,
    /// Where a file behind `file://` is, by the name that leads there: what a symlink on the
    /// way means can change.
    pub path: Option<Arc<Path>>,
}

impl PartialEq for SourceText {
    /// Equal texts are equal wherever they stand: a line inserted above is no change.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl SourceText {
    /// Takes a text as it is, or reads the file that it names.
    ///
    /// The error is a message and the next step.
    pub(crate) fn read(
        text: &str,
        span: Span,
        scope: &Scope<'_>,
    ) -> Result<Self, (String, String)> {
        let Some(name) = text.strip_prefix("file://") else {
            let source = scope.sources.get(span.source);
            let file = source.map_or("", |source| source.name()).into();
            let line = source.map_or(0, |source| source.line(span.start));
            return Ok(Self { text: text.into(), file, line, path: None });
        };
        let (Some(folder), Some(root)) = (scope.folder, scope.source_root) else {
            let message = format!("{text:?} names a file, and this entry is not in one");
            return Err((message, "write the text itself".to_owned()));
        };
        let missing = |error: std::io::Error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "does not exist".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            let shown = shown(&folder.join(name), scope);
            (
                format!("the file {shown} {reason}"),
                "file:// is relative to the folder of this file; correct the name".to_owned(),
            )
        };
        let named = folder.join(name);
        let path = named.canonicalize().map_err(missing)?;
        if !path.starts_with(root) {
            let message = format!("{text:?} leaves the source root {}", shown(root, scope));
            return Err((message, "move the file below the source root".to_owned()));
        }
        let size = path.metadata().map_err(missing)?;
        if !size.is_file() {
            let message = format!("{} is not a file", shown(&path, scope));
            return Err((message, "name a file".to_owned()));
        }
        if size.len() > SOURCE_BYTES_MAX {
            let message = format!(
                "the file {} has {} bytes, and {SOURCE_BYTES_MAX} are allowed",
                shown(&path, scope),
                size.len()
            );
            return Err((message, "make it smaller".to_owned()));
        }
        let bytes = std::fs::read(&path).map_err(missing)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let message = format!("the file {} is not UTF-8 text", shown(&path, scope));
            (message, "save it as UTF-8".to_owned())
        })?;
        let file = shown(&path, scope).into();
        Ok(Self { text: text.into(), file, line: 1, path: Some(named.into()) })
    }
}

/// A path relative to the project root where it is below it.
fn shown(path: &Path, scope: &Scope<'_>) -> String {
    let root = scope.project_root;
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
