//! Linking: everything real once for each engine, and a trap with a clear text for what
//! no grant names.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, ExternType, Module};
use wippy_model::EntryId;

use crate::engine::Class;
use crate::guest::Guest;

/// The packages that [`components`] links, whatever their version.
const LINKED: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// The module of preview1's functions.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// A guest called what its entry does not grant.
#[derive(Debug, thiserror::Error)]
#[error("{entry} called {import}, {}", if *known {
    format!("which it is not granted: add it to the entry's imports: [{import}]")
} else {
    "which nothing here provides: `wippy inspect` lists what a binary imports".to_owned()
})]
pub(crate) struct Ungranted {
    pub(crate) entry: EntryId,
    /// The interface, and the function after a `#`.
    pub(crate) import: String,
    /// Whether a grant of that name exists.
    pub(crate) known: bool,
}

/// All of WASI for components. What needs a grant is denied by the guest's own context.
pub(crate) fn components(engine: &Engine, class: Class) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if class == Class::Concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    }
    Ok(linker)
}

/// Preview1 for core modules.
pub(crate) fn modules(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<Guest>> {
    let mut linker = wasmtime::Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, Guest::wasi1)?;
    Ok(linker)
}

/// The engine's linker, and traps for the imports it does not have.
pub(crate) fn with_traps(
    linker: &Linker<Guest>,
    component: &Component,
    entry: &EntryId,
) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = linker.clone();
    let engine = component.engine().clone();
    for (name, item) in component.component_type().imports(&engine) {
        // A version that is compatible with the linked one is found by the linker itself;
        // a definition of the exact name would hide it.
        if LINKED.iter().any(|package| name.starts_with(package)) {
            continue;
        }
        let trap = |function: &str| {
            let import = if function.is_empty() { name.to_owned() } else { format!("{name}#{function}") };
            tracing::debug!(entry = %entry, import, "no grant provides it: a call traps");
            Ungranted { entry: entry.clone(), known: is_known(name), import }
        };
        match item.ty {
            ComponentItem::ComponentFunc(_) => {
                let error = trap("");
                linker.root().func_new(name, move |_, _, _, _| Err(again(&error)))?;
            }
            ComponentItem::ComponentInstance(instance) => {
                let mut target = linker.instance(name)?;
                for (function, item) in instance.exports(&engine) {
                    match item.ty {
                        ComponentItem::ComponentFunc(_) => {
                            let error = trap(function);
                            target.func_new(function, move |_, _, _, _| Err(again(&error)))?;
                        }
                        ComponentItem::Resource(_) => {
                            let ty = wasmtime::component::ResourceType::host::<()>();
                            target.resource(function, ty, |_, _| Ok(()))?;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(linker)
}

/// The same for a core module.
pub(crate) fn module_with_traps(
    linker: &wasmtime::Linker<Guest>,
    module: &Module,
    entry: &EntryId,
) -> wasmtime::Result<wasmtime::Linker<Guest>> {
    let mut linker = linker.clone();
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        if from == PREVIEW1 {
            continue;
        }
        if let ExternType::Func(ty) = import.ty() {
            let error = Ungranted {
                entry: entry.clone(),
                import: format!("{from}#{name}"),
                known: false,
            };
            linker.func_new(from, name, ty, move |_, _, _| Err(again(&error)))?;
        }
    }
    Ok(linker)
}

fn is_known(import: &str) -> bool {
    ["wippy:runtime/funcs", "wippy:actor/process", "wippy:process/"]
        .iter()
        .any(|known| import.starts_with(known))
}

fn again(error: &Ungranted) -> wasmtime::Error {
    let Ungranted { entry, import, known } = error;
    Ungranted { entry: entry.clone(), import: import.clone(), known: *known }.into()
}
