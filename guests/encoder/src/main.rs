//! Turns what the guest toolchains make into what is checked in, and shows what a binary
//! imports and exports. Used by `guests/build.sh`.

use std::fs;

use anyhow::{Context, Result, bail};
use wasi_preview1_component_adapter_provider as adapters;
use wasmparser::{ExternalKind, Parser, Payload, Validator, types};
use wit_component::{
    ComponentEncoder, DecodedWasm, StringEncoding, WitPrinter, embed_component_metadata,
};
use wit_parser::{Resolve, TypeDefKind};

const USAGE: &str = "\
usage: encoder wat IN.wat OUT.wasm
       encoder component [--adapter command|reactor] [--wit FILE] IN.wasm OUT.wasm
       encoder c-types WIT OUT.h
       encoder inspect FILE.wasm";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["wat", input, output] => assemble(input, output),
        ["component", ref options @ .., input, output] => encode(options, input, output),
        ["c-types", wit, output] => c_types(wit, output),
        ["inspect", file] => inspect(file),
        _ => bail!(USAGE),
    }
}

/// Assembles a text file, a module or a component.
fn assemble(input: &str, output: &str) -> Result<()> {
    write(output, &wat::parse_file(input)?)
}

/// Makes a component of a core module.
///
/// `--wit` adds the world that a module without bindings metadata implements; `--adapter`
/// puts the preview1 adapter under a module which imports `wasi_snapshot_preview1`.
fn encode(mut options: &[&str], input: &str, output: &str) -> Result<()> {
    let mut module = fs::read(input).with_context(|| input.to_string())?;
    let mut adapter = None;
    loop {
        options = match *options {
            [] => break,
            ["--adapter", kind, ref rest @ ..] => {
                adapter = Some(match kind {
                    "command" => adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
                    "reactor" => adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
                    _ => bail!("no such adapter: {kind}"),
                });
                rest
            }
            ["--wit", wit, ref rest @ ..] => {
                let mut resolve = Resolve::default();
                let (package, _) = resolve.push_path(wit)?;
                let world = resolve.select_world(&[package], None)?;
                embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
                rest
            }
            _ => bail!(USAGE),
        };
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    if let Some(adapter) = adapter {
        encoder = encoder.adapter(adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)?;
    }
    let component = encoder.encode().with_context(|| format!("encoding {input}"))?;
    write(output, &component)
}

/// Writes the header that puts the types of a world into a C program, as a custom section from
/// which an encoder takes them.
fn c_types(wit: &str, output: &str) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], None)?;
    // What the types are for is told elsewhere.
    resolve.interfaces.iter_mut().for_each(|(_, it)| {
        it.docs = Default::default();
        it.functions.values_mut().for_each(|function| function.docs = Default::default());
    });
    resolve.types.iter_mut().for_each(|(_, it)| {
        it.docs = Default::default();
        match &mut it.kind {
            TypeDefKind::Record(it) => {
                it.fields.iter_mut().for_each(|it| it.docs = Default::default())
            }
            TypeDefKind::Variant(it) => {
                it.cases.iter_mut().for_each(|it| it.docs = Default::default())
            }
            TypeDefKind::Enum(it) => {
                it.cases.iter_mut().for_each(|it| it.docs = Default::default())
            }
            _ => {}
        }
    });
    resolve.worlds.iter_mut().for_each(|(_, it)| it.docs = Default::default());
    let types = wit_component::metadata::encode(&resolve, world, StringEncoding::UTF8, None)?;
    let mut header = String::from(
        "\
// The types of wippy:actor, wippy:process and wasi:io/poll, as the component model encodes them.
// Made from sdk/rust/wit by `guests/build.sh`; not to be edited. The section is named after the
// file that is compiled, so that each of several has its own.

#ifndef WIPPY_TYPES_H
#define WIPPY_TYPES_H

__asm__(
    \".section \\\".custom_section.component-type:wippy \" __BASE_FILE__ \"\\\",\\\"\\\",@\\n\"\n",
    );
    for line in types.chunks(24) {
        header.push_str("    \".ascii \\\"");
        for byte in line {
            match byte {
                b'"' | b'\\' => header.push_str(&format!("\\\\{byte:03o}")),
                b' '..=b'~' => header.push(char::from(*byte)),
                _ => header.push_str(&format!("\\\\{byte:03o}")),
            }
        }
        header.push_str("\\\"\\n\"\n");
    }
    header.push_str("    \".text\\n\");\n\n#endif\n");
    fs::write(output, header).with_context(|| output.to_string())
}

/// Prints the world of a component, or the imports and exports of a core module, and the
/// custom sections, after validating all of it.
fn inspect(file: &str) -> Result<()> {
    let bytes = fs::read(file).with_context(|| file.to_string())?;
    let types = Validator::new().validate_all(&bytes).with_context(|| file.to_string())?;
    if Parser::is_component(&bytes) {
        println!("{file}: component, {} bytes", bytes.len());
        let decoded = wit_component::decode(&bytes)?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            bail!("{file} is a WIT package");
        };
        let package = resolve.worlds[world].package.context("a world without a package")?;
        // All packages whose interfaces it has, except WASI, which is long and well known.
        let others: Vec<_> = resolve
            .packages
            .iter()
            .filter(|(id, other)| *id != package && other.name.namespace != "wasi")
            .map(|(id, _)| id)
            .collect();
        let mut printer = WitPrinter::default();
        printer.print(&resolve, package, &others)?;
        print!("{}", printer.output);
    } else {
        println!("{file}: core module, {} bytes", bytes.len());
        for payload in Parser::new(0).parse_all(&bytes) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        println!("import {} {}", import.module, import.name);
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        println!("export {} {}", export.name, describe(&types, &export));
                    }
                }
                _ => {}
            }
        }
    }
    // Those of all modules inside, too.
    for payload in Parser::new(0).parse_all(&bytes) {
        if let Payload::CustomSection(section) = payload? {
            println!("custom {} ({} bytes)", section.name(), section.data().len());
        }
    }
    Ok(())
}

fn describe(types: &types::Types, export: &wasmparser::Export) -> String {
    if export.kind != ExternalKind::Func {
        return format!("{:?}", export.kind);
    }
    let id = types.as_ref().core_function_at(export.index);
    types[id].unwrap_func().to_string()
}

fn write(output: &str, wasm: &[u8]) -> Result<()> {
    Validator::new().validate_all(wasm).with_context(|| format!("validating {output}"))?;
    fs::write(output, wasm).with_context(|| output.to_string())
}
