//! Source lines of backtraces, read from a binary's DWARF when somebody reads one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use gimli::{EndianSlice, LittleEndian};
use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload, TypeRef};

use crate::binary::Binary;
use crate::spec::BinarySource;

/// The largest binary whose DWARF is read.
const BYTES_MAX: u64 = 64 << 20;

/// The lines of one binary; empty where it has no DWARF.
pub(crate) struct Lines {
    modules: Vec<ModuleLines>,
}

struct ModuleLines {
    imported: u32,
    /// Where each function's body is, from the start of the code section.
    bodies: Vec<Range<usize>>,
    code_start: usize,
    bytes: Arc<[u8]>,
    sections: HashMap<&'static str, Range<usize>>,
}

const SECTIONS: [&str; 9] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
];

impl Lines {
    /// Reads the binary again; one that changed meanwhile has no lines.
    pub(crate) fn of(binary: &Binary) -> Self {
        let bytes: Option<Arc<[u8]>> = match &binary.source {
            BinarySource::Bytes { bytes, .. } => Some(bytes.clone()),
            BinarySource::File { volume, path } => {
                volume.read(path, BYTES_MAX).ok().map(Into::into)
            }
        };
        let same = bytes.filter(|bytes| Sha256::digest(bytes)[..] == binary.sha256);
        Self { modules: same.and_then(modules).unwrap_or_default() }
    }

    /// The place `file:line:column` of an instruction: a function's index and the
    /// instruction's offset in it.
    pub(crate) fn find(&self, function: u32, in_function: usize, offset: usize) -> Option<String> {
        self.modules.iter().find_map(|module| module.find(function, in_function, offset))
    }
}

impl ModuleLines {
    fn find(&self, function: u32, in_function: usize, offset: usize) -> Option<String> {
        let body = self.bodies.get(function.checked_sub(self.imported)? as usize)?;
        // Two modules may both have such a function; the offset tells them apart.
        let absolute = self.code_start + body.start..self.code_start + body.end;
        if !absolute.contains(&offset) {
            return None;
        }
        let section =
            |id: gimli::SectionId| -> Result<EndianSlice<'_, LittleEndian>, gimli::Error> {
                let range = self.sections.get(id.name()).cloned().unwrap_or(0..0);
                Ok(EndianSlice::new(self.bytes.get(range).unwrap_or_default(), LittleEndian))
            };
        let dwarf = gimli::Dwarf::load(section).ok()?;
        let context = addr2line::Context::from_dwarf(dwarf).ok()?;
        let location = context.find_location((body.start + in_function) as u64).ok()??;
        let (file, line) = (location.file?, location.line?);
        Some(match location.column {
            Some(column) => format!("{file}:{line}:{column}"),
            None => format!("{file}:{line}"),
        })
    }
}

fn modules(bytes: Arc<[u8]>) -> Option<Vec<ModuleLines>> {
    let mut modules: Vec<ModuleLines> = Vec::new();
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.ok()? {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } => {
                modules.push(ModuleLines {
                    imported: 0,
                    bodies: Vec::new(),
                    code_start: 0,
                    bytes: bytes.clone(),
                    sections: HashMap::new(),
                });
            }
            Payload::ImportSection(imports) => {
                let module = modules.last_mut()?;
                let functions = imports.into_imports().filter(|import| {
                    import.as_ref().is_ok_and(|import| matches!(import.ty, TypeRef::Func(_)))
                });
                module.imported = functions.count() as u32;
            }
            Payload::CodeSectionStart { range, .. } => {
                modules.last_mut()?.code_start = range.start;
            }
            Payload::CodeSectionEntry(body) => {
                let module = modules.last_mut()?;
                let range = body.range();
                module.bodies.push(range.start - module.code_start..range.end - module.code_start);
            }
            Payload::CustomSection(section) => {
                if let Some(name) = SECTIONS.iter().find(|name| **name == section.name())
                    && let Some(module) = modules.last_mut()
                {
                    let start = section.data_offset();
                    module.sections.insert(name, start..start + section.data().len());
                }
            }
            _ => {}
        }
    }
    modules.retain(|module| module.sections.contains_key(".debug_line"));
    Some(modules)
}
