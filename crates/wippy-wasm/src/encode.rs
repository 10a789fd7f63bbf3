//! Core modules made into components, where the entry or the module says what its types
//! are.

use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::interfaces::{PREVIEW1, is_wasi_0_3};

/// What a binary is, told from its first bytes and its sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A component.
    Component,
    /// A core module that carries its component type in a custom section.
    Typed,
    /// A core module.
    Module,
}

/// Tells what a binary is, without validating it.
///
/// # Errors
///
/// When it is no WebAssembly, or cut off.
pub(crate) fn form(bytes: &[u8]) -> anyhow::Result<Form> {
    if Parser::is_component(bytes) {
        return Ok(Form::Component);
    }
    let mut typed = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: Encoding::Module, .. } => {}
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                typed = true;
            }
            _ => {}
        }
    }
    Ok(if typed { Form::Typed } else { Form::Module })
}

/// The packages that an entry's `wit` may import from, each after those that it uses.
const PACKAGES: [(&str, &str); 4] = [
    ("wasi:io", include_str!("../../../wit/io/poll.wit")),
    ("wippy:actor", include_str!("../../../wit/actor/process.wit")),
    ("wippy:process", include_str!("../../../wit/process/processes.wit")),
    ("wippy:runtime", include_str!("../../../wit/runtime/funcs.wit")),
];

/// Encodes a core module as a component; `wit` is the body of its world, which may import the
/// interfaces of this runtime.
///
/// # Errors
///
/// When the WIT is wrong or the module does not fit it.
pub(crate) fn component(module: &[u8], wit: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut module = module.to_vec();
    if let Some(wit) = wit {
        let mut resolve = Resolve::default();
        if wit.contains("wippy:") {
            for (name, text) in PACKAGES {
                resolve.push_str(name, text)?;
            }
        }
        let package = resolve.push_str("the entry's wit", &world(wit))?;
        let world = resolve.select_world(&[package], None)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    if imports_preview1(&module) {
        let adapter =
            wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        encoder = encoder.adapter(PREVIEW1, adapter)?;
    }
    encoder.encode()
}

/// Wraps the body of a world in a world and a package. Each function is an export, whether
/// the body says so or not.
fn world(body: &str) -> String {
    let mut items = String::with_capacity(body.len() + 64);
    let mut depth = 0_usize;
    let mut at_start = true;
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if at_start && !first.is_whitespace() {
            let word = rest.find(|c: char| !(c.is_alphanumeric() || "-_%".contains(c)));
            let word = word.unwrap_or(rest.len());
            // `name:` begins a function; `record name {` and `use …` do not.
            if rest.get(word..).is_some_and(|after| after.trim_start().starts_with(':')) {
                items.push_str("export ");
            }
            at_start = false;
            word.max(first.len_utf8())
        } else {
            first.len_utf8()
        };
        match first {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(first, ';' | '}') {
            at_start = true;
        }
        let (taken, left) = rest.split_at(len);
        items.push_str(taken);
        rest = left;
    }
    let end = if at_start { "" } else { ";" };
    format!("package wippy:entry;\nworld entry {{\n{items}{end}\n}}\n")
}

fn imports_preview1(module: &[u8]) -> bool {
    Parser::new(0).parse_all(module).any(|payload| match payload {
        Ok(Payload::ImportSection(imports)) => imports
            .into_imports()
            .any(|import| import.is_ok_and(|import| import.module == PREVIEW1)),
        _ => false,
    })
}

/// Whether a component imports an interface of WASI 0.3.
pub(crate) fn imports_wasi_0_3(component: &[u8]) -> bool {
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentImportSection(imports)) if depth == 0 => {
                let mut names = imports.into_iter().filter_map(Result::ok);
                if names.any(|import| is_wasi_0_3(import.name.name)) {
                    return true;
                }
            }
            Err(_) => return false,
            _ => {}
        }
    }
    false
}

/// What the adapter contributes to a compiled artifact: part of the cache key.
pub(crate) fn adapter() -> &'static [u8] {
    wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_becomes_a_world() {
        let rows = [
            ("f: func();", "export f: func();"),
            ("f: func(a: s32) -> s32", "export f: func(a: s32) -> s32;"),
            ("export f: func(); g: func();", "export f: func(); export g: func();"),
            (
                "record p { x: s32, y: s32 } // a: b\n f: func(p: p);",
                "record p { x: s32, y: s32 } // a: b\n export f: func(p: p);",
            ),
            ("%record: func();", "export %record: func();"),
        ];
        for (body, expected) in rows {
            let text = world(body);
            assert_eq!(text, format!("package wippy:entry;\nworld entry {{\n{expected}\n}}\n"));
            Resolve::default().push_str("test", &text).unwrap();
        }
    }
}
