//! Which export of a binary an entry's `method` means.

use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::{ExternType, FuncType, Module};
use wippy_model::{EntryId, Error, Result, Value};

use crate::value::Signature;

/// Exports that an error lists at the most.
const LISTED_MAX: usize = 20;

/// One exported function of a component.
pub(crate) struct Export {
    /// The interface's full name; `None` for a root export.
    pub(crate) interface: Option<String>,
    pub(crate) function: String,
    pub(crate) ty: ComponentFunc,
}

impl Export {
    /// `function`, or `interface#function`.
    fn name(&self) -> String {
        match &self.interface {
            Some(interface) => format!("{interface}#{}", self.function),
            None => self.function.clone(),
        }
    }

    /// Whether it is `wasi:cli/run#run` of any version: a command, which takes its
    /// arguments as text.
    pub(crate) fn is_command(&self) -> bool {
        self.function == "run"
            && self.interface.as_deref().is_some_and(|name| unversioned(name) == "wasi:cli/run")
    }

    fn is_of(&self, interface: &str) -> bool {
        self.interface.as_deref().is_some_and(|own| {
            let short = unversioned(own);
            own == interface
                || short == interface
                || short.rsplit_once('/').is_some_and(|(_, last)| last == interface)
        })
    }
}

fn unversioned(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

/// Every exported function of a component.
fn exports(component: &Component) -> Vec<Export> {
    let engine = component.engine();
    let mut found = Vec::new();
    for (name, item) in component.component_type().exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(ty) => {
                found.push(Export { interface: None, function: name.to_owned(), ty });
            }
            ComponentItem::ComponentInstance(instance) => {
                for (function, item) in instance.exports(engine) {
                    // Methods of resources are reached through their handles.
                    if let ComponentItem::ComponentFunc(ty) = item.ty
                        && !function.starts_with('[')
                    {
                        let interface = Some(name.to_owned());
                        found.push(Export { interface, function: function.to_owned(), ty });
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Finds the export that `method` names: a root export, the one interface function of
/// that name, or `interface#function`. Without a method, the only export, or `run`.
pub(crate) fn find(
    id: &EntryId,
    name: &str,
    method: Option<&str>,
    component: &Component,
) -> Result<Export> {
    let mut all = exports(component);
    let wanted = |export: &Export| match method.unwrap_or("run").split_once('#') {
        Some((interface, function)) => export.function == function && export.is_of(interface),
        None => export.function == method.unwrap_or("run"),
    };
    let matching: Vec<usize> =
        all.iter().enumerate().filter(|(_, export)| wanted(export)).map(|(at, _)| at).collect();
    let root =
        matching.iter().copied().find(|at| all.get(*at).is_some_and(|e| e.interface.is_none()));
    let chosen = match (root, matching.as_slice(), method, all.len()) {
        (Some(root), ..) => Some(root),
        (None, [only], ..) => Some(*only),
        (None, [], None, 1) => Some(0),
        _ => None,
    };
    if let Some(at) = chosen {
        return Ok(all.swap_remove(at));
    }
    let listed = list(all.iter().map(|export| match Signature::new(export.name(), &export.ty) {
        Ok(signature) => signature.to_string(),
        Err(_) => export.name(),
    }));
    Err(not_found(id, name, method, matching.len(), &listed))
}

/// Finds the export of a core module: the function of that name; `run` means `_start` of
/// a command.
pub(crate) fn find_core(
    id: &EntryId,
    name: &str,
    method: Option<&str>,
    module: &Module,
) -> Result<(String, FuncType)> {
    let mut all: Vec<(String, FuncType)> = module
        .exports()
        .filter_map(|export| match export.ty() {
            ExternType::Func(ty) => Some((export.name().to_owned(), ty)),
            _ => None,
        })
        .collect();
    let position = |wanted: &str| all.iter().position(|(function, _)| function == wanted);
    let chosen = match method {
        Some("run") | None => position("run").or_else(|| position("_start")),
        Some(method) => position(method),
    };
    let only = if method.is_none() && all.len() == 1 { Some(0) } else { None };
    match chosen.or(only) {
        Some(at) => Ok(all.swap_remove(at)),
        None => {
            let listed = list(all.into_iter().map(|(function, _)| function));
            Err(not_found(id, name, method, 0, &listed))
        }
    }
}

fn not_found(
    id: &EntryId,
    name: &str,
    method: Option<&str>,
    matching: usize,
    listed: &str,
) -> Error {
    let text = match method {
        Some(method) if matching > 1 => format!(
            "{id}: {name} exports \"{method}\" in several interfaces: write interface#{method}"
        ),
        Some(method) => format!("{id}: {name} exports no \"{method}\""),
        None => {
            format!("{id}: {name} has no single export to run: name one (`method`, or --method)")
        }
    };
    Error::not_found(format!("{text}; it exports: {listed}"))
        .with_details(Value::map([("field", Value::from("method"))]))
}

fn list(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(LISTED_MAX);
    names.truncate(LISTED_MAX);
    match (names.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{}, and {more} more", names.join(", ")),
    }
}
