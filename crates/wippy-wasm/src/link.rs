//! Linking: everything real once for each engine, and a trap with a clear text for what
//! no grant names.

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance};
use wasmtime::{Engine, ExternType, Module};
use wippy_model::EntryId;

use crate::actor;
use crate::engine::Class;
use crate::files;
use crate::funcs;
use crate::guest::Guest;
use crate::http;
use crate::http_0_3;
use crate::interfaces::{self, PREVIEW1};
use crate::sockets;

/// A guest called what its entry does not grant.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{entry} called {import}, {}", match grant {
    Some(grant) => format!("which it is not granted: add imports: [{grant}] to the entry"),
    None => "which nothing here provides: `wippy inspect` lists what a binary imports".to_owned(),
})]
pub(crate) struct Ungranted {
    pub(crate) entry: EntryId,
    /// The interface, and the function after a `#`.
    pub(crate) import: String,
    /// The name in `imports` that would grant it, if one would.
    pub(crate) grant: Option<&'static str>,
}

/// All of WASI for components. What needs a grant is denied by the guest's own context.
pub(crate) fn components(engine: &Engine, class: Class) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    files::shadow(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    funcs::add_to_linker(&mut linker)?;
    actor::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    http::link(&mut linker)?;
    sockets::link(&mut linker)?;
    linker.allow_shadowing(false);
    if class == Class::Concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        files::shadow_concurrent(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        linker.allow_shadowing(true);
        http_0_3::link(&mut linker)?;
        sockets::link_concurrent(&mut linker)?;
        linker.allow_shadowing(false);
    }
    Ok(linker)
}

/// Preview1 for core modules.
pub(crate) fn modules(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<Guest>> {
    let mut linker = wasmtime::Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, Guest::wasi1)?;
    // wasmtime's own refuses codes of 126 and more, and programs do exit with 255.
    linker.allow_shadowing(true);
    linker.func_wrap(PREVIEW1, "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(wasmtime_wasi::I32Exit(code).into())
    })?;
    linker.allow_shadowing(false);
    files::shadow_preview1(&mut linker)?;
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
    // A resource that one import takes from another (`use wasi:io/poll.{pollable}`) must not
    // be defined a second time.
    let mut resources = Vec::new();
    for (name, item) in component.component_type().imports(&engine) {
        let linked = interfaces::is_linked(name);
        match item.ty {
            ComponentItem::ComponentFunc(ty) if !linked => {
                trap(&mut linker.root(), name, &ty, ungranted(entry, name, ""))?;
            }
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(&engine) {
                    match item.ty {
                        ComponentItem::Resource(ty) if resources.contains(&ty) => {}
                        ComponentItem::Resource(ty) => {
                            resources.push(ty);
                            if !linked {
                                let ty = wasmtime::component::ResourceType::host::<()>();
                                linker.instance(name)?.resource(function, ty, |_, _| Ok(()))?;
                            }
                        }
                        ComponentItem::ComponentFunc(ty) if !linked => {
                            let error = ungranted(entry, name, function);
                            trap(&mut linker.instance(name)?, function, &ty, error)?;
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

fn ungranted(entry: &EntryId, interface: &str, function: &str) -> Ungranted {
    let error = Ungranted::new(entry, interface, function, None);
    tracing::debug!(entry = %entry, import = error.import, "no grant provides it: a call traps");
    error
}

impl Ungranted {
    /// A call of a function of an interface, or of a function of the world itself.
    pub(crate) fn new(
        entry: &EntryId,
        interface: &str,
        function: &str,
        grant: Option<&'static str>,
    ) -> Self {
        let import = match function {
            "" => interface.to_owned(),
            function => format!("{interface}#{function}"),
        };
        Self { entry: entry.clone(), import, grant }
    }
}

/// Defines a function that traps; an `async` one must be defined as such.
fn trap(
    instance: &mut LinkerInstance<'_, Guest>,
    name: &str,
    ty: &ComponentFunc,
    error: Ungranted,
) -> wasmtime::Result<()> {
    if ty.async_() {
        instance.func_new_concurrent(name, move |_, _, _, _| {
            let error = error.clone();
            Box::pin(async move { Err(error.into()) })
        })
    } else {
        instance.func_new(name, move |_, _, _, _| Err(error.clone().into()))
    }
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
            let error =
                Ungranted { entry: entry.clone(), import: format!("{from}#{name}"), grant: None };
            linker.func_new(from, name, ty, move |_, _, _| Err(error.clone().into()))?;
        }
    }
    Ok(linker)
}
