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
    /// Whether it uses types as values: its head reads them from an environment of its own.
    pub(crate) has_types: bool,
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
        Self::compile_text(entry, file, plain_lua(source, None))
    }

    /// As [`Chunk::compile`], for a library: it gets a `require` of its own.
    pub(crate) fn compile_library(entry: &EntryId, file: &str, source: &str) -> Result<Self> {
        Self::compile_text(entry, file, plain_lua(source, Some(LIBRARY_HEAD)))
    }

    fn compile_text(
        entry: &EntryId,
        file: &str,
        text: Result<(Vec<u8>, bool), String>,
    ) -> Result<Self> {
        let refused = |message| Error::invalid(format!("{entry} does not compile: {message}"));
        let (text, has_types) = text.map_err(|wrong| refused(format!("{file}:{wrong}")))?;
        // `@` says that the name is a file's, to be shown as it is.
        let name = CString::new(format!("@{file}")).map_err(|_| {
            Error::invalid(format!("{entry}: the name of its source holds a NUL character"))
        })?;
        let bytecode = Compiler::new().compile(&text, &name).map_err(refused)?;
        Ok(Self { bytecode, name, has_types })
    }

    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }
}
