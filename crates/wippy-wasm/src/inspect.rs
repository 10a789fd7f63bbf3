//! What a binary exports and imports, and which grants its imports need: read from its
//! types, without compiling or running anything.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::json;
use sha2::{Digest, Sha256};
use wasmparser::{CompositeInnerType, ExternalKind, Parser, Payload, TypeRef, ValType};
use wippy_model::{Error, Result};
use wit_parser::{Resolve, WorldItem, WorldKey};

use crate::cache::hex;
use crate::encode::{self, Form};
use crate::interfaces::{Need, PREVIEW1, need};

mod types;

/// What a binary is, exports, imports and needs.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// `component`, `core module`, `preview1 command` or `preview1 reactor`.
    pub form: &'static str,
    /// Its size.
    pub bytes: usize,
    /// `sha256:` and 64 hexadecimal digits, as an entry's `hash` has it.
    pub hash: String,
    /// The functions that can be a `method`.
    pub exports: Vec<Export>,
    /// The interfaces and functions it imports.
    pub imports: Vec<Import>,
}

/// A function that can be a `method`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// As `method` names it: `function`, or `interface#function`.
    pub name: String,
    /// Name and types, in WIT.
    pub signature: String,
}

/// Something imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The interface; for a core module that carries no component type, `module#name`.
    pub name: String,
    /// What an entry says to use it.
    pub need: Need,
}

/// Reads what a binary is.
///
/// # Errors
///
/// Of kind `Invalid`, when it is no valid WebAssembly.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    let invalid = |error: &dyn fmt::Display| {
        let text = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        Error::invalid(format!("this is no valid WebAssembly: {text}"))
    };
    let mut inspection = Inspection {
        form: "component",
        bytes: bytes.len(),
        hash: format!("sha256:{}", hex(&Sha256::digest(bytes))),
        exports: Vec::new(),
        imports: Vec::new(),
    };
    let form = encode::form(bytes).map_err(|error| invalid(&error))?;
    let read = match form {
        Form::Component => inspection.component(bytes),
        Form::Typed | Form::Module => inspection.module(bytes, form),
    };
    read.map_err(|error| invalid(&error))?;
    Ok(inspection)
}

