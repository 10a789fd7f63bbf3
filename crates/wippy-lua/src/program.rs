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

/// A loaded entry.
pub(crate) struct Program {
    pub(crate) id: EntryId,
    pub(crate) main: Chunk,
    /// Empty: the chunk itself is the body.
    pub(crate) method: Box<str>,
    pub(crate) modules: Vec<String>,
    pub(crate) imports: Vec<(String, Chunk)>,
    /// Libraries that its source names, opened before it runs.
    pub(crate) globals: Vec<&'static str>,
    pub(crate) limits: Limits,
    pub(crate) terminal: Option<Arc<Terminal>>,
}

impl Chunk {
    /// Compiles a source text. `file` is shown in positions.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, naming the entry, file, line and what is wrong there.
    pub(crate) fn compile(entry: &EntryId, file: &str, source: &str) -> Result<Self> {
        // `@` says that the name is a file's, to be shown as it is.
        let name = CString::new(format!("@{file}")).map_err(|_| {
            Error::invalid(format!("{entry}: the name of its source holds a NUL character"))
        })?;
        let bytecode = Compiler::new()
            .compile(plain_lua(source).as_bytes(), &name)
            .map_err(|message| Error::invalid(format!("{entry} does not compile: {message}")))?;
        Ok(Self { bytecode, name })
    }

    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }
}
