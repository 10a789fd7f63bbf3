//! What all processes of one entry share: bytecode, limits and what may be required.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use wippy_host::Terminal;
use wippy_model::{EntryId, Error, Limits, Result};

use crate::source::plain_lua;
use crate::vm::Compiler;

/// A compiled chunk and its name in positions and tracebacks.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytecode: Vec<u8>,
    pub(crate) name: CString,
}

/// A compiled library that an entry imports.
pub(crate) struct Import {
    /// The name for `require`.
    pub(crate) alias: String,
    /// The library's own entry.
    pub(crate) id: EntryId,
    pub(crate) chunk: Chunk,
    /// What the library itself may require.
    pub(crate) modules: Vec<String>,
}

/// Whose code requires something: the entry, or a library that it imports.
pub(crate) struct Requirer<'a> {
    pub(crate) id: &'a EntryId,
    pub(crate) modules: &'a [String],
}

/// A loaded entry.
pub(crate) struct Program {
    pub(crate) id: EntryId,
    pub(crate) main: Chunk,
    /// Empty: the chunk itself is the body.
    pub(crate) method: Box<str>,
    pub(crate) modules: Vec<String>,
    pub(crate) imports: Vec<Import>,
    /// Libraries that its source names, opened before it runs.
    pub(crate) globals: Vec<&'static str>,
    pub(crate) limits: Limits,
    pub(crate) terminal: Option<Arc<Terminal>>,
}

/// What stands before the source of a library, on its first line. Its `_ENV` is a table with
/// its own `require`, which finds what its own entry lists, and with the globals.
const LIBRARY_HEAD: &str = "local require, _ENV = require, _G ";

impl Program {
    /// Whose code requires something: the library at that place, or the entry itself.
    pub(crate) fn requirer(&self, library: Option<usize>) -> Requirer<'_> {
        match library.and_then(|index| self.imports.get(index)) {
            Some(import) => Requirer { id: &import.id, modules: &import.modules },
            None => Requirer { id: &self.id, modules: &self.modules },
        }
    }
}

impl Chunk {
    /// Compiles a source text. `file` is shown in positions.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, naming the entry, file, line and what is wrong there.
    pub(crate) fn compile(entry: &EntryId, file: &str, source: &str) -> Result<Self> {
        Self::compile_text(entry, file, &plain_lua(source))
    }

    /// As [`Chunk::compile`], for a library: it gets a `require` of its own.
    pub(crate) fn compile_library(entry: &EntryId, file: &str, source: &str) -> Result<Self> {
        Self::compile_text(entry, file, &format!("{LIBRARY_HEAD}{}", plain_lua(source)))
    }

    fn compile_text(entry: &EntryId, file: &str, text: &str) -> Result<Self> {
        // `@` says that the name is a file's, to be shown as it is.
        let name = CString::new(format!("@{file}")).map_err(|_| {
            Error::invalid(format!("{entry}: the name of its source holds a NUL character"))
        })?;
        let bytecode = Compiler::new()
            .compile(text.as_bytes(), &name)
            .map_err(|message| Error::invalid(format!("{entry} does not compile: {message}")))?;
        Ok(Self { bytecode, name })
    }

    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }
}