impl Inspection {
    /// The `imports` list with which the binary can use all that it imports and that is
    /// there.
    pub fn grants(&self) -> Vec<&'static str> {
        let names = self.imports.iter().filter_map(|import| match import.need {
            Need::Nothing(name) | Need::Grant(name) => Some(name),
            Need::Unknown => None,
        });
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The same as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let exports: Vec<_> = self
            .exports
            .iter()
            .map(|export| json!({ "method": export.name, "signature": export.signature }))
            .collect();
        let imports: Vec<_> = self
            .imports
            .iter()
            .map(|import| {
                let grant = match import.need {
                    Need::Grant(name) => Some(name),
                    _ => None,
                };
                let provided = import.need != Need::Unknown;
                json!({ "name": import.name, "provided": provided, "grant": grant })
            })
            .collect();
        json!({
            "form": self.form,
            "bytes": self.bytes,
            "hash": self.hash,
            "exports": exports,
            "imports": imports,
            "grants": self.grants(),
        })
    }

    fn component(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let (resolve, world) = wit_component::decode(bytes).and_then(|decoded| match decoded {
            wit_component::DecodedWasm::Component(resolve, world) => Ok((resolve, world)),
            wit_component::DecodedWasm::WitPackage(..) => {
                anyhow::bail!("it is a WIT package and holds no code")
            }
        })?;
        let Some(world) = resolve.worlds.get(world) else { return Ok(()) };
        for (key, item) in &world.exports {
            match item {
                WorldItem::Function(function) => {
                    self.exports.push(types::export(&resolve, None, function));
                }
                WorldItem::Interface { id, .. } => {
                    let Some(interface) = resolve.interfaces.get(*id) else { continue };
                    let name = world_name(&resolve, key);
                    let plain =
                        interface.functions.values().filter(|f| f.kind.resource().is_none());
                    self.exports.extend(plain.map(|f| types::export(&resolve, Some(&name), f)));
                }
                WorldItem::Type { .. } => {}
            }
        }
        for (key, item) in &world.imports {
            let has_functions = match item {
                WorldItem::Function(_) => true,
                WorldItem::Interface { id, .. } => resolve
                    .interfaces
                    .get(*id)
                    .is_some_and(|interface| !interface.functions.is_empty()),
                WorldItem::Type { .. } => false,
            };
            if has_functions {
                let name = world_name(&resolve, key);
                self.imports.push(Import { need: need(&name), name });
            }
        }
        Ok(())
    }

    fn module(&mut self, bytes: &[u8], form: Form) -> anyhow::Result<()> {
        let mut types = Vec::new();
        let mut functions = Vec::new();
        let mut exported = Vec::new();
        let mut imported = BTreeSet::new();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        types.extend(group?.into_types());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(ty) = import.ty {
                            functions.push(ty);
                        }
                        imported.insert(match import.module {
                            PREVIEW1 => PREVIEW1.to_owned(),
                            // As the component imports it that is made of this.
                            interface if form == Form::Typed && interface.contains(':') => {
                                interface.to_owned()
                            }
                            module => format!("{module}#{}", import.name),
                        });
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        functions.push(ty?);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            exported.push((export.name, export.index));
                        }
                    }
                }
                _ => {}
            }
        }
        let has = |name: &str| exported.iter().any(|(own, _)| *own == name);
        self.form = match (has("_start"), has("_initialize")) {
            (true, _) => "preview1 command",
            (false, true) => "preview1 reactor",
            (false, false) => "core module",
        };
        for (name, index) in &exported {
            if *name == "_initialize" {
                continue;
            }
            let ty = functions
                .get(*index as usize)
                .and_then(|ty| types.get(*ty as usize))
                .map(|ty| &ty.composite_type.inner);
            let signature = match ty {
                Some(CompositeInnerType::Func(ty)) => {
                    core_signature(name, ty.params(), ty.results())
                }
                _ => (*name).to_owned(),
            };
            self.exports.push(Export { name: (*name).to_owned(), signature });
        }
        for name in imported {
            let need = match name.as_str() {
                PREVIEW1 => Need::Nothing("wasi1"),
                interface if form == Form::Typed => need(interface),
                _ => Need::Unknown,
            };
            self.imports.push(Import { name, need });
        }
        Ok(())
    }
}

fn core_signature(name: &str, params: &[ValType], results: &[ValType]) -> String {
    let list =
        |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let arrow = if results.is_empty() { "" } else { " -> " };
    format!("{name}: ({}){arrow}{}", list(params), list(results))
}

fn world_name(resolve: &Resolve, key: &WorldKey) -> String {
    resolve.name_world_key(key)
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} bytes, {}", self.form, self.bytes, self.hash)?;
        writeln!(f, "\nexports")?;
        if self.exports.is_empty() {
            writeln!(f, "  nothing that can be a method")?;
        }
        for export in &self.exports {
            match export.name.split_once('#') {
                Some((interface, _)) => writeln!(f, "  {interface}#{}", export.signature)?,
                None => writeln!(f, "  {}", export.signature)?,
            }
        }
        writeln!(f, "\nimports")?;
        if self.imports.is_empty() {
            writeln!(f, "  nothing")?;
        }
        let width = self.imports.iter().map(|import| import.name.len()).max().unwrap_or_default();
        for import in &self.imports {
            let need = match import.need {
                Need::Nothing(_) => "always there".to_owned(),
                Need::Grant(name) => format!("needs imports: [{name}]"),
                Need::Unknown => "nothing here provides it: a call traps".to_owned(),
            };
            writeln!(f, "  {:width$}  {need}", import.name)?;
        }
        writeln!(f, "\nimports: [{}]", self.grants().join(", "))
    }
}
